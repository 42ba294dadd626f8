"""Anatomy of the head, painted with any table of tissue values: axial and sagittal slices.

The head spans about [-0.75, 0.75] x [-0.95, 0.95] in axial view (nose up) and [-1, 1] in sagittal view (nose left).
"""

import numpy as np

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Point, Scene, band, blob, fractal, noise, union
from mmedagent.training.phantoms.torso import Tissue, textured


def axial_half(rng: np.random.Generator) -> Point:
    """Half-extent of a random axial view, from a close-up to a head with wide margins."""
    scale = between(rng, 0.5, 0.8) if chance(rng, 0.12) else between(rng, 0.95, 1.5)
    return scale * between(rng, 0.8, 1.1), scale


def _folds(scene: Scene, rng: np.random.Generator, centre: Point) -> Field:
    """Signed noise that changes around the brain rather than with depth: its zeros are the sulci."""
    view, bins = scene.view, 2048
    cells = int(rng.integers(26, 60))
    around = np.interp(np.linspace(0, cells, bins), np.arange(cells + 1), rng.standard_normal(cells + 1))
    turn = np.arctan2(view.y - centre[1], view.x - centre[0]) / (2 * np.pi) + 0.02 * noise(rng, view.shape[0], 9)
    folds: Field = around.astype(np.float32)[(turn * bins).astype(np.int32) % bins]
    return folds + 0.35 * noise(rng, view.shape[0], 14)


def _level(scene: Scene, centre: Point, radii: Point) -> Field:
    dx, dy = (scene.view.x - centre[0]) / radii[0], (scene.view.y - centre[1]) / radii[1]
    result: Field = np.sqrt(dx * dx + dy * dy).astype(np.float32)
    return result


def _brain(scene: Scene, rng: np.random.Generator, tissue: Tissue, centre: Point, radii: Point) -> Field:
    """Cortex, white matter and sulci inside an ellipse; returns the coverage of the brain."""
    level = _level(scene, centre, radii)
    brain = blob(scene.view, rng, centre, radii, lumps=0.012)
    spread = tissue["spread"] * 0.5
    scene.paint(brain, textured(rng, scene, tissue["grey"], spread), "brain", inside=True)
    folds = np.abs(_folds(scene, rng, centre))
    depth = between(rng, 0.12, 0.3)
    inner = 0.93 - depth * np.exp(-((folds / 0.45) ** 2)) - between(rng, 0.06, 0.12)
    white = np.clip((inner - level) * 22 + 0.5, 0, 1) * brain
    scene.paint(white, textured(rng, scene, tissue["white"], spread), "white matter", inside=True)
    sulci = np.clip((0.14 - folds) * 8, 0, 1) * np.clip((level - 1 + depth) * 12, 0, 1) * brain
    scene.paint(sulci * between(rng, 0.2, 0.9), tissue["csf"], None, inside=True)
    return brain


def _ventricles(scene: Scene, rng: np.random.Generator, tissue: Tissue, centre: Point) -> None:
    view, swell = scene.view, between(rng, 0.6, 1.5)
    parts = []
    for side in (-1, 1):
        front = (centre[0] + side * 0.1, centre[1] - 0.18)
        back = (centre[0] + side * 0.16, centre[1] + 0.22)
        parts.append(blob(view, rng, front, (0.05 * swell, 0.15 * swell), 0.35 * side, lumps=0.1))
        if chance(rng, 0.75):
            parts.append(blob(view, rng, back, (0.05 * swell, 0.13 * swell), -0.4 * side, lumps=0.15))
        nucleus = blob(view, rng, (centre[0] + side * 0.2, centre[1]), (0.09, 0.17), 0.2 * side, lumps=0.12)
        scene.paint(nucleus * between(rng, 0.5, 1), tissue["grey"], "deep grey matter", inside=True)
    if chance(rng, 0.6):
        parts.append(blob(view, rng, (centre[0], centre[1] + 0.05), (0.02, 0.1), lumps=0.1))
    scene.paint(union(parts), tissue["csf"], "ventricles")


