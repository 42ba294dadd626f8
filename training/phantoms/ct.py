"""Computed tomography: slices of abdomen, chest, head and spine in Hounsfield units, shown through a window."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmedagent.training.phantoms import abdomen, bones, head, pelvis, thorax, torso
from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, compress, degrade, display, sharpness, words
from mmedagent.training.phantoms.hounsfield import WINDOWS, through_window, tissue_table
from mmedagent.training.phantoms.noises import fractal, grain, resize
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.views import Point, make_view

SHARES = {"abdomen": 0.46, "chest": 0.22, "spine": 0.12, "head": 0.2}
WHOLE = ("body", "head")
NOISE = 14.0
"""Mean standard deviation of the noise in Hounsfield units."""


class Drawn(NamedTuple):
    """A slice before it is scanned.

    Attributes:
        scene: CT numbers and masks.
        findings: what is abnormal in it.
        windows: what it may be shown through.
        subtle: whether findings differ little from what surrounds them, so that noise and window must let them be seen.
        view: how the body part is seen.
    """

    scene: Scene
    findings: tuple[str, ...]
    windows: tuple[str, ...]
    subtle: bool = False
    view: str = "axial"


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One CT slice; anatomy is "abdomen", "chest", "spine" or "head"."""
    part = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    draw = {"abdomen": _abdomen, "chest": _chest, "spine": _spine, "head": _head}[part]
    drawn = draw(rng, size)
    if part != "head" and drawn.view == "axial" and chance(rng, 0.5):
        torso.table(drawn.scene, rng, between(rng, -700, 100))
    if chance(rng, 0.25):
        torso.field_of_view(drawn.scene, rng, float(rng.choice([-1000, -1024, -2000])))
    return _scan(rng, drawn, part)


