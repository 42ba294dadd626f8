"""Magnetic resonance: brain, abdomen, joint and spine slices in the usual weightings."""

import numpy as np

from mmedagent.training.phantoms import abdomen, head, torso
from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, compress, degrade, display, shade, words
from mmedagent.training.phantoms.shapes import Scene, blob, make_view, noise, resize

# Signal of (white, grey, csf, fat, muscle, lesion, edema) on a scale of 1; oncology and neuro texts agree on the order.
_WEIGHTINGS = {
    "T1": (0.8, 0.55, 0.12, 0.95, 0.45, 0.4, 0.42),
    "T1 contrast": (0.7, 0.5, 0.1, 0.9, 0.45, 0.95, 0.4),
    "T2": (0.4, 0.6, 1.0, 0.75, 0.25, 0.75, 0.85),
    "FLAIR": (0.45, 0.6, 0.08, 0.6, 0.3, 0.8, 0.9),
    "diffusion": (0.45, 0.5, 0.15, 0.05, 0.1, 0.95, 0.7),
    "T2*": (0.5, 0.65, 0.95, 0.2, 0.25, 0.6, 0.8),
}


def _signal(rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """A weighting and its signal by tissue; half the time fat is suppressed, vessels are bright or flow voids."""
    name = str(rng.choice(list(_WEIGHTINGS)))
    white, grey, csf, fat, muscle, lesion, edema = (
        float(np.clip(level * np.exp(rng.normal(0, 0.12)), 0.02, 1.1)) for level in _WEIGHTINGS[name]
    )
    fat = fat * between(rng, 0.1, 0.4) if chance(rng, 0.35) else fat
    vessel = float(rng.choice([between(rng, 0.0, 0.1), between(rng, 0.6, 1.1)]))
    marrow = float(np.clip(0.75 * fat + 0.15 * between(rng, 0, 1), 0, 1))
    return name, {
        "spread": between(rng, 0.01, 0.035), "air": 0.0, "gas": between(rng, 0, 0.04), "fat": fat, "muscle": muscle,
        "liver": between(rng, 0.25, 0.7), "spleen": between(rng, 0.25, 0.8), "kidney": between(rng, 0.3, 0.9),
        "cortex": between(rng, 0.4, 1.1), "fluid": csf, "vessel": vessel, "vein": vessel * between(rng, 0.7, 1.1),
        "bone": between(rng, 0.01, 0.08), "marrow": marrow, "bowel": between(rng, 0.2, 0.8),
        "contrast": between(rng, 0.5, 1.0), "lung": between(rng, 0.01, 0.08), "lesion": lesion,
        "pancreas": between(rng, 0.3, 0.7), "heart": between(rng, 0.3, 0.7), "cord": between(rng, 0.4, 0.7),
        "white": white, "grey": grey, "csf": csf, "blood": between(rng, 0.05, 0.9), "edema": edema,
        "scalp": fat, "diploe": marrow, "skin": fat * 0.6, "bile": csf, "urine": csf, "stool": 0.4, "disc": 0.4,
        "least": 0.17, "bladder": csf,
    }  # fmt: skip


def _joint(scene: Scene, rng: np.random.Generator, tissue: dict[str, float]) -> tuple[str, ...]:
    """A knee-like joint: two bones with cortical rims, cartilage, muscles and fat."""
    view, spread = scene.view, tissue["spread"]
    scene.paint(blob(view, rng, (0, 0), (between(rng, 0.6, 0.85), 1.8), lumps=0.04), tissue["fat"], "limb", inside=True)
    for side in (-1, 1):
        place = (0.45 * side, between(rng, -0.5, 0.5))
        muscle = blob(view, rng, place, (between(rng, 0.12, 0.25), between(rng, 0.4, 0.9)), lumps=0.15)
        scene.paint(muscle, textured_muscle(rng, scene, tissue), "muscle")
    gap = between(rng, 0.03, 0.08)
    for name, sign in (("femur", -1), ("tibia", 1)):
        end = blob(view, rng, (0, sign * (gap + 0.3)), (between(rng, 0.34, 0.44), 0.3), lumps=0.08)
        shaft = blob(view, rng, (0.03, sign * 0.9), (between(rng, 0.18, 0.26), 0.7), lumps=0.03)
        outline = np.maximum(end, shaft)
        scene.paint(outline, tissue["bone"], name)
        inner = blob(view, rng, (0, sign * (gap + 0.3)), (0.34, 0.27), lumps=0.05)
        core = np.maximum(inner, blob(view, rng, (0.03, sign * 0.9), (0.16, 0.7), lumps=0.02)) * outline
        scene.paint(core, torso.textured(rng, scene, tissue["marrow"], spread, 50), None, inside=True)
    joint = blob(view, rng, (0, 0), (0.4, gap), lumps=0.1)
    scene.paint(joint, tissue["fluid"] * 0.7 + 0.2, "cartilage")
    if chance(rng, 0.35):
        place = (between(rng, -0.35, 0.35), float(rng.choice([-1, 1])) * (gap + 0.15))
        patch = blob(view, rng, place, (0.13, 0.1), lumps=0.2, edge=5)
        scene.paint(patch, tissue["edema"], "bone marrow edema", inside=True)
        return ("bone marrow edema",)
    return ()


def textured_muscle(rng: np.random.Generator, scene: Scene, tissue: dict[str, float]) -> Field:
    """Muscle with streaks of fat along its fibres."""
    streaks = np.clip(noise(rng, scene.view.shape[0], 30, stretch=0.15) - 1.2, 0, 1)
    result: Field = np.float32(tissue["muscle"]) + np.float32(tissue["fat"] - tissue["muscle"]) * 0.5 * streaks
    return result


def _sagittal_spine(scene: Scene, rng: np.random.Generator, tissue: dict[str, float]) -> tuple[str, ...]:
    """A column of vertebral bodies and discs with the cord behind them."""
    view = scene.view
    scene.paint(blob(view, rng, (0.1, 0), (1.1, 3.0), lumps=0.05), tissue["muscle"], None, inside=True)
    scene.value += 0.5 * (tissue["fat"] - tissue["muscle"]) * np.clip(noise(rng, view.shape[0], 9), 0, 1)
    bend = between(rng, -0.25, 0.25)
    scene.paint(blob(view, rng, (0.34 + bend * 0.3, 0), (0.11, 3.0), lumps=0.0), tissue["fluid"], "spinal canal")
    scene.paint(blob(view, rng, (0.34 + bend * 0.3, 0), (0.06, 3.0), lumps=0.0), tissue["cord"], "spinal cord")
    pitch = between(rng, 0.26, 0.4)
    bad = int(rng.integers(-2, 3)) if chance(rng, 0.35) else None
    for index in range(-4, 5):
        y = index * pitch
        x = bend * y * y
        body = (between(rng, 0.2, 0.24), pitch * 0.37)
        r = np.maximum(np.abs(view.x - x) / body[0], np.abs(view.y - y) / body[1]).astype(np.float32)
        shape = np.clip((1 - r) * body[1] / (2 * view.step[1]) + 0.5, 0, 1).astype(np.float32)
        scene.paint(shape, torso.textured(rng, scene, tissue["marrow"] + 0.1, tissue["spread"], 40), "vertebrae")
        bulge = between(rng, 1.15, 1.4) if index == bad else 1.0
        disc = blob(view, rng, (x + 0.03 * (bulge > 1), y + pitch / 2), (0.21 * bulge, pitch * 0.11), lumps=0.04)
        value = 0.5 * tissue["fluid"] if index == bad else 0.4 * tissue["fluid"] + 0.35
        scene.paint(disc, value, "herniated disc" if index == bad else "discs")
    return () if bad is None else ("herniated disc",)


def _draw(rng: np.random.Generator, size: int, part: str) -> tuple[Scene, tuple[str, ...], str]:
    weighting, tissue = _signal(rng)
    if part == "brain":
        view = make_view(rng, size, (0, 0), head.axial_half(rng))
        scene = Scene(view, tissue["air"])
        stripped = chance(rng, 0.2) or weighting == "diffusion"
        return scene, head.axial(scene, rng, tissue, skull=not stripped), "brain"
    if part == "head":
        half = between(rng, 1.0, 1.35)
        scene = Scene(make_view(rng, size, (0, 0.1), (half, half)), tissue["air"])
        return scene, head.sagittal(scene, rng, tissue), "head"
    if part == "knee":
        half = between(rng, 0.7, 1.1)
        scene = Scene(make_view(rng, size, (0, 0), (half, half)), tissue["air"])
        return scene, _joint(scene, rng, tissue), "knee"
    if part == "spine":
        half = between(rng, 0.7, 1.1)
        scene = Scene(make_view(rng, size, (0.1, 0), (half, half), tilt=0.3), tissue["air"])
        return scene, _sagittal_spine(scene, rng, tissue), "spine"
    close = chance(rng, 0.35)
    scale = between(rng, 0.22, 0.5) if close else between(rng, 0.95, 1.25)
    centre = (between(rng, -0.45, 0.45), between(rng, -0.3, 0.3)) if close else (0.0, 0.0)
    scene = Scene(make_view(rng, size, centre, (scale, scale * between(rng, 0.7, 1.0))), tissue["air"])
    return scene, abdomen.abdomen(scene, rng, tissue), "abdomen"


def _ghosts(rng: np.random.Generator, values: Field) -> Field:
    """Faint shifted copies along the phase direction, as motion leaves them."""
    shift = int(rng.integers(8, values.shape[0] // 3))
    copies = np.roll(values, shift, axis=0) + np.roll(values, -shift, axis=0)
    return values + np.float32(between(rng, 0.01, 0.05)) * copies


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One MR slice; anatomy is "brain", "head", "abdomen", "knee" or "spine"."""
    part = str(rng.choice(["brain", "head", "abdomen", "knee", "spine"], p=[0.42, 0.15, 0.25, 0.08, 0.1]))
    scene, findings, anatomy = _draw(rng, size, part)
    values = shade(rng, np.maximum(scene.value, 0), between(rng, 0.02, 0.22))
    if chance(rng, 0.25):
        values = _ghosts(rng, values)
    if chance(rng, 0.35):
        side = round(size * float(rng.choice([between(rng, 0.12, 0.3), between(rng, 0.35, 0.8)])))
        values = resize(resize(values, (side, side), smooth=False), (size, size), smooth=chance(rng, 0.6))
    noisy = degrade(rng, values)
    floor = between(rng, 0, 0.03) * np.abs(rng.standard_normal(values.shape, dtype=np.float32))
    magnitude = np.sqrt(noisy**2 + floor**2)
    peak = float(np.percentile(magnitude, between(rng, 97, 100)))
    image = display(rng, magnitude / max(peak, 0.05))
    if chance(rng, 0.1):
        image = words(rng, image, int(rng.integers(2, 8)), (0, 0, 0.85, 0.95))
    masks = scene.masks()
    return Phantom(compress(rng, image), "MR", anatomy, masks, tuple(name for name in findings if name in masks))
