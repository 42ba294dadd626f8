"""Shapes that are given by their outline, rasterised in the window that they fill.

Outlines are float32 (n, 2) anatomical points. They follow the view's warping exactly, because it is the points that
are warped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.noises import open_spline
from mmedagent.training.phantoms.views import Point, View, Window

ROUND = 5
"""Lines wider than this many pixels of the finer picture get round joints."""

SMALL = 8_000
"""Windows of up to this many pixels are drawn four times finer, larger ones twice finer."""


@dataclass(frozen=True)
class Patch:
    """A soft shape: its window, and its coverage in [0, 1] there, float32."""

    window: Window
    cover: Field


class Stroke(NamedTuple):
    """A polyline through anatomical (n, 2) points, `width` coordinate units wide, `ink` in [0, 1] strong."""

    points: Field
    width: float
    ink: float = 1.0


def smooth(points: Sequence[Point] | Field, steps: int = 6) -> Field:
    """The closed smooth curve through (n, 2) points, `steps` places from each to the next."""
    curve: Field = _closed(len(points), steps) @ np.asarray(points, np.float32)
    return curve


@lru_cache(maxsize=64)
def _closed(knots: int, steps: int) -> Field:
    """Matrix (knots * steps, knots) of closed Catmull-Rom interpolation."""
    share = np.arange(steps) / steps
    weights = np.stack(
        [
            0.5 * (-share + 2 * share**2 - share**3),
            0.5 * (2 - 5 * share**2 + 3 * share**3),
            0.5 * (share + 4 * share**2 - 3 * share**3),
            0.5 * (share**3 - share**2),
        ]
    )
    matrix = np.zeros((knots, steps, knots), np.float32)
    for knot in range(knots):
        for place, weight in enumerate(weights):
            matrix[knot, :, (knot + place - 1) % knots] += weight
    return matrix.reshape(knots * steps, knots)


def oval(rng: np.random.Generator, centre: Point, radii: Point, angle: float = 0.0, lumps: float = 0.06) -> Field:
    """Outline of an ellipse that is bent by random harmonics 2 to 5 of strength `lumps`."""
    turns = _turns(48 if max(radii) > 0.15 else 28)
    weights = 2.4 * lumps * rng.standard_normal(4) / _ORDERS * np.exp(2j * np.pi * rng.random(4))
    ring = turns[:, 0] * np.maximum(1 + (turns[:, 1:] @ weights).real, 0.3)
    turned = (radii[0] * ring.real + 1j * radii[1] * ring.imag) * np.exp(1j * angle) + complex(*centre)
    outline: Field = turned.astype(np.complex64).view(np.float32).reshape(-1, 2)
    return outline


_ORDERS = np.arange(2, 6)


@lru_cache(maxsize=8)
def _turns(count: int) -> NDArray[np.complex128]:
    """exp(i k t) of `count` directions t, k = 1 to 5."""
    turns: NDArray[np.complex128] = np.exp(2j * np.pi * np.arange(count)[:, None] / count * np.arange(1, 6))
    return turns


def ribbon(path: Sequence[Point] | Field, widths: Sequence[float] | Field, steps: int = 5) -> Field:
    """Outline of a band of changing width along a smooth open path: width k is that at point k."""
    knots = np.asarray(path, np.float32)
    along = np.linspace(0, len(knots) - 1, steps * (len(knots) - 1) + 1)
    matrix = open_spline(len(knots), len(along))
    middle = matrix @ knots
    half = 0.5 * np.interp(along, np.arange(len(knots)), np.asarray(widths, np.float32))[:, None]
    course = np.gradient(middle, axis=0)
    normal = np.stack([-course[:, 1], course[:, 0]], axis=1) / (np.hypot(*course.T)[:, None] + 1e-6)
    outline: Field = np.concatenate([middle + half * normal, (middle - half * normal)[::-1]]).astype(np.float32)
    return outline


def grown(outline: Field, amount: float) -> Field:
    """The outline with every point moved away from its middle by `amount` coordinate units."""
    middle = outline.mean(axis=0)
    away = outline - middle
    result: Field = outline + amount * away / (np.hypot(*away.T)[:, None] + np.float32(1e-6))
    return result


def fill(view: View, *outlines: Field, soft: float = 0.0) -> Patch:
    """The inside of closed outlines, all together; `soft` is the spread of their edge in pixels."""
    places = view.pixels(np.concatenate(outlines))
    window, finer = _canvas(view, places, 1 + 3 * soft)
    picture, path = _picture(window, finer, places)
    pen, start = ImageDraw.Draw(picture), 0
    for outline in outlines:
        stop = start + len(outline)
        pen.polygon(path[2 * start : 2 * stop], fill=255)
        start = stop
    return _patch(window, picture, finer, soft)


def lines(view: View, strokes: Sequence[Stroke], soft: float = 0.0) -> Patch:
    """Polylines, the later over the earlier; `soft` is the spread of their edge in pixels."""
    unit = 1 / min(view.step)
    places = view.pixels(np.concatenate([stroke.points for stroke in strokes]))
    window, finer = _canvas(view, places, 1 + 3 * soft + unit * max(stroke.width for stroke in strokes))
    picture, path = _picture(window, finer, places)
    pen, start = ImageDraw.Draw(picture), 0
    for stroke in strokes:
        stop = start + len(stroke.points)
        width = max(1, round(finer * unit * stroke.width))
        joint = "curve" if width > ROUND else None
        pen.line(path[2 * start : 2 * stop], fill=round(255 * min(stroke.ink, 1.0)), width=width, joint=joint)
        start = stop
    return _patch(window, picture, finer, soft)


def _canvas(view: View, places: Field, margin: float) -> tuple[Window, int]:
    """The window around pixel positions, and how many times finer to draw in it."""
    (left, top), (right, bottom) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    height, width = view.shape
    top, left = min(max(int(top - margin), 0), height), min(max(int(left - margin), 0), width)
    bottom, right = min(max(int(bottom + margin) + 2, top), height), min(max(int(right + margin) + 2, left), width)
    window = slice(top, bottom), slice(left, right)
    return window, 4 if (bottom - top) * (right - left) <= SMALL else 2


def _picture(window: Window, finer: int, places: Field) -> tuple[Image.Image, list[float]]:
    """An empty finer picture of the window, and the positions on it: x, y, x, y and so on."""
    rows, columns = window
    picture = Image.new("L", (finer * (columns.stop - columns.start), finer * (rows.stop - rows.start)))
    middle = (finer - 1) / 2
    shift = np.array([middle - finer * columns.start, middle - finer * rows.start], np.float32)
    path: list[float] = (places * np.float32(finer) + shift).ravel().tolist()
    return picture, path


def _patch(window: Window, picture: Image.Image, finer: int, soft: float) -> Patch:
    if not picture.width or not picture.height:
        return Patch(window, np.zeros((picture.height // finer, picture.width // finer), np.float32))
    small = picture.reduce(finer)
    if soft > 0:
        small = small.filter(ImageFilter.BoxBlur(3**0.5 * soft))
    cover = np.asarray(small, np.float32)
    return Patch(window, cover * np.float32(1 / 255))


def both(first: Patch, second: Patch) -> Patch:
    """What two patches share."""
    spans = [
        slice(max(a.start, b.start), max(min(a.stop, b.stop), a.start, b.start))
        for a, b in zip(first.window, second.window, strict=True)
    ]
    rows, columns = spans
    cuts = [part.cover[tuple(_within(span, whole) for span, whole in zip(spans, part.window, strict=True))]
            for part in (first, second)]  # fmt: skip
    return Patch((rows, columns), cuts[0] * cuts[1])


def _within(span: slice, whole: slice) -> slice:
    return slice(span.start - whole.start, span.stop - whole.start)


def minus(first: Patch, second: Patch) -> Patch:
    """What the first patch covers and the second does not."""
    shared = both(first, second)
    cover = first.cover.copy()
    cover[tuple(_within(span, whole) for span, whole in zip(shared.window, first.window, strict=True))] -= shared.cover
    return Patch(first.window, cover)


def inside(patch: Patch, mask: Mask) -> Patch:
    """The part of a patch on the pixels of a mask of the whole image."""
    return Patch(patch.window, patch.cover * mask[patch.window])
