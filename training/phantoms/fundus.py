"""Retinal photographs: the full disc on black, and colour or grey close-ups."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, colour, compress, degrade, display, words
from mmedagent.training.phantoms.shapes import (
    Point,
    Scene,
    Stroke,
    View,
    blob,
    curves,
    fractal,
    grain,
    make_view,
    noise,
    union,
)


def _walk(rng: np.random.Generator, start: Point, heading: float, steps: int, stride: float, bend: float) -> Field:
    """A winding path of `steps` points; `bend` is the steady turn per step in rad."""
    wiggle = np.convolve(rng.normal(0, 0.16, steps + 4), np.ones(5) / 2, mode="valid")[:steps]
    turn = heading + bend * np.arange(steps) + wiggle
    path = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], axis=1) * stride, axis=0)
    walked: Field = (path + np.asarray(start)).astype(np.float32)
    return walked


def _arcades(rng: np.random.Generator, disc: Point, side: int) -> list[Stroke]:
    """Four arcades with branches from the optic disc, bending around the macula."""
    vessels: list[Stroke] = []
    for up in (-1, 1):
        for toward, bend in ((1, 0.035), (-1, -0.01)):
            for _ in range(2):
                heading = np.pi / 2 * up + (-side * toward) * up * between(rng, -0.9, -0.25)
                width = between(rng, 0.018, 0.034)
                turn = bend * up * side * between(rng, 0.5, 1.2)
                trunk = _walk(rng, disc, heading, 34, 0.05, -turn)
                vessels.append(Stroke(trunk, width, between(rng, 0.7, 1)))
                for joint in rng.integers(3, 30, int(rng.integers(4, 8))):
                    ahead = float(np.arctan2(*(trunk[joint] - trunk[joint - 1])[::-1]))
                    lean = float(rng.choice([-1, 1])) * between(rng, 0.35, 0.9)
                    place = (float(trunk[joint, 0]), float(trunk[joint, 1]))
                    twig = _walk(rng, place, ahead + lean, int(rng.integers(8, 18)), 0.04, between(rng, -0.05, 0.05))
                    vessels.append(Stroke(twig, width * between(rng, 0.3, 0.6), between(rng, 0.5, 0.9)))
    return vessels


def _lesions(
    rng: np.random.Generator, view: View, count: int, reach: float, size: tuple[float, float], lumps: float
) -> Field:
    shapes = []
    for _ in range(count):
        turn, distance = between(rng, 0, 2 * np.pi), reach * between(rng, 0, 1) ** 0.5
        length = between(rng, *size)
        place = (distance * float(np.cos(turn)), distance * float(np.sin(turn)))
        shapes.append(blob(view, rng, place, (length, length * between(rng, 0.6, 1)), turn, lumps, edge=2))
    return union(shapes)


def _retina(rng: np.random.Generator, size: int, close: bool) -> tuple[Field, Scene, list[str]]:
    """Colour of the retina in [0, 1], (H, W, 3), with its masks and findings."""
    half = between(rng, 0.3, 0.6) if close else between(rng, 0.98, 1.2)
    centre = (between(rng, -0.4, 0.4), between(rng, -0.3, 0.3)) if close else (0.0, 0.0)
    view = make_view(rng, size, centre, (half, half * between(rng, 0.95, 1.1)), warp=0.012)
    scene = Scene(view, 0.0)
    side = int(rng.choice([-1, 1]))
    disc, macula = (side * between(rng, 0.45, 0.85), between(rng, -0.1, 0.1)), (between(rng, -0.1, 0.1), 0.04)
    base = np.array([between(rng, 0.65, 0.95), between(rng, 0.25, 0.5), between(rng, 0.08, 0.28)], np.float32)
    light = 1 - between(rng, 0.05, 0.35) * (view.x**2 + view.y**2) + 0.06 * fractal(rng, size, 5, 4)
    rgb = base * light[..., None]
    yellow = np.array([1.0, between(rng, 0.75, 0.92), between(rng, 0.45, 0.7)], np.float32)

    def tint(shape: Field, target: Field, name: str | None = None, inside: bool = True) -> None:
        nonlocal rgb
        rgb = rgb + shape[..., None] * (target - rgb)
        if name:
            scene.paint(shape, 0.0, name, inside=inside)

    spot = np.exp(-(((view.x - macula[0]) ** 2 + (view.y - macula[1]) ** 2) / between(rng, 0.01, 0.05)))
    tint(between(rng, 0.25, 0.6) * spot, base * 0.45)
    scene.paint((spot > 0.5).astype(np.float32), 0.0, "macula", inside=True)
    radius = between(rng, 0.12, 0.18)
    rim = blob(view, rng, disc, (radius, radius * between(rng, 1.0, 1.15)), lumps=0.03, edge=3)
    tint(rim * between(rng, 0.6, 0.95), yellow * between(rng, 0.85, 1.0), "optic disc")
    share = between(rng, 0.3, 0.75)
    cup = blob(view, rng, disc, (radius * share, radius * share), lumps=0.05, edge=4)
    tint(cup * 0.6, np.minimum(yellow * 1.15, 1), "optic cup")
    vessels = curves(view, sorted(_arcades(rng, disc, side), key=lambda stroke: stroke.width))
    tint(vessels * between(rng, 0.5, 0.85), base * np.array([0.62, 0.3, 0.35], np.float32), "vessels")
    found = []
    if chance(rng, 0.3):
        exudates = _lesions(rng, view, int(rng.integers(3, 25)), 0.6, (0.01, 0.05), 0.1)
        tint(exudates * 0.9, np.minimum(yellow * between(rng, 0.9, 1.1), 1), "exudates")
        found.append("exudates")
    if chance(rng, 0.3):
        bleeding = _lesions(rng, view, int(rng.integers(3, 20)), 0.75, (0.012, 0.07), 0.12)
        tint(bleeding * 0.85, base * np.array([0.5, 0.2, 0.3], np.float32), "haemorrhages")
        found.append("haemorrhages")
    if share > 0.65:
        found.append("large optic cup")
        scene.paint(cup, 0.0, "large optic cup", inside=True)
    return np.clip(rgb, 0, 1).astype(np.float32), scene, found


def _aperture(rng: np.random.Generator, rgb: Field, scene: Scene) -> Field:
    """Black outside the camera's round opening, sometimes cut at top and bottom, sometimes with a notch."""
    view = scene.view
    reach = between(rng, 0.9, 1.0)
    ys, xs = np.meshgrid(np.linspace(-1, 1, view.shape[0]), np.linspace(-1, 1, view.shape[1]), indexing="ij")
    r = np.sqrt(xs**2 + (ys * between(rng, 0.96, 1.04)) ** 2) * between(rng, 1.0, 1.1)
    opening = np.clip((reach - r) * view.shape[0] / 5, 0, 1)
    if chance(rng, 0.3):
        opening = opening * (np.abs(ys) < between(rng, 0.7, 0.95))
    if chance(rng, 0.2):
        notch = blob(view, rng, (0.7 * reach, -0.7 * reach), (0.05, 0.05), lumps=0.0)
        opening = np.maximum(opening, notch)
    outside = (1 - opening).astype(np.float32)
    scene.paint(outside, 0.0, None)
    glow = 1 - between(rng, 0.0, 0.5) * np.clip((r / reach - 0.75) * 4, 0, 1)
    return rgb * (opening * glow)[..., None].astype(np.float32)


