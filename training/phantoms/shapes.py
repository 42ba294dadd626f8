"""Smooth random shapes and noise on a view of the body, vectorised.

A `View` gives every pixel a position in anatomical coordinates (x to the right, y downwards, the body part roughly
within [-1, 1]), so that zoom, crop, rotation and anatomical variation are all one change of coordinates and the
ground truth stays exact. Soft shapes are float32 (H, W) coverages in [0, 1].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mmedagent.training.phantoms.base import Field, Mask

Point = tuple[float, float]
Window = tuple[slice, slice]
BLOCK = 8
STRIP = 12_000
FINE = 2.6
"""Grains up to this many pixels wide are made by smoothing, wider ones by enlarging."""


@dataclass(frozen=True)
class View:
    """Anatomical coordinates of every pixel.

    Attributes:
        x, y: float32 (H, W) coordinates after warping.
        origin: coordinates of the first pixel before warping.
        step: coordinate distance between neighbouring pixels (x, y) before warping.
        slack: upper bound of how far warping and rotation move a point, where known.
    """

    x: Field
    y: Field
    origin: Point
    step: Point
    slack: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.x.shape[1]

    @cached_property
    def bounds(self) -> Field:
        """Least x, greatest x, least y and greatest y of each block of `BLOCK` pixels square, float32 (4, n, m)."""
        blocks = []
        for axis in (self.x, self.y):
            axis = np.pad(axis, [(0, -side % BLOCK) for side in axis.shape], mode="edge")
            rows = axis.reshape(-1, BLOCK, axis.shape[1])
            for low in (True, False):
                stripes = (rows.min(axis=1) if low else rows.max(axis=1)).T
                columns = np.ascontiguousarray(stripes).reshape(-1, BLOCK, stripes.shape[1])
                blocks.append((columns.min(axis=1) if low else columns.max(axis=1)).T)
        return np.stack(blocks)

    def window(self, centre: Point, reach: Point) -> Window:
        """Rows and columns that hold every point within `reach` (x, y) of `centre`; empty if none is in view."""
        west, east, north, south = self.bounds
        near = (west <= centre[0] + reach[0]) & (east >= centre[0] - reach[0])
        near &= (north <= centre[1] + reach[1]) & (south >= centre[1] - reach[1])
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(rows):
            return slice(0, 0), slice(0, 0)
        return (
            slice(int(rows[0]) * BLOCK, min((int(rows[-1]) + 1) * BLOCK, self.shape[0])),
            slice(int(columns[0]) * BLOCK, min((int(columns[-1]) + 1) * BLOCK, self.shape[1])),
        )

    def pixels(self, points: Field) -> Field:
        """Anatomical (n, 2) points to pixel positions, warping left aside."""
        places: Field = ((points - np.asarray(self.origin)) / np.asarray(self.step)).astype(np.float32)
        return places


def make_view(
    rng: np.random.Generator, size: int, centre: Point = (0.0, 0.0), half: Point = (1.1, 1.1), tilt: float = 0.12,
    warp: float = 0.04,
) -> View:  # fmt: skip
    """A view of `half` coordinate units to each side of `centre`, rotated by up to `tilt` rad and smoothly warped."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    x0, y0 = line[None, :] * np.float32(half[0]), line[:, None] * np.float32(half[1])
    angle = float(rng.normal(0, tilt / 2))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    bend = np.float32(warp * max(half))
    x, y = cos * x0 - (sin * y0 - np.float32(centre[0])), sin * x0 + (cos * y0 + np.float32(centre[1]))
    if warp > 0:
        x += bend * noise(rng, size, 4)
        y += bend * noise(rng, size, 4)
    step = (2 * half[0] / (size - 1), 2 * half[1] / (size - 1))
    return View(x, y, (centre[0] - half[0], centre[1] - half[1]), step)


def resize(values: Field, shape: tuple[int, int], smooth: bool = True) -> Field:
    """Resample a float field to (height, width)."""
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), method), dtype=np.float32)


