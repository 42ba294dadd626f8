"""Smooth random shapes and noise on a view of the body, vectorised.

A `View` gives every pixel a position in anatomical coordinates (x to the right, y downwards, the body part roughly
within [-1, 1]), so that zoom, crop, rotation and anatomical variation are all one change of coordinates and the
ground truth stays exact. Soft shapes are float32 (H, W) coverages in [0, 1].
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.noises import fractal, grain, noise, resize
from mmedagent.training.phantoms.patches import Patch, Stroke, lines
from mmedagent.training.phantoms.views import Point, View, Window, make_view, strips

__all__ = [
    "Point", "Scene", "Stroke", "View", "blob", "curves", "extent", "falloff", "fractal", "grain", "make_view",
    "noise", "resize", "union",
]  # fmt: skip


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
    for window in strips(view.window(centre, reach)):
        r, u, v = _polar(view.x[window], view.y[window], centre, radii, angle)
        if lumps > 0:
            u /= r
            v /= r
            bend = _harmonics(u, v, weights)
            bend += np.float32(1)
            r /= np.maximum(bend, np.float32(0.3), out=bend)
        coverage[window] = falloff(view, r, min(radii), edge)
    return coverage


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


def curves(view: View, strokes: Sequence[Stroke]) -> Field:
    """Coverage of polylines, the later over the earlier."""
    coverage = np.zeros(view.shape, np.float32)
    patch = lines(view, strokes)
    coverage[patch.window] = patch.cover
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

    Whatever is painted over a structure of `whole` stays part of it.
    """

    def __init__(self, view: View, background: float, whole: Collection[str] = ()) -> None:
        """`whole` names the structures that everything painted later belongs to, such as the body."""
        self.view = view
        self.value: Field = np.full(view.shape, background, np.float32)
        self._whole = frozenset(whole)
        self._masks: dict[str, Mask] = {}

    def paint(
        self, shape: Field | Patch, value: float | Field, name: str | None = None,
        inside: bool | Collection[str] = False,
    ) -> None:  # fmt: skip
        """Blend `value` in by the coverage `shape`, and add the covered pixels to the mask of `name`.

        A field of values covers the image or, for a patch, its window. `inside` may name the structures that keep
        their pixels.
        """
        if not isinstance(shape, Patch):
            window = extent(shape)
            shape = Patch(window, shape[window])
        window, part = shape.window, shape.cover
        if value is not self.value:
            under = self.value[window]
            local = isinstance(value, np.ndarray) and value.shape == self.value.shape
            level = value[window] if isinstance(value, np.ndarray) and local else np.float32(value)
            under += part * (level - under)
        if inside is True and name is None:
            return
        covered = part > 0.5
        kept = self._masks.keys() if inside is True else {*self._whole, *(inside or ())}
        for other in self._masks.keys() - kept:
            self._masks[other][window] &= ~covered
        if name is not None:
            self._masks.setdefault(name, np.zeros(self.value.shape, np.bool_))[window] |= covered

    def hide(self, shape: Field, value: float) -> None:
        """Paint over everything, so that nothing can be seen there."""
        self.paint(shape, value, None, inside=True)
        for mask in self._masks.values():
            mask &= shape < 0.5

    def mask(self, name: str) -> Mask | None:
        """What can be seen of a structure so far, bool (H, W), if it has been painted."""
        return self._masks.get(name)

    def taken(self, *but: str) -> Mask:
        """Where any structure but these can be seen so far."""
        covered = np.zeros(self.value.shape, np.bool_)
        for name, mask in self._masks.items():
            if name not in but:
                covered |= mask
        return covered

    def masks(self, least: int = 12) -> dict[str, Mask]:
        """Masks of the structures that can be seen, at least `least` pixels each."""
        return {name: mask for name, mask in self._masks.items() if np.count_nonzero(mask) >= least}
