"""CT numbers of tissues, with the scatter of patients and contrast phases, and the windows that show them."""

import numpy as np

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance

WINDOWS = {
    "soft tissue": (40, 400), "wide": (300, 2000), "bone": (500, 1800), "lung": (-550, 1500), "brain": (40, 90),
    "full": (0, 2200), "liver": (65, 210), "blood": (60, 160),
}  # fmt: skip
"""Window centre and width in Hounsfield units."""

PHASES = {
    "none": (0.3, {"vessel": 40, "vein": 40, "liver": 56, "spleen": 48, "cortex": 33, "kidney": 32, "pancreas": 40,
                   "urine": 5, "bowel": 35, "heart": 42, "muscle": 54}),
    "arterial": (0.15, {"vessel": 290, "vein": 95, "liver": 70, "spleen": 125, "cortex": 175, "kidney": 85,
                        "pancreas": 100, "urine": 5, "bowel": 75, "heart": 90, "muscle": 60}),
    "portal": (0.43, {"vessel": 155, "vein": 160, "liver": 112, "spleen": 122, "cortex": 185, "kidney": 160,
                      "pancreas": 95, "urine": 8, "bowel": 70, "heart": 100, "muscle": 62}),
    "delayed": (0.12, {"vessel": 100, "vein": 102, "liver": 90, "spleen": 95, "cortex": 125, "kidney": 125,
                       "pancreas": 75, "urine": 450, "bowel": 55, "heart": 85, "muscle": 62}),
}  # fmt: skip
"""Share of the examinations and mean CT numbers of each phase after the injection of contrast medium.

The numbers are textbook ranges of healthy organs: unenhanced blood 30-45, liver 50-65, spleen 40-55, kidney 30-40.
"""


def tissue_table(rng: np.random.Generator) -> dict[str, float]:
    """CT numbers by tissue of one patient, in Hounsfield units."""
    names = list(PHASES)
    means = PHASES[str(rng.choice(names, p=[PHASES[name][0] for name in names]))][1]
    table = {name: mean * between(rng, 0.88, 1.12) + rng.normal(0, 3) for name, mean in means.items()}
    if chance(rng, 0.15):
        table["liver"] -= between(rng, 20, 50)
    bone = between(rng, 0.6, 1.15)
    return table | {
        "spread": between(rng, 2, 6), "air": -1000, "gas": between(rng, -990, -850), "fat": between(rng, -115, -90),
        "fluid": between(rng, 0, 16), "bile": between(rng, 0, 18), "bladder": between(rng, 0, 12),
        "bone": 1050 * bone, "marrow": between(rng, 110, 320) * bone, "contrast": between(rng, 150, 420),
        "lung": between(rng, -900, -780), "lesion": table["liver"] - 40, "cord": between(rng, 28, 42),
        "white": between(rng, 24, 30), "grey": between(rng, 35, 41), "csf": between(rng, 2, 10),
        "blood": between(rng, 60, 82), "edema": between(rng, 11, 18),  "infarct": between(rng, 10, 19),
        "plexus": between(rng, 60, 250), "tumour": between(rng, 50, 75), "scalp": between(rng, -60, 40),
        "diploe": between(rng, 400, 900), "skin": between(rng, 0, 60), "stool": between(rng, 10, 60),
        "disc": between(rng, 60, 110), "least": between(rng, 30, 42),
        "floor": -5, "ceiling": 150,
    }  # fmt: skip


def through_window(rng: np.random.Generator, names: tuple[str, ...], values: Field, own: float = 0.0) -> Field:
    """Map Hounsfield units to [0, 1] through one of the windows, with some jitter.

    With probability `own` the range is that of the slice itself.
    """
    if chance(rng, own):
        low, high = np.percentile(values[::2, ::2], [0.5, 99.8])
        centre, width = float(low + high) / 2, max(float(high - low), 100.0)
    else:
        middle, span = WINDOWS[str(rng.choice(names))]
        centre, width = middle + between(rng, -0.06, 0.06) * span, span * between(rng, 0.85, 1.3)
    shown: Field = values - np.float32(centre)
    shown *= np.float32(1 / width)
    shown += np.float32(0.5)
    return np.clip(shown, 0, 1, out=shown)