def plain_abdomen(rng: np.random.Generator, size: int, level: float) -> Phantom:
    """A whole axial abdomen at a level as in `atlas`, with square pixels, a little noise and nothing burnt in."""
    scene = _scene(rng, size, (0.0, 0.0), (1.1, 1.1))
    findings = abdomen.abdomen(scene, rng, tissue_table(rng), level)
    torso.table(scene, rng, between(rng, -300, 0))
    values = sharpness(scene.value, 0.3) + np.float32(between(rng, 5, 10)) * grain(rng, size, 1.8)
    centre, width = WINDOWS["soft tissue"]
    image = (np.clip((values - centre) / width + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)
    masks = scene.masks()
    found = tuple(name for name in findings if name in masks)
    return Phantom(image, "CT", "abdomen", masks, found, view="axial", hounsfield=_whole_numbers(values))


def _whole_numbers(values: Field) -> NDArray[np.int16]:
    return np.clip(np.rint(values), -2048, 3071).astype(np.int16)


def _trunk_view(rng: np.random.Generator, size: int) -> Scene:
    """A view of the whole trunk or, at times, of a part of it."""
    scale = between(rng, 0.6, 0.9) if chance(rng, 0.15) else between(rng, 0.95, 1.3)
    aspect = 1.0 if chance(rng, 0.7) else between(rng, 0.72, 1.0)
    centre = (between(rng, -0.12, 0.12), between(rng, -0.1, 0.1))
    return _scene(rng, size, centre, (scale, scale * aspect))


def _scene(rng: np.random.Generator, size: int, centre: Point, half: Point) -> Scene:
    return Scene(make_view(rng, size, centre, half, tilt=0.1, warp=0.018), -1000.0, whole=WHOLE)


def _abdomen(rng: np.random.Generator, size: int) -> Drawn:
    scene, tissue = _trunk_view(rng, size), tissue_table(rng)
    if chance(rng, 0.22):
        return Drawn(scene, pelvis.pelvis(scene, rng, tissue), ("soft tissue", "soft tissue", "wide", "bone"))
    findings = abdomen.abdomen(scene, rng, tissue)
    if findings:
        bright = ("liver",) if tissue["liver"] > 85 else ()
        return Drawn(scene, findings, ("soft tissue", "soft tissue", *bright), subtle=True)
    return Drawn(scene, findings, ("soft tissue", "soft tissue", "soft tissue", "liver", "wide", "full"))


def _chest(rng: np.random.Generator, size: int) -> Drawn:
    scene = _trunk_view(rng, size)
    findings = thorax.thorax(scene, rng, tissue_table(rng))
    return Drawn(scene, findings, ("lung", "soft tissue", "wide", "full"))


def _spine(rng: np.random.Generator, size: int) -> Drawn:
    """A close-up of a vertebra with what lies around it, or a sagittal slice of a column of them."""
    if chance(rng, 0.3):
        half = between(rng, 0.7, 1.1)
        column = _scene(rng, size, (0.15, 0.0), (half, half))
        findings = bones.sagittal_spine(column, rng, tissue_table(rng))
        windows = ("soft tissue",) if findings else ("soft tissue", "wide", "bone")
        return Drawn(column, findings, windows, bool(findings), "sagittal")
    zoom = between(rng, 0.32, 0.6)
    centre = (between(rng, -0.1, 0.1), torso.SPINE[1] + 0.09 + between(rng, -0.1, 0.1))
    scene, tissue = _scene(rng, size, centre, (zoom, zoom * between(rng, 0.85, 1.1))), tissue_table(rng)
    if chance(rng, 0.4):
        return Drawn(scene, thorax.thorax(scene, rng, tissue), ("wide", "bone", "full", "soft tissue"))
    findings = abdomen.abdomen(scene, rng, tissue)
    return Drawn(
        scene, findings, ("soft tissue",) if findings else ("wide", "bone", "full", "soft tissue"), bool(findings)
    )


def _head(rng: np.random.Generator, size: int) -> Drawn:
    scene = Scene(make_view(rng, size, (0, 0), head.axial_half(rng)), -1000.0, whole=WHOLE)
    findings = head.axial(scene, rng, tissue_table(rng), skull=True)
    if findings:
        return Drawn(scene, findings, ("brain", "brain", "blood"), subtle=True)
    return Drawn(scene, findings, ("brain", "brain", "blood", "soft tissue", "wide"))


def _scan(rng: np.random.Generator, drawn: Drawn, part: str) -> Phantom:
    """Blur, noise and artefacts of the scanner, then a window."""
    size, subtle = drawn.scene.value.shape[0], drawn.subtle
    values = sharpness(drawn.scene.value, between(rng, 0.0, 0.5))
    if chance(rng, 0.2):
        values = values + np.float32(between(rng, 2, 6 if subtle else 10)) * fractal(rng, size, 16, 3)
    limit = (6.0 if part == "head" else 22.0) if subtle else 90.0
    noisy = min(float(rng.exponential(NOISE * (0.4 if part == "head" else 1.0))), limit)
    values = values + np.float32(noisy) * grain(rng, size, between(rng, 1, 2.4))
    if not subtle and chance(rng, 0.15):
        values = values + _streaks(rng, size)
    if chance(rng, 0.2):
        side = round(size * between(rng, 0.5, 0.8))
        values = resize(resize(values, (side, side), smooth=False), (size, size))
    hounsfield = _whole_numbers(values)
    shown = through_window(rng, drawn.windows, values, own=0.0 if subtle else 0.12)
    image = display(rng, degrade(rng, shown, strength=0.25), gamma=0.12)
    if chance(rng, 0.12):
        image = words(rng, image, int(rng.integers(2, 8)), (0, 0, 0.85, 0.95))
    masks = drawn.scene.masks()
    findings = tuple(name for name in drawn.findings if name in masks)
    return Phantom(compress(rng, image), "CT", part, masks, findings, view=drawn.view, hounsfield=hounsfield)


def _streaks(rng: np.random.Generator, size: int) -> Field:
    """Rays of alternating sign from one point, as dense metal or bone leaves them, in Hounsfield units."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    dy, dx = rows - between(rng, 0.2, 0.8) * size, columns - between(rng, 0.2, 0.8) * size
    turn = (np.arctan2(dy, dx) / np.pi + 1) * 120
    profile = rng.standard_normal(242).astype(np.float32) ** 3
    fade = np.exp(-np.sqrt(dx * dx + dy * dy) / (0.4 * size))
    result: Field = np.float32(between(rng, 3, 40)) * profile[turn.astype(np.int32)] * fade
    return result
