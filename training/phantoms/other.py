"""Images that are not medical: what a classifier of medical images has to turn away.

Surfaces, scenes and drawn pages; two in five of them grey, as grey close-ups are what is most easily taken for a scan.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from mmedagent.training.phantoms import documents, scenes, textures
from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, colour, compress
from mmedagent.training.phantoms.shapes import grain, noise, resize

Drawer = Callable[[np.random.Generator, int], Field]

_PHOTOGRAPHS: tuple[Drawer, ...] = (
    textures.clouds, textures.brick, textures.wood, textures.blades, textures.pebbles, textures.cloth, textures.rough,
    scenes.leaves, scenes.leaves, scenes.land, scenes.land, scenes.backdrop, scenes.coins, scenes.coins, scenes.clock,
    scenes.creature, scenes.creature, scenes.things, scenes.things, scenes.night, scenes.stairs,
)  # fmt: skip
_DRAWINGS: tuple[Drawer, ...] = (
    documents.line_chart, documents.bar_chart, documents.scatter_chart, documents.pie_chart, documents.heat_map,
    documents.page, documents.page, documents.screen, documents.diagram, documents.board, documents.plain,
    textures.static, scenes.silhouette,
)  # fmt: skip


def _photographed(rng: np.random.Generator, values: Field) -> Field:
    """What a camera adds: uneven light, a corner shadow, blur, noise, contrast."""
    size = values.shape[0]
    if chance(rng, 0.5):
        values = values * np.clip(1 + between(rng, 0, 0.25) * noise(rng, size, 2), 0.3, 2)[..., None]
    if chance(rng, 0.2):
        rows, columns = textures.grid(size)
        values = values * (1 - between(rng, 0.2, 1.5) * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2))[..., None]
    if chance(rng, 0.35):
        values = ndimage.gaussian_filter(values, (between(rng, 0.4, 1.6),) * 2 + (0,), truncate=2.5)
    values = np.clip(values, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.35)))
    return values + np.float32(rng.exponential(0.015)) * grain(rng, size, between(rng, 1, 2.5))[..., None]


def _panels(rng: np.random.Generator, size: int) -> Field:
    """A figure of two to six photographs side by side."""
    rows, columns = int(rng.integers(1, 3)), int(rng.integers(2, 4))
    values = np.full((size, size, 3), between(rng, 0, 1), np.float32)
    height, width, gap = size // rows, size // columns, int(rng.integers(0, 6))
    for index in range(rows * columns):
        drawer = _PHOTOGRAPHS[int(rng.integers(len(_PHOTOGRAPHS)))]
        small = drawer(rng, max(48, size // 2))
        shape = (height - gap, width - gap)
        top, left = index // columns * height, index % columns * width
        planes = [resize(np.ascontiguousarray(small[..., plane]), shape) for plane in range(3)]
        values[top : top + shape[0], left : left + shape[1]] = np.stack(planes, axis=-1)
    return values


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One image that is not medical: no modality, no anatomy, no masks."""
    style = rng.random()
    if style < 0.03:
        values = _photographed(rng, _panels(rng, size))
    elif style < 0.68:
        values = _photographed(rng, _PHOTOGRAPHS[int(rng.integers(len(_PHOTOGRAPHS)))](rng, size))
    else:
        values = _DRAWINGS[int(rng.integers(len(_DRAWINGS)))](rng, size)
        if chance(rng, 0.25):
            values = _photographed(rng, values)
    if chance(rng, 0.4):
        mix = rng.dirichlet((3, 6, 2)).astype(np.float32)
        values = values @ mix
        if chance(rng, 0.2):
            values = 1 - values
    return Phantom(compress(rng, colour(values)), "", "", {}, ())
