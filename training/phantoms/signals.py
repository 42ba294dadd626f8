"""MR signal of tissues by weighting, on a scale of 1; the order of brightness is what textbooks state."""

import numpy as np

from mmedagent.training.phantoms.finish import between, chance

WEIGHTINGS = {
    "T1": (0.78, 0.55, 0.14, 0.95, 0.48, 0.3, 0.36), "T1 contrast": (0.7, 0.5, 0.12, 0.9, 0.45, 1.05, 0.3),
    "T2": (0.36, 0.53, 1.0, 0.7, 0.2, 0.7, 0.9), "FLAIR": (0.42, 0.55, 0.07, 0.6, 0.3, 0.78, 0.92),
    "DWI": (0.42, 0.48, 0.15, 0.06, 0.12, 0.85, 0.75), "T2*": (0.48, 0.62, 0.95, 0.2, 0.25, 0.82, 0.85),
}  # fmt: skip
"""Signal of white matter, grey matter, cerebrospinal fluid, fat, muscle, tumour and oedema."""

BODY = {
    "T1": {"liver": 0.6, "spleen": 0.42, "pancreas": 0.62, "cortex": 0.55, "kidney": 0.42, "bowel": 0.45,
           "heart": 0.45},
    "T1 contrast": {"liver": 0.75, "spleen": 0.8, "pancreas": 0.75, "cortex": 1.0, "kidney": 0.85, "bowel": 0.6,
                    "heart": 0.7},
    "T2": {"liver": 0.35, "spleen": 0.58, "pancreas": 0.45, "cortex": 0.58, "kidney": 0.72, "bowel": 0.42,
           "heart": 0.4},
}  # fmt: skip

BRAIN_ODDS = {"T1": 0.22, "T1 contrast": 0.12, "T2": 0.28, "FLAIR": 0.26, "DWI": 0.06, "T2*": 0.06}
BODY_ODDS = {"T1": 0.35, "T1 contrast": 0.25, "T2": 0.4}


def technique(weighting: str) -> str:
    """The name that a weighting is called by: contrast medium does not change it."""
    return weighting.removesuffix(" contrast")


def signal_table(rng: np.random.Generator, body: bool) -> tuple[str, dict[str, float]]:
    """A weighting and its signal by tissue; at times fat is suppressed, and vessels are bright or flow voids."""
    odds = BODY_ODDS if body else BRAIN_ODDS
    name = str(rng.choice(list(odds), p=list(odds.values())))
    white, grey, csf, fat, muscle, lesion, edema = (
        float(np.clip(level * np.exp(rng.normal(0, 0.06)), 0.02, 1.15)) for level in WEIGHTINGS[name]
    )
    if chance(rng, 0.35):
        fat *= between(rng, 0.1, 0.4)
    vessel = between(rng, 0.85, 1.1) if "contrast" in name else between(rng, 0.0, 0.12)
    if chance(rng, 0.2):
        vessel = between(rng, 0.7, 1.05)
    organs = {organ: level * float(np.exp(rng.normal(0, 0.1))) for organ, level in BODY.get(name, BODY["T2"]).items()}
    marrow = float(np.clip(0.7 * fat + 0.12, 0, 1))
    bleed = {"T1": 0.98, "T1 contrast": 0.98, "T2": 0.08, "FLAIR": 1.05, "DWI": 0.05, "T2*": 0.05}[name]
    return name, organs | {
        "spread": between(rng, 0.008, 0.03), "air": 0.0, "gas": between(rng, 0, 0.04), "fat": fat, "muscle": muscle,
        "fluid": csf, "vessel": vessel, "vein": vessel * between(rng, 0.85, 1.1), "bone": between(rng, 0.01, 0.08),
        "marrow": marrow, "contrast": csf, "lung": between(rng, 0.01, 0.06), "lesion": lesion,
        "cord": 0.5 * (white + grey), "white": white, "grey": grey, "csf": csf, "blood": bleed, "edema": edema,
        "infarct": edema, "tumour": lesion, "scalp": fat, "diploe": marrow, "bile": csf, "urine": csf,
        "skin": between(rng, 0.3, 0.6),
        "bladder": csf, "stool": between(rng, 0.2, 0.6), "disc": 0.4 * csf + 0.25, "plexus": 0.5 * csf,
        "least": between(rng, 0.17, 0.25), "floor": 0.04, "ceiling": 1.1,
    }  # fmt: skip
