"""What pictures of every body part are made of under an ultrasound probe: layers, fluid, bone, tubes, masses.

Positions are in the coordinates of the scan: x and y in [-1, 1], the probe at the top.
"""

import numpy as np

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Point, blob, fractal, noise
from mmedagent.training.phantoms.ultrasound_scan import Body


def grow(rng: np.random.Generator, radii: Point, low: float = 0.8, high: float = 1.2) -> Point:
    """Radii that vary from body to body."""
    return radii[0] * between(rng, low, high), radii[1] * between(rng, low, high)


def lump(body: Body, place: Point, radii: Point, angle: float = 0.0, lumps: float = 0.06, edge: float = 3.0) -> Field:
    """Coverage of a rounded shape."""
    return blob(body.scene.view, body.rng, place, radii, angle, lumps, edge)


def tissue(body: Body, level: float, spread: float = 0.25) -> None:
    """Fill everything with uneven tissue."""
    rng, size = body.rng, body.scene.view.shape[0]
    body.scene.value[:] = level * np.exp(spread * fractal(rng, size, between(rng, 3, 9), 3))


def layers(body: Body, reach: float) -> None:
    """Skin, fat and muscle down to `reach`: bands and streaks with bright fascia between them."""
    rng, view = body.rng, body.scene.view
    size = view.shape[0]
    depth = view.y + 0.04 * noise(rng, size, 3) + between(rng, -0.1, 0.1) * view.x
    top = -1.0
    streaks = noise(rng, size, between(rng, 20, 60), stretch=between(rng, 8, 60))
    while top < reach:
        thick = between(rng, 0.06, 0.5)
        inside = np.clip((depth - top) * 30, 0, 1) * np.clip((top + thick - depth) * 30, 0, 1)
        level = between(rng, 0.05, 0.45) * np.exp(between(rng, 0, 0.9) * streaks)
        body.scene.value += inside * (level - body.scene.value)
        line = np.exp(-(((depth - top) / between(rng, 0.006, 0.02)) ** 2))
        body.scene.value += between(rng, 0.2, 1.3) * line * np.clip(noise(rng, size, 6) + 0.7, 0, 1)
        top += thick


def fluid(body: Body, shape: Field, name: str | None, inside: bool = False) -> None:
    """Echo-free fluid with enhancement behind it and a bright far wall."""
    body.scene.paint(shape, between(body.rng, 0.0, 0.02), name, inside=inside)
    body.block(shape, -between(body.rng, 0.5, 2.5))


def bone(body: Body, shape: Field, name: str | None = None) -> None:
    """A bright surface with a shadow behind it."""
    body.scene.paint(shape, between(body.rng, 1.2, 2.5), name, inside=True)
    body.block(shape, between(body.rng, 25, 70))


def masses(body: Body, places: tuple[float, float] = (-0.4, 0.45)) -> None:
    """One or two cysts, solid masses or stones."""
    rng, view = body.rng, body.scene.view
    for _ in range(int(rng.integers(1, 3))):
        name = str(rng.choice(["cyst", "mass", "stone"]))
        place = (between(rng, -0.5, 0.5), between(rng, *places))
        radii = (between(rng, 0.1, 0.32), between(rng, 0.08, 0.26))
        if name == "stone":
            small = (between(rng, 0.05, 0.11), between(rng, 0.025, 0.05))
            bone(body, lump(body, place, small, lumps=0.15, edge=2), name)
        elif name == "cyst":
            fluid(body, lump(body, place, radii, between(rng, -0.5, 0.5), 0.05, 2), name, inside=True)
        else:
            shape = lump(body, place, radii, between(rng, -0.5, 0.5), between(rng, 0.05, 0.25), 5)
            level = float(body.scene.value[shape > 0.5].mean()) if (shape > 0.5).any() else 0.3
            darker = level * (between(rng, 0.08, 0.3) if chance(rng, 0.8) else between(rng, 2.2, 3.5))
            body.scene.paint(shape, darker * np.exp(0.4 * noise(rng, view.shape[0], 12)), name, inside=True)
            body.block(shape, between(rng, -1, 3))
        body.found.append(name)


def tube(body: Body, name: str, y: float, half: float) -> None:
    """A vessel along its length: a dark band between bright walls."""
    rng, view = body.rng, body.scene.view
    middle = y + between(rng, -0.25, 0.25) * view.x + 0.03 * noise(rng, view.shape[0], 3)
    across = np.abs(view.y - middle)
    for wall in (half * 1.05, half * 1.25):
        body.scene.value += between(rng, 0.3, 0.9) * np.exp(-(((across - wall) / 0.015) ** 2))
    fluid(body, np.clip((half - across) * 40, 0, 1), name)