def noise(rng: np.random.Generator, size: int, cells: float, stretch: float = 1.0) -> Field:
    """Smooth noise of about unit variance with `cells` bumps across; `stretch` > 1 makes them wide and flat."""
    columns = min(max(2, round(cells / stretch**0.5) + 1), size)
    rows = min(max(2, round(cells * stretch**0.5) + 1), size)
    knots = rng.standard_normal((rows, columns), dtype=np.float32)
    return _spline(rows, size) @ knots @ _spline(columns, size).T


@lru_cache(maxsize=1024)
def _spline(knots: int, size: int) -> Field:
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


def radius(view: View, centre: Point, radii: Point, angle: float = 0.0) -> Field:
    """Elliptic radius of every pixel: 1 on the ellipse, below 1 inside."""
    return _polar(view.x, view.y, centre, radii, angle)[0]


def blob(
    view: View, rng: np.random.Generator, centre: Point, radii: Point, angle: float = 0.0, lumps: float = 0.08,
    edge: float = 1.5,
) -> Field:  # fmt: skip
    """Coverage of an ellipse whose outline is bent by random harmonics 2 to 5 of strength `lumps`.

    `edge` is the width in pixels over which coverage falls from 1 to 0.
    """
    coverage = np.zeros(view.shape, np.float32)
    weights = lumps * rng.normal(size=4) * 2.4 / np.arange(2, 6) * np.exp(2j * np.pi * rng.random(4))
    swell = (1 + float(np.abs(weights).sum())) * (1 + 0.5 * edge * min(view.step) / min(radii))
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    reach = (swell * float(np.hypot(radii[0] * cos, radii[1] * sin)),
             swell * float(np.hypot(radii[0] * sin, radii[1] * cos)))  # fmt: skip
    for window in _strips(view.window(centre, reach)):
        r, u, v = _polar(view.x[window], view.y[window], centre, radii, angle)
        if lumps > 0:
            u /= r
            v /= r
            bend = _harmonics(u, v, weights)
            bend += np.float32(1)
            r /= np.maximum(bend, np.float32(0.3), out=bend)
        coverage[window] = falloff(view, r, min(radii), edge)
    return coverage