def _lesion(scene: Scene, rng: np.random.Generator, tissue: Tissue, brain: Field) -> tuple[str, ...]:
    kind = str(rng.choice(["tumour", "haemorrhage", "infarct"]))
    turn, distance = between(rng, 0, 2 * np.pi), between(rng, 0.1, 0.42)
    place = (distance * float(np.cos(turn)), 1.3 * distance * float(np.sin(turn)))
    size = between(rng, 0.06, 0.22)
    radii = (size, size * between(rng, 0.6, 1.0))
    angle = between(rng, 0, 3.1)
    if kind == "infarct":
        shape = blob(scene.view, rng, place, (radii[0] * 1.4, radii[1]), angle, lumps=0.2, edge=4) * brain
        scene.paint(shape, tissue["edema"], "infarct", inside=True)
        return (kind,)
    around = blob(scene.view, rng, place, (radii[0] * 1.6, radii[1] * 1.6), angle, lumps=0.2, edge=6) * brain
    scene.paint(around * between(rng, 0.3, 0.9), tissue["edema"], None, inside=True)
    value = tissue["blood"] if kind == "haemorrhage" else tissue["lesion"]
    shape = blob(scene.view, rng, place, radii, angle, lumps=0.14) * brain
    scene.paint(shape, textured(rng, scene, value, tissue["spread"]), kind, inside=True)
    if kind == "tumour" and chance(rng, 0.5):
        core = blob(scene.view, rng, place, (radii[0] * 0.6, radii[1] * 0.6), angle, lumps=0.2) * brain
        scene.paint(core, tissue["csf"], None, inside=True)
    return (kind,)


def axial(scene: Scene, rng: np.random.Generator, tissue: Tissue, skull: bool) -> tuple[str, ...]:
    """An axial slice of the head, with or without scalp and skull. Returns the findings."""
    view = scene.view
    width, length = between(rng, 0.58, 0.68), between(rng, 0.75, 0.85)
    bone = between(rng, 0.03, 0.07)
    if skull:
        outline = (width + bone + between(rng, 0.04, 0.1), length + bone + between(rng, 0.04, 0.1))
        scene.paint(blob(view, rng, (0, 0), outline, lumps=0.015), tissue["scalp"], "head", inside=True)
        scene.paint(blob(view, rng, (0, 0), (width + bone, length + bone), lumps=0.008), tissue["bone"], "skull")
        level = _level(scene, (0, 0), (width + bone / 2, length + bone / 2))
        scene.paint(band(view, level, 1, bone * 0.5, width, edge=2), tissue["diploe"], None, inside=True)
    scene.paint(blob(view, rng, (0, 0), (width, length), lumps=0.008), tissue["csf"] if skull else tissue["air"], None)
    gap = between(rng, 0.0, 0.04)
    brain = _brain(scene, rng, tissue, (0, 0), (width - gap, length - gap))
    fissure = np.clip(1.3 - np.abs(view.x + 0.02 * noise(rng, view.shape[0], 6)) / 0.012, 0, 1)
    middle = between(rng, 0.25, 0.5)
    scene.paint(fissure * (np.abs(view.y) > middle) * brain, tissue["csf"], None, inside=True)
    if chance(rng, 0.8):
        _ventricles(scene, rng, tissue, (between(rng, -0.03, 0.03), between(rng, -0.1, 0.05)))
    if skull and chance(rng, 0.25):
        _base(scene, rng, tissue)
    return _lesion(scene, rng, tissue, brain) if chance(rng, 0.4) else ()


