"""Knee joints and sagittal slices of the spine, painted with any table of tissue values."""

import numpy as np

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.noises import noise
from mmedagent.training.phantoms.patches import fill, grown, oval, ribbon, smooth
from mmedagent.training.phantoms.shapes import Scene, blob
from mmedagent.training.phantoms.torso import Tissue, textured


def knee(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """A coronal slice of a knee: two bones with cortical rims, cartilage, muscles and fat. Returns the findings."""
    view, spread = scene.view, tissue["spread"]
    scene.paint(blob(view, rng, (0, 0), (between(rng, 0.6, 0.85), 1.8), lumps=0.04), tissue["fat"], "limb")
    for side in (-1, 1):
        place = (0.45 * side, between(rng, -0.5, 0.5))
        muscle = blob(view, rng, place, (between(rng, 0.12, 0.25), between(rng, 0.4, 0.9)), lumps=0.15)
        scene.paint(muscle, _streaked(rng, scene, tissue), "muscle", inside=("limb",))
    gap = between(rng, 0.03, 0.07)
    for name, sign in (("femur", -1), ("tibia", 1)):
        outline = _bone_end(rng, sign, gap)
        scene.paint(fill(view, outline), tissue["bone"], name, inside=("limb",))
        core = fill(view, grown(outline, -0.03), soft=0.5)
        value = np.float32(tissue["marrow"]) + np.float32(spread) * noise(rng, view.shape[0], 50, window=core.window)
        scene.paint(core, value, None, inside=True)
    joint = ribbon([(-0.36, 0), (-0.18, 0.01), (0, -0.02), (0.18, 0.01), (0.36, 0)],
                   np.array([1.2, 2, 1.4, 2, 1.2]) * gap)  # fmt: skip
    scene.paint(fill(view, joint, soft=0.5), tissue["fluid"] * 0.6 + 0.2, "cartilage", inside=("limb",))
    wedges = [oval(rng, (side * 0.34, 0), (0.07, 0.6 * gap), 0.0, 0.1) for side in (-1, 1)]
    scene.paint(fill(view, *wedges), tissue["bone"], "meniscus", inside=("limb",))
    if chance(rng, 0.35):
        place = (between(rng, -0.3, 0.3), float(rng.choice([-1, 1])) * (gap + 0.17))
        patch = blob(view, rng, place, (between(rng, 0.1, 0.17), 0.1), lumps=0.2, edge=5)
        contrast = tissue["fluid"] if abs(tissue["fluid"] - tissue["marrow"]) > 0.3 else tissue["marrow"] - 0.35
        scene.paint(patch, max(contrast, 0.05), "bone marrow edema", inside=True)
        return ("bone marrow edema",)
    return ()


def _bone_end(rng: np.random.Generator, sign: int, gap: float) -> Field:
    """The end of a long bone with two condyles at the joint, and its shaft beyond the image."""
    wide, shaft = between(rng, 0.36, 0.43), between(rng, 0.17, 0.24)
    notch = gap + (0.07 if sign < 0 else 0.0)
    points = [(-shaft, 2.0), (-shaft, 0.75), (-wide, 0.35), (-0.9 * wide, 0.09), (-0.5 * wide, gap), (0.0, notch),
              (0.5 * wide, gap), (0.9 * wide, 0.09), (wide, 0.35), (shaft, 0.75), (shaft, 2.0)]  # fmt: skip
    return smooth(np.asarray(points) * np.array([1, sign]) + rng.normal(0, 0.01, (len(points), 2)))


def _streaked(rng: np.random.Generator, scene: Scene, tissue: Tissue) -> Field:
    """Muscle with streaks of fat along its fibres."""
    streaks = np.clip(noise(rng, scene.view.shape[0], 30, stretch=0.15) - 1.2, 0, 1)
    result: Field = np.float32(tissue["muscle"]) + np.float32(tissue["fat"] - tissue["muscle"]) * 0.5 * streaks
    return result


def sagittal_spine(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """A column of vertebral bodies and discs, the canal with the cord behind them, and spines. Returns the findings."""
    view = scene.view
    scene.paint(blob(view, rng, (0.1, 0), (1.1, 3.0), lumps=0.05), textured(rng, scene, tissue["muscle"], 0), "body")
    stripes = np.clip(noise(rng, view.shape[0], 9), 0, 1)
    scene.value += np.float32(0.5 * (tissue["fat"] - tissue["muscle"])) * stripes
    bend, pitch = between(rng, -0.2, 0.2), between(rng, 0.26, 0.4)
    course = [(bend * y * y, y) for y in np.linspace(-1.6, 1.6, 9)]
    back = ribbon([(x + 0.33, y) for x, y in course], np.full(9, 0.2))
    scene.paint(fill(view, back), tissue["fluid"], "spinal canal")
    cord = ribbon([(x + 0.34, y) for x, y in course], np.full(9, between(rng, 0.08, 0.11)))
    scene.paint(fill(view, cord, soft=0.5), tissue["cord"], "spinal cord", inside=("spinal canal",))
    bad = int(rng.integers(-2, 3)) if chance(rng, 0.35) else None
    for index in range(-5, 6):
        _segment(scene, rng, tissue, (bend, index * pitch, pitch), index == bad)
    return () if bad is None else ("herniated disc",)


def _segment(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, place: tuple[float, float, float], bad: bool
) -> None:  # fmt: skip
    """A vertebral body with its spinous process and the disc below; a bad disc is thin and bulges into the canal."""
    bend, y, pitch = place
    x, view = bend * y * y, scene.view
    wide, tall = between(rng, 0.2, 0.225), pitch * between(rng, 0.36, 0.39)
    corners = np.array([(-1, -1), (0, -0.9), (1, -1), (0.93, 0), (1, 1), (0, 0.9), (-1, 1), (-0.93, 0)])
    body = smooth(
        (corners * np.array([wide, tall]) + np.array([x, y]) + rng.normal(0, 0.004, (8, 2))).astype(np.float32), 4
    )
    spine = oval(rng, (x + 0.62, y + 0.35 * pitch), (0.16, 0.2 * pitch), 0.35, 0.06)
    rim, core = fill(view, body, spine), fill(view, grown(body, -0.018), grown(spine, -0.018), soft=0.5)
    scene.paint(rim, tissue["bone"], "vertebrae")
    spread = 0.05 * abs(tissue["marrow"] - tissue["bone"])
    value = np.float32(tissue["marrow"]) + np.float32(spread) * noise(rng, view.shape[0], 40, window=core.window)
    scene.paint(core, value, None, inside=True)
    bulge = between(rng, 0.06, 0.1) if bad else 0.0
    disc = oval(
        rng, (x + 0.01 + 0.5 * bulge, y + pitch / 2), (0.21 + 0.5 * bulge, pitch * (0.1 if bad else 0.13)), 0.0, 0.04
    )
    level = 0.5 * tissue["disc"] + 0.5 * tissue["bone"] if bad and tissue["bone"] < tissue["disc"] else tissue["disc"]
    scene.paint(fill(view, disc, soft=0.4), level, "herniated disc" if bad else "discs")
