"""Computed tomography: axial abdomen, chest, head and vertebra slices in Hounsfield units, shown through a window."""

import numpy as np

from mmedagent.training.phantoms import abdomen, head, thorax, torso
from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, compress, degrade, display, words
from mmedagent.training.phantoms.shapes import Scene, fractal, grain, make_view, resize

WINDOWS = {
    "soft tissue": (40, 400), "wide": (300, 2000), "bone": (500, 1800), "lung": (-550, 1500), "brain": (40, 90),
    "full": (0, 2200), "liver": (80, 180),
}  # fmt: skip
"""Window centre and width in Hounsfield units."""


def _hounsfield(rng: np.random.Generator) -> dict[str, float]:
    """Typical CT numbers with the scatter of patients, contrast phases and calibration."""
    blood = float(rng.choice([between(rng, 35, 55), between(rng, 100, 320)]))
    return {
        "spread": between(rng, 3, 10), "air": -1000, "gas": between(rng, -990, -700), "fat": between(rng, -120, -80),
        "muscle": between(rng, 40, 75), "liver": between(rng, 30, 130), "spleen": between(rng, 40, 140),
        "kidney": between(rng, 30, 180), "cortex": between(rng, 35, 230), "fluid": between(rng, 0, 22),
        "vessel": blood, "vein": blood * between(rng, 0.6, 1.0), "bone": between(rng, 500, 1300),
        "marrow": between(rng, 120, 380), "bowel": between(rng, 20, 90), "contrast": between(rng, 150, 500),
        "lung": between(rng, -900, -750), "lesion": between(rng, -10, 160), "pancreas": between(rng, 30, 110),
        "heart": 0.6 * blood + 20, "cord": between(rng, 25, 45), "white": between(rng, 22, 30),
        "grey": between(rng, 33, 42), "csf": between(rng, 2, 12), "blood": between(rng, 55, 85),
        "skin": between(rng, 0, 60), "bile": between(rng, 0, 20), "urine": between(rng, 0, 15),
        "stool": between(rng, 10, 60), "disc": between(rng, 60, 110), "least": between(rng, 28, 40),
        "edema": between(rng, 12, 20), "scalp": between(rng, -60, 40), "diploe": between(rng, 400, 900),
    }  # fmt: skip


def _streaks(rng: np.random.Generator, size: int) -> Field:
    """Rays of alternating sign from one point, as dense metal or bone leaves them, in Hounsfield units."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    dy, dx = rows - between(rng, 0.2, 0.8) * size, columns - between(rng, 0.2, 0.8) * size
    turn = (np.arctan2(dy, dx) / np.pi + 1) * 120
    profile = rng.standard_normal(242).astype(np.float32) ** 3
    result: Field = (
        between(rng, 5, 60) * profile[turn.astype(np.int32)] * np.exp(-np.sqrt(dx * dx + dy * dy) / (0.4 * size))
    )
    return result


def _window(rng: np.random.Generator, names: tuple[str, ...], values: Field) -> Field:
    """Map Hounsfield units to [0, 1] through a jittered window; rarely over the range of the slice itself."""
    if chance(rng, 0.12):
        low, high = np.percentile(values, [0.5, 99.8])
        centre, width = float(low + high) / 2, max(float(high - low), 100.0)
    else:
        middle, span = WINDOWS[str(rng.choice(names))]
        centre, width = middle + between(rng, -0.12, 0.12) * span, span * between(rng, 0.75, 1.35)
    shown: Field = np.clip((values - centre) / width + 0.5, 0, 1)
    return shown


def _trunk(rng: np.random.Generator, size: int, part: str) -> tuple[Scene, tuple[str, ...], tuple[str, ...]]:
    tissue = _hounsfield(rng)
    scale = between(rng, 0.55, 0.9) if chance(rng, 0.2) else between(rng, 0.95, 1.35)
    half, centre = (scale, scale * between(rng, 0.72, 1.0)), (between(rng, -0.15, 0.15), between(rng, -0.1, 0.1))
    if part == "spine":
        zoom = between(rng, 0.32, 0.6)
        half, centre = (zoom, zoom * between(rng, 0.85, 1.1)), (between(rng, -0.1, 0.1), 0.36 + between(rng, -0.1, 0.1))
    scene = Scene(make_view(rng, size, centre, half), tissue["air"])
    chest = part == "chest" or (part == "spine" and chance(rng, 0.55))
    findings = (thorax.thorax if chest else abdomen.abdomen)(scene, rng, tissue)
    windows: tuple[str, ...] = ("soft tissue", "soft tissue", "soft tissue", "wide", "full", "liver")
    if part == "spine":
        windows = ("wide", "bone", "full", "soft tissue")
    elif chest:
        windows = ("lung", "soft tissue", "wide", "full")
    if chance(rng, 0.6):
        torso.table(scene, rng, between(rng, -700, 100))
    return scene, findings, windows


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One CT slice; anatomy is "abdomen", "chest", "spine" or "head"."""
    part = str(rng.choice(["abdomen", "chest", "spine", "head"], p=[0.42, 0.22, 0.16, 0.2]))
    if part == "head":
        tissue = _hounsfield(rng)
        scene = Scene(make_view(rng, size, (0, 0), head.axial_half(rng)), tissue["air"])
        findings = head.axial(scene, rng, tissue, skull=True)
        windows: tuple[str, ...] = ("brain", "brain", "soft tissue", "wide")
    else:
        scene, findings, windows = _trunk(rng, size, part)
    if chance(rng, 0.3):
        torso.field_of_view(scene, rng, float(rng.choice([-1000, -1024, -2000])))
    values = scene.value
    if chance(rng, 0.3):
        values = values + between(rng, 5, 25) * fractal(rng, size, 16, 3)
    values = values + float(rng.exponential(14)) * grain(rng, size, between(rng, 1, 2.2))
    if chance(rng, 0.25):
        values = values + _streaks(rng, size)
    if chance(rng, 0.25):
        side = round(size * between(rng, 0.4, 0.8))
        values = resize(resize(values, (side, side), smooth=False), (size, size))
    image = display(rng, degrade(rng, _window(rng, windows, values), strength=0.3), gamma=0.15)
    if chance(rng, 0.15):
        image = words(rng, image, int(rng.integers(2, 8)), (0, 0, 0.85, 0.95))
    masks = scene.masks()
    return Phantom(compress(rng, image), "CT", part, masks, tuple(name for name in findings if name in masks))