def _strips(window: Window) -> Iterator[Window]:
    """The window in strips of rows whose fields fit the cache and that the allocator keeps."""
    rows, columns = window
    step = max(1, STRIP // max(columns.stop - columns.start, 1))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop)), columns


def _polar(x: Field, y: Field, centre: Point, radii: Point, angle: float) -> tuple[Field, Field, Field]:
    """Elliptic radius and the two coordinates in the frame of an ellipse, which are 1 at the ends of its axes."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    u, v = x * np.float32(cos / radii[0]), y * np.float32(cos / radii[1])
    share: Field = y * np.float32(sin / radii[0])
    u += share
    u -= np.float32((cos * centre[0] + sin * centre[1]) / radii[0])
    v -= np.multiply(x, np.float32(sin / radii[1]), out=share)
    v -= np.float32((cos * centre[1] - sin * centre[0]) / radii[1])
    r = u * u
    r += np.multiply(v, v, out=share)
    np.sqrt(r, out=r)
    r += np.float32(1e-6)
    return r, u, v


_COSINES = np.array([[-1, 0, 2, 0, 0, 0], [0, -3, 0, 4, 0, 0], [1, 0, -8, 0, 8, 0], [0, 5, 0, -20, 0, 16]])
_SINES = np.array([[0, 2, 0, 0, 0], [-1, 0, 4, 0, 0], [0, -4, 0, 8, 0], [1, 0, -12, 0, 16]])
"""Chebyshev polynomials: cos(k t) and sin(k t) / sin(t), k = 2 to 5, in powers of cos(t), the lowest first."""


def _harmonics(cos: Field, sin: Field, weights: NDArray[np.complex128]) -> Field:
    """The real part of the sum of weights[k - 2] exp(i k t), k = 2 to 5, from the cosine and sine of t."""
    bend = _polynomial(-weights.imag @ _SINES, cos)
    bend *= sin
    bend += _polynomial(weights.real @ _COSINES, cos)
    return bend


def _polynomial(factors: NDArray[np.float64], x: Field) -> Field:
    """The polynomial of these factors, the lowest power first, at x, by Horner's rule."""
    *lower, highest = factors.astype(np.float32)
    total: Field = x * highest
    for factor in lower[:0:-1]:
        total += factor
        total *= x
    total += lower[0]
    return total


def falloff(view: View, r: Field, scale: float, edge: float) -> Field:
    """Coverage from an elliptic radius: 1 inside, 0 outside, `edge` pixels between; `scale` is the shorter radius."""
    slope = np.float32(scale / (edge * min(view.step)))
    coverage: Field = (1 - r) * slope
    coverage += np.float32(0.5)
    return np.clip(coverage, 0, 1, out=coverage)


def band(view: View, r: Field, level: float, width: float, scale: float, edge: float = 1.2) -> Field:
    """Coverage of the ring |r - level| < width / 2 of a radius field with shorter radius `scale`."""
    slope = np.float32(scale / (edge * min(view.step)))
    coverage: Field = np.clip((np.float32(width / 2) - np.abs(r - np.float32(level))) * slope + np.float32(0.5), 0, 1)
    return coverage


class Stroke(NamedTuple):
    """A polyline through anatomical (n, 2) points, `width` coordinate units wide, `ink` in [0, 1] strong."""

    points: Field
    width: float
    ink: float = 1.0


def curves(view: View, strokes: Sequence[Stroke]) -> Field:
    """Coverage of polylines, the later over the earlier, drawn twice as fine as the view."""
    height, width = view.shape
    picture = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        path = (2 * view.pixels(stroke.points)).ravel().tolist()
        pen.line(path, fill=round(255 * min(stroke.ink, 1.0)), width=max(1, round(2 * stroke.width / min(view.step))))
    coverage: Field = np.asarray(picture.reduce(2), dtype=np.float32)
    coverage /= np.float32(255)
    return coverage


def union(parts: Sequence[Field]) -> Field:
    """Coverage of the union of soft shapes."""
    coverage: Field = parts[0].copy()
    for part in parts[1:]:
        np.maximum(coverage, part, out=coverage)
    return coverage


def extent(shape: Field) -> Window:
    """Rows and columns of the smallest window that holds every pixel above 0; empty if there is none."""
    rows = np.flatnonzero(shape.max(axis=1) > 0)
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    span = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(shape[span].max(axis=0) > 0)
    return span, slice(int(columns[0]), int(columns[-1]) + 1)


class Scene:
    """A canvas of float values that shapes are painted on, with the mask of each named structure kept exact.

    A shape painted later covers what lies under it, so a mask loses the pixels that a later shape takes, unless the
    later shape is painted with `inside=True` (a lesion stays part of its organ).
    """

    def __init__(self, view: View, background: float) -> None:
        self.view = view
        self.value: Field = np.full(view.shape, background, np.float32)
        self._masks: dict[str, Mask] = {}

    def paint(self, shape: Field, value: float | Field, name: str | None = None, inside: bool = False) -> None:
        """Blend `value` in by the coverage `shape`, and add the covered pixels to the mask of `name`."""
        window = extent(shape)
        part = shape[window]
        if value is not self.value:
            under = self.value[window]
            level = value[window] if isinstance(value, np.ndarray) else np.float32(value)
            under += part * (level - under)
        if inside and name is None:
            return
        covered = part > 0.5
        if not inside:
            for mask in self._masks.values():
                mask[window] &= ~covered
        if name is not None:
            self._masks.setdefault(name, np.zeros(shape.shape, np.bool_))[window] |= covered

    def masks(self, least: int = 12) -> dict[str, Mask]:
        """Masks of the structures that can be seen, at least `least` pixels each."""
        return {name: mask for name, mask in self._masks.items() if np.count_nonzero(mask) >= least}
