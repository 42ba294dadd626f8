"""Smooth, fractal and grainy random fields of about unit variance."""

from functools import lru_cache

import numpy as np
from PIL import Image

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.views import Window

FINE = 2.6
"""Grains up to this many pixels wide are made by smoothing, wider ones by enlarging."""


def resize(values: Field, shape: tuple[int, int], smooth: bool = True) -> Field:
    """Resample a float field to (height, width)."""
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), method), dtype=np.float32)


def noise(
    rng: np.random.Generator, size: int, cells: float, stretch: float = 1.0, window: Window | None = None
) -> Field:
    """Smooth noise of about unit variance with `cells` bumps across; `stretch` > 1 makes them wide and flat.

    With a window, only that part of it is made.
    """
    columns = min(max(2, round(cells / stretch**0.5) + 1), size)
    rows = min(max(2, round(cells * stretch**0.5) + 1), size)
    knots = rng.standard_normal((rows, columns), dtype=np.float32)
    window = window or (slice(None), slice(None))
    return open_spline(rows, size)[window[0]] @ knots @ open_spline(columns, size)[window[1]].T


@lru_cache(maxsize=1024)
def open_spline(knots: int, size: int) -> Field:
    """Matrix (size, knots) of Catmull-Rom interpolation between equally spaced knots."""
    position = np.linspace(0, knots - 1, size)
    matrix = np.zeros((size, knots), np.float32)
    for offset in (-1, 0, 1, 2):
        knot = np.floor(position).astype(int) + offset
        distance = np.abs(position - knot)
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weight = np.where(distance < 1, near, np.where(distance < 2, far, 0))
        np.add.at(matrix, (np.arange(size), np.clip(knot, 0, knots - 1)), weight)
    return matrix


def fractal(rng: np.random.Generator, size: int, cells: float = 4, octaves: int = 4, decay: float = 0.6) -> Field:
    """Sum of noise octaves, each twice as fine and `decay` times as strong; unit variance."""
    total = np.zeros((size, size), np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        total += weight * noise(rng, size, min(cells * 2**octave, size))
        power += weight**2
        weight *= decay
    return total / np.float32(power**0.5)


def grain(rng: np.random.Generator, size: int, coarseness: float) -> Field:
    """White noise of about unit variance whose grains are `coarseness` >= 1 pixels wide."""
    if coarseness > FINE:
        side = max(8, round(size / coarseness))
        return np.float32(1.3) * resize(_white(rng, side), (size, size))
    values = _white(rng, size)
    share = np.float32(0.6 * (coarseness - 1))
    for line in (values, values.T):
        line[1:] += share * line[:-1]
        line[:-1] += share * line[1:]
    values /= (1 + share * share) ** 2 + 2 * share * share
    return values


def _white(rng: np.random.Generator, size: int) -> Field:
    """Independent noise of unit variance, (size, size): the sum of four uniform bytes is near enough to normal."""
    parts = rng.integers(0, 256, (4, size, size), np.uint8)
    total: Field = parts[0].astype(np.float32)
    for part in parts[1:]:
        total += part
    total -= np.float32(510)
    total *= np.float32((3 / (256**2 - 1)) ** 0.5)
    return total