def _base(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> None:
    """Orbits, air cells and the bony ridges of a slice through the base of the skull."""
    view = scene.view
    for side in (-1, 1):
        ridge = blob(view, rng, (0.3 * side, 0.1), (0.25, 0.06), 0.6 * side, lumps=0.15)
        scene.paint(ridge, tissue["bone"], "skull")
        cells = blob(view, rng, (0.36 * side, 0.16), (0.1, 0.05), 0.6 * side, lumps=0.2)
        scene.paint(cells * (fractal(rng, view.shape[0], 30, 2) > 0), tissue["gas"], None, inside=True)
        wing = blob(view, rng, (0.35 * side, -0.3), (0.22, 0.03), -0.5 * side, lumps=0.1)
        scene.paint(wing, tissue["bone"], "skull")
        scene.paint(blob(view, rng, (0.3 * side, -0.58), (0.16, 0.17)), tissue["fat"], None)
        scene.paint(blob(view, rng, (0.3 * side, -0.64), (0.1, 0.1), lumps=0.02), tissue["fluid"], "eye")
    scene.paint(blob(view, rng, (0, -0.5), (0.1, 0.2), lumps=0.2), tissue["gas"], "sinus")


def sagittal(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """A midline or lateral sagittal slice: cranium, face, neck, cerebellum and brain stem. Returns the findings."""
    view = scene.view
    neck = blob(view, rng, (0.2, 0.75), (0.3, 0.6), -0.15)
    face = blob(view, rng, (-0.5, 0.35), (between(rng, 0.25, 0.36), between(rng, 0.42, 0.55)), 0.25, lumps=0.14)
    cranium = blob(view, rng, (0.05, -0.2), (0.78, 0.68), lumps=0.02)
    scene.paint(union([neck, face, cranium]), tissue["scalp"], "head", inside=True)
    flesh = blob(view, rng, (-0.42, 0.35), (0.24, 0.36), 0.2, lumps=0.25)
    scene.paint(union([flesh, blob(view, rng, (0.2, 0.75), (0.25, 0.5), -0.15)]),
                textured(rng, scene, tissue["muscle"], tissue["spread"] * 8, 14), None, inside=True)  # fmt: skip
    for _ in range(int(rng.integers(2, 6))):
        place = (between(rng, -0.65, -0.25), between(rng, 0.15, 0.6))
        hollow = blob(view, rng, place, (between(rng, 0.04, 0.14), between(rng, 0.03, 0.07)), 0.2, lumps=0.2)
        scene.paint(hollow, tissue["gas"], None, inside=True)
    scene.paint(blob(view, rng, (0.05, -0.2), (0.72, 0.62), lumps=0.02), tissue["bone"], "skull")
    scene.paint(blob(view, rng, (0.05, -0.2), (0.68, 0.58), lumps=0.02), tissue["csf"], None)
    brain = _brain(scene, rng, tissue, (0.05, -0.24), (0.65, 0.5))
    if chance(rng, 0.6):
        callosum = band(view, _level(scene, (0.05, -0.15), (0.3, 0.2)), 1, 0.25, 0.2) * (view.y < -0.15)
        scene.paint(callosum * brain, tissue["white"], "corpus callosum", inside=True)
        scene.paint(blob(view, rng, (0.05, -0.18), (0.22, 0.1), lumps=0.1) * brain, tissue["csf"], "ventricles")
        stem = blob(view, rng, (0.14, 0.25), (0.09, 0.35), -0.15, lumps=0.08)
        scene.paint(stem, tissue["white"], "brain stem")
    cerebellum = blob(view, rng, (0.42, 0.18), (0.24, 0.18), 0.2, lumps=0.08)
    leaves = 0.5 + 0.5 * np.sin(fractal(rng, view.shape[0], 6, 2) * 3 + view.y * between(rng, 60, 110))
    folia = tissue["grey"] + (tissue["white"] - tissue["grey"]) * leaves.astype(np.float32)
    scene.paint(cerebellum, folia, "cerebellum")
    return _lesion(scene, rng, tissue, brain) if chance(rng, 0.3) else ()
