"""Random textured shapes on random textured grounds.

They are there so that a box means "the object in here" on images unlike any phantom.
"""

import numpy as np

from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, colour, degrade, display
from mmedagent.training.phantoms.shapes import Scene, blob, fractal, make_view, noise

LEAST_PIXELS = 12


def _texture(rng: np.random.Generator, size: int, spread: float) -> Field:
    """A ground of random scale and direction around a random level."""
    level = between(rng, 0.05, 0.95)
    if chance(rng, 0.3):
        return np.full((size, size), level, np.float32)
    pattern = (
        fractal(rng, size, between(rng, 2, 40), 3)
        if chance(rng, 0.5)
        else noise(rng, size, between(rng, 3, 90), stretch=float(np.exp(rng.normal(0, 1))))
    )
    return np.float32(level) + np.float32(spread * rng.exponential(0.6)) * pattern


def abstract_phantom(rng: np.random.Generator, size: int) -> Phantom:
    """Random objects with random texture, edge and brightness, some with rings, cores or holes; of no modality."""
    scene = Scene(make_view(rng, size, tilt=1.0, warp=between(rng, 0, 0.12)), 0.0)
    scene.value[:] = _texture(rng, size, 0.15)
    if chance(rng, 0.3):
        scene.paint(blob(scene.view, rng, (0, 0), (0.9, 0.8), lumps=0.06), _texture(rng, size, 0.1), "0")
    for index in range(int(rng.integers(2, 9))):
        place = (between(rng, -0.9, 0.9), between(rng, -0.9, 0.9))
        longest = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
        radii = (longest, longest * between(rng, 0.3, 1))
        angle, lumps = between(rng, 0, 3.1), float(rng.choice([0.0, 0.05, 0.12, 0.25]))
        shape = blob(scene.view, rng, place, radii, angle, lumps, edge=float(np.exp(rng.uniform(0, 2))))
        scene.paint(shape * between(rng, 0.5, 1), _texture(rng, size, 0.12), str(index + 1), inside=chance(rng, 0.2))
        if chance(rng, 0.3):
            share = between(rng, 0.4, 0.85)
            core = blob(scene.view, rng, place, (radii[0] * share, radii[1] * share), angle, lumps)
            scene.paint(core, _texture(rng, size, 0.12), f"core {index}", inside=chance(rng, 0.6))
    values = degrade(rng, scene.value)
    if chance(rng, 0.65):
        image = display(rng, values)
    else:
        other = np.stack([values, _texture(rng, size, 0.05), _texture(rng, size, 0.05)], axis=-1)
        mix = rng.dirichlet((1, 0.4, 0.4), 3).astype(np.float32)
        image = colour(other @ mix.T)
    return Phantom(image, "", "", scene.masks(LEAST_PIXELS), ())
