"""Magnetic resonance: brain, head, abdomen, knee and spine slices in the usual weightings."""

from typing import NamedTuple

import numpy as np

from mmedagent.training.phantoms import abdomen, bones, head, head_sections, pelvis
from mmedagent.training.phantoms.base import Field, Phantom, Pixels
from mmedagent.training.phantoms.finish import between, chance, compress, degrade, display, shade, words
from mmedagent.training.phantoms.noises import grain, resize
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.signals import signal_table, technique
from mmedagent.training.phantoms.views import Point, make_view

SHARES = {"brain": 0.46, "head": 0.12, "abdomen": 0.25, "knee": 0.07, "spine": 0.1}
WHOLE = ("body", "head")


class Drawn(NamedTuple):
    """A slice before it is scanned: signal and masks, findings, view, and whether details must stay visible."""

    scene: Scene
    findings: tuple[str, ...]
    view: str
    weighting: str


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One MR slice; anatomy is "brain", "head", "abdomen", "knee" or "spine"."""
    part = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    draw = {"brain": _brain, "head": _head, "abdomen": _abdomen, "knee": _knee, "spine": _spine}[part]
    drawn = draw(rng, size)
    image = _scan(rng, drawn.scene.value, careful=bool(drawn.findings))
    masks = drawn.scene.masks()
    findings = tuple(name for name in drawn.findings if name in masks)
    return Phantom(image, "MR", part, masks, findings, view=drawn.view, technique=technique(drawn.weighting))


def _scene(rng: np.random.Generator, size: int, centre: Point, half: Point, tilt: float = 0.12) -> Scene:
    return Scene(make_view(rng, size, centre, half, tilt=tilt, warp=0.02), 0.0, whole=WHOLE)


def _brain(rng: np.random.Generator, size: int) -> Drawn:
    """Axial or, more rarely, coronal."""
    weighting, tissue = signal_table(rng, body=False)
    if chance(rng, 0.2):
        half = between(rng, 0.85, 1.15)
        scene = _scene(rng, size, (0, -0.1 + between(rng, -0.05, 0.05)), (half, half))
        return Drawn(scene, head_sections.coronal(scene, rng, tissue), "coronal", weighting)
    scene = _scene(rng, size, (0, 0), head.axial_half(rng))
    stripped = chance(rng, 0.15) or weighting == "DWI"
    return Drawn(scene, head.axial(scene, rng, tissue, skull=not stripped), "axial", weighting)


def _head(rng: np.random.Generator, size: int) -> Drawn:
    weighting, tissue = signal_table(rng, body=False)
    half = between(rng, 0.95, 1.3)
    scene = _scene(rng, size, (0, 0.05 + between(rng, -0.05, 0.15)), (half, half))
    return Drawn(scene, head_sections.sagittal(scene, rng, tissue), "sagittal", weighting)


def _abdomen(rng: np.random.Generator, size: int) -> Drawn:
    weighting, tissue = signal_table(rng, body=True)
    scale = between(rng, 0.6, 0.9) if chance(rng, 0.15) else between(rng, 0.95, 1.2)
    centre = (between(rng, -0.1, 0.1), between(rng, -0.08, 0.08))
    scene = _scene(rng, size, centre, (scale, scale * between(rng, 0.72, 1.0)), tilt=0.08)
    draw = pelvis.pelvis if chance(rng, 0.15) else abdomen.abdomen
    return Drawn(scene, draw(scene, rng, tissue), "axial", weighting)


def _knee(rng: np.random.Generator, size: int) -> Drawn:
    weighting, tissue = signal_table(rng, body=True)
    half = between(rng, 0.7, 1.1)
    scene = _scene(rng, size, (0, 0), (half, half))
    return Drawn(scene, bones.knee(scene, rng, tissue), "coronal", weighting)


def _spine(rng: np.random.Generator, size: int) -> Drawn:
    weighting, tissue = signal_table(rng, body=True)
    half = between(rng, 0.7, 1.1)
    scene = _scene(rng, size, (0.15, 0), (half, half), tilt=0.25)
    return Drawn(scene, bones.sagittal_spine(scene, rng, tissue), "sagittal", weighting)


def _scan(rng: np.random.Generator, signal: Field, careful: bool) -> Pixels:
    """Uneven coil, motion, loss of resolution, Rician noise, then a grey scale; `careful` keeps findings visible."""
    size = signal.shape[0]
    values = shade(rng, np.maximum(signal, 0), between(rng, 0.02, 0.12 if careful else 0.22))
    if chance(rng, 0.2):
        values = _ghosts(rng, values)
    if chance(rng, 0.3):
        share = between(rng, 0.45, 0.8) if careful or chance(rng, 0.6) else between(rng, 0.15, 0.4)
        side = round(size * share)
        values = resize(resize(values, (side, side), smooth=False), (size, size), smooth=chance(rng, 0.6))
    noisy = degrade(rng, values, 0.6 if careful else 1.0)
    floor = np.float32(between(rng, 0, 0.03)) * grain(rng, size, 1.0)
    magnitude = np.sqrt(noisy * noisy + floor * floor)
    peak = float(np.percentile(magnitude[::3, ::3], between(rng, 99.5 if careful else 98.5, 100)))
    image = display(rng, magnitude / np.float32(max(peak, 0.05)), gamma=0.15 if careful else 0.22)
    if chance(rng, 0.1):
        image = words(rng, image, int(rng.integers(2, 8)), (0, 0, 0.85, 0.95))
    return compress(rng, image)


def _ghosts(rng: np.random.Generator, values: Field) -> Field:
    """Faint shifted copies along the phase direction, as motion leaves them."""
    shift = int(rng.integers(8, values.shape[0] // 3))
    copies = np.roll(values, shift, axis=0) + np.roll(values, -shift, axis=0)
    result: Field = values + np.float32(between(rng, 0.01, 0.05)) * copies
    return result
