"""Smooth random shapes and noise on a view of the body, vectorised.

A `View` gives every pixel a position in anatomical coordinates (x to the right, y downwards, the body part roughly
within [-1, 1]), so that zoom, crop, rotation and anatomical variation are all one change of coordinates and the
ground truth stays exact. Soft shapes are float32 (H, W) coverages in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from mmedagent.training.phantoms.base import Field, Mask

Point = tuple[float, float]


@dataclass(frozen=True)
class View:
    """Anatomical coordinates of every pixel.

    Attributes:
        x, y: float32 (H, W) coordinates after warping.
        origin: coordinates of the first pixel before warping.
        step: coordinate distance between neighbouring pixels (x, y) before warping.
        slack: upper bound of how far warping and rotation move a point.
    """

    x: Field
    y: Field
    origin: Point
    step: Point
    slack: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.x.shape[1]

    def window(self, centre: Point, reach: float) -> tuple[slice, slice]:
        """Rows and columns that can hold points within `reach` of `centre`."""
        reach += self.slack
        spans = []
        for axis in (1, 0):
            low = (centre[axis] - reach - self.origin[axis]) / self.step[axis]
            high = (centre[axis] + reach - self.origin[axis]) / self.step[axis]
            limit = self.shape[1 - axis]
            start = min(max(int(low), 0), limit)
            spans.append(slice(start, min(max(int(high) + 2, start), limit)))
        return spans[0], spans[1]

    def pixels(self, points: Field) -> Field:
        """Anatomical (n, 2) points to pixel positions, warping left aside."""
        places: Field = ((points - np.asarray(self.origin)) / np.asarray(self.step)).astype(np.float32)
        return places


def make_view(
    rng: np.random.Generator, size: int, centre: Point = (0.0, 0.0), half: Point = (1.1, 1.1), tilt: float = 0.12,
    warp: float = 0.04,
) -> View:  # fmt: skip
    """A view of `half` coordinate units to each side of `centre`, rotated by up to `tilt` rad and smoothly warped."""
    ys, xs = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    x0 = (xs * half[0]).astype(np.float32)
    y0 = (ys * half[1]).astype(np.float32)
    angle = float(rng.normal(0, tilt / 2))
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    bend = warp * max(half)
    x, y = cos * x0 - sin * y0 + centre[0], sin * x0 + cos * y0 + centre[1]
    if warp > 0:
        x, y = x + bend * noise(rng, size, 4), y + bend * noise(rng, size, 4)
    slack = float(max(np.abs(x - x0 - centre[0]).max(), np.abs(y - y0 - centre[1]).max()))
    step = (2 * half[0] / (size - 1), 2 * half[1] / (size - 1))
    return View(x, y, (centre[0] - half[0], centre[1] - half[1]), step, slack)


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
    side = max(8, round(size / coarseness))
    values = rng.standard_normal((side, side), dtype=np.float32)
    return values if side == size else 1.3 * resize(values, (size, size))


def radius(view: View, centre: Point, radii: Point, angle: float = 0.0) -> Field:
    """Elliptic radius of every pixel: 1 on the ellipse, below 1 inside."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = view.x - np.float32(centre[0]), view.y - np.float32(centre[1])
    return np.sqrt(((cos * dx + sin * dy) / radii[0]) ** 2 + ((cos * dy - sin * dx) / radii[1]) ** 2)


def blob(
    view: View, rng: np.random.Generator, centre: Point, radii: Point, angle: float = 0.0, lumps: float = 0.08,
    edge: float = 1.5,
) -> Field:  # fmt: skip
    """Coverage of an ellipse whose outline is bent by random harmonics 2 to 5 of strength `lumps`.

    `edge` is the width in pixels over which coverage falls from 1 to 0.
    """
    coverage = np.zeros(view.shape, np.float32)
    rows, columns = view.window(centre, max(radii) * (1.3 + 2 * lumps))
    dx, dy = view.x[rows, columns] - np.float32(centre[0]), view.y[rows, columns] - np.float32(centre[1])
    if dx.size == 0:
        return coverage
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = (cos * dx + sin * dy) / np.float32(radii[0]), (cos * dy - sin * dx) / np.float32(radii[1])
    r: Field = np.sqrt(u * u + v * v) + np.float32(1e-6)
    if lumps > 0:
        r = r / np.maximum(1 + _harmonics(rng, u / r, v / r, lumps), np.float32(0.3))
    coverage[rows, columns] = falloff(view, r, min(radii), edge)
    return coverage


def _harmonics(rng: np.random.Generator, cos: Field, sin: Field, strength: float) -> Field:
    """Random combination of cos(k t) and sin(k t), k = 2 to 5, by Horner's rule on exp(i t)."""
    turn = np.empty(cos.shape, np.complex64)
    turn.real, turn.imag = cos, sin
    weights = strength * rng.normal(size=4) * 2.4 / np.arange(2, 6) * np.exp(2j * np.pi * rng.random(4))
    w2, w3, w4, w5 = weights.astype(np.complex64)
    total = turn * w5
    for weight in (w4, w3, w2):
        total += weight
        total *= turn
    total *= turn
    bend: Field = total.real
    return bend


def falloff(view: View, r: Field, scale: float, edge: float) -> Field:
    """Coverage from an elliptic radius: 1 inside, 0 outside, `edge` pixels between; `scale` is the shorter radius."""
    slope = np.float32(scale / (edge * min(view.step)))
    coverage: Field = np.clip((1 - r) * slope + np.float32(0.5), 0, 1)
    return coverage


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
    fine = np.asarray(picture, dtype=np.float32).reshape(height, 2, width, 2)
    coverage: Field = fine.mean(axis=(1, 3)) / np.float32(255)
    return coverage


def union(parts: Sequence[Field]) -> Field:
    """Coverage of the union of soft shapes."""
    coverage: Field = np.maximum.reduce(list(parts))
    return coverage


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
        self.value += shape * (np.float32(value) - self.value)
        if inside and name is None:
            return
        covered = shape > 0.5
        if not inside:
            for mask in self._masks.values():
                mask &= ~covered
        if name is not None:
            self._masks[name] = self._masks[name] | covered if name in self._masks else covered

    def masks(self, least: int = 12) -> dict[str, Mask]:
        """Masks of the structures that can be seen, at least `least` pixels each."""
        return {name: mask for name, mask in self._masks.items() if int(mask.sum()) >= least}