def _grey_close_up(rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], Scene, list[str]]:
    """A grey close-up: grainy nerve-fibre texture, a few dark vessels and dark dots (microaneurysms)."""
    view = make_view(rng, size, (0, 0), (1, 1), tilt=1.0, warp=0.03)
    scene = Scene(view, between(rng, 0.55, 0.8))
    scene.value += 0.05 * fractal(rng, size, 6, 4) + 0.03 * noise(rng, size, 50, stretch=between(rng, 0.2, 5))
    dark, vertical = between(rng, 0.25, 0.45), chance(rng, 0.5)
    strokes = []
    for _ in range(int(rng.integers(2, 7))):
        offset = between(rng, -0.9, 0.9)
        start, heading = ((offset, -1.2), np.pi / 2) if vertical else ((-1.2, offset), 0.0)
        walk = _walk(rng, start, heading, 60, 0.045, between(rng, -0.01, 0.01))
        strokes.append(Stroke(walk, between(rng, 0.02, 0.07), between(rng, 0.7, 1)))
    scene.paint(curves(view, strokes) * between(rng, 0.6, 1.0), dark, "vessels", inside=True)
    found = []
    if chance(rng, 0.7):
        dots = _lesions(rng, view, int(rng.integers(1, 9)), 1.0, (0.02, 0.06), 0.08)
        scene.paint(dots, dark * 0.8, "microaneurysms", inside=True)
        found.append("microaneurysms")
    values = ndimage.gaussian_filter(scene.value, between(rng, 0.3, 1.2))
    return display(rng, degrade(rng, values + 0.03 * grain(rng, size, 2))), scene, found


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One retinal photograph; anatomy is "eye"."""
    style = rng.random()
    if style < 0.15:
        image, scene, found = _grey_close_up(rng, size)
    else:
        close = style < 0.35
        rgb, scene, found = _retina(rng, size, close)
        if not close:
            rgb = _aperture(rng, rgb, scene)
        cast = np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)
        if chance(rng, 0.18):
            image = display(rng, degrade(rng, rgb[..., 1] / max(float(rgb[..., 1].max()), 0.2), 0.6))
        else:
            tone = np.float32(np.exp(rng.normal(0, 0.2)))
            lit = rgb.max(axis=2, keepdims=True) > 0.02
            image = colour((rgb * cast) ** tone + 0.012 * grain(rng, size, 1.5)[..., None] * lit)
    if chance(rng, 0.08):
        image = words(rng, image, 1, (0, 0.9, 0.6, 0.95))
    masks = scene.masks()
    return Phantom(compress(rng, image), "fundus", "eye", masks, tuple(sorted(n for n in found if n in masks)))
