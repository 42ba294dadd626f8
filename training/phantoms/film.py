"""Outlines and lines on a tilted, slightly bent view, rasterised as polygons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between
from mmedagent.training.phantoms.shapes import Point, Stroke

FINER = 2
"""Polygons are drawn this many times finer than the film and averaged."""


def spline(points: Sequence[Point] | Field, steps: int = 6, closed: bool = True) -> Field:
    """A smooth curve through (n, 2) points (Catmull-Rom), `steps` places between neighbours; a repeated point is a
    corner."""
    knots = np.asarray(points, np.float32)
    ends = (knots[-1:], knots[:2]) if closed else (knots[:1], np.repeat(knots[-1:], 2, axis=0))
    padded = np.concatenate([ends[0], knots, ends[1]])
    count = len(knots) if closed else len(knots) - 1
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    before, start, end, after = (padded[i : i + count, None] for i in range(4))
    curve = start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    path: Field = curve.reshape(-1, 2)
    return path if closed else np.concatenate([path, knots[-1:]])


@dataclass(frozen=True)
class Film:
    """Where anatomical points lie on the image.

    Attributes:
        x, y: (H, W) anatomical coordinates of every pixel, to first order in the bending.
        scale, shift: pixel = scale * (turn @ bent point) + shift, for x and y.
        turn: (2, 2) rotation.
        waves: (2, 4) amplitude, frequency along the other axis, phase, and half-frequency phase, for x and y.
    """

    x: Field
    y: Field
    scale: Field
    shift: Field
    turn: Field
    waves: Field

    def pixels(self, points: Field) -> Field:
        """Anatomical (n, 2) points to pixel positions (x, y)."""
        places: Field = (_bent(points, self.waves) @ self.turn.T) * self.scale + self.shift
        return places

    def fill(self, outline: Field, blur: float = 0.0) -> Field:
        """Coverage of the inside of a closed outline; `blur` is the standard deviation of its edge in pixels."""
        picture, pen = self._canvas()
        pen.polygon((FINER * self.pixels(outline)).ravel().tolist(), fill=255)
        return _coverage(picture, blur)

    def lines(self, strokes: Sequence[Stroke], blur: float = 0.0) -> Field:
        """Coverage of polylines, the later over the earlier."""
        picture, pen = self._canvas()
        unit = FINER * float(np.abs(self.scale).mean())
        places = FINER * self.pixels(np.concatenate([stroke.points for stroke in strokes]))
        start = 0
        for points, width, ink in strokes:
            path = places[start : start + len(points)].ravel().tolist()
            pen.line(path, fill=round(255 * min(ink, 1.0)), width=max(1, round(unit * width)))
            start += len(points)
        return _coverage(picture, blur)

    def lump(self, rng: np.random.Generator, centre: Point, radii: Point, lumps: float, blur: float) -> Field:
        """Coverage of an ellipse bent by random harmonics of strength `lumps`."""
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        orders = np.arange(2, 6)
        bend = (rng.normal(size=4) / orders) @ np.cos(orders[:, None] * turn + rng.uniform(0, 6.3, (4, 1)))
        ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.maximum(1 + 2.4 * lumps * bend, 0.3)[:, None]
        return self.fill((np.asarray(centre) + np.asarray(radii) * ring).astype(np.float32), blur)

    def _canvas(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        side = FINER * len(self.x)
        picture = Image.new("L", (side, side))
        return picture, ImageDraw.Draw(picture)


def make_film(rng: np.random.Generator, size: int, centre: Point, half: Point, tilt: float, bend: float) -> Film:
    """A square film of `size` pixels over `half` units to each side of `centre`, turned by about `tilt` rad."""
    angle = float(np.clip(rng.normal(0, tilt), -2.5 * tilt, 2.5 * tilt))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    turn = np.array([[cos, -sin], [sin, cos]], np.float32)
    scale = np.array([size / (2 * half[0]), size / (2 * half[1])], np.float32)
    shift = (0.5 * size - np.asarray(centre) * scale).astype(np.float32)
    wave = [[bend * rng.normal(), between(rng, 1, 2.5), *rng.uniform(0, 6.3, 2)] for _ in range(2)]
    waves = np.array(wave, np.float32)
    grid = np.arange(size, dtype=np.float32) + 0.5
    x, y = (grid - shift[0]) / scale[0], (grid - shift[1]) / scale[1]
    bend_x, bend_y = _bend(y, waves[0]), _bend(x, waves[1])
    level = (cos * x)[None] + (sin * y - bend_x)[:, None]
    upright = (cos * y)[:, None] - (sin * x + bend_y)[None]
    return Film(level, upright, scale, shift, turn, waves)


def _bent(points: Field, waves: Field) -> Field:
    """Each axis moved by two slow waves along the other."""
    moved: Field = points + np.stack([_bend(points[..., 1], waves[0]), _bend(points[..., 0], waves[1])], axis=-1)
    return moved


def _bend(along: Field, wave: Field) -> Field:
    amplitude, frequency, phase, other = wave
    turn = along * frequency
    shift: Field = amplitude * (np.sin(turn + phase) + np.float32(0.5) * np.sin(2 * turn + other))
    return shift


def _coverage(picture: Image.Image, blur: float) -> Field:
    """The averaged drawing. A blur is made by averaging over larger squares and enlarging again."""
    plain = picture.reduce(FINER * max(1, round(1.7 * blur)))
    if plain.width * FINER != picture.width:
        plain = plain.resize((picture.width // FINER,) * 2, Image.Resampling.BILINEAR)
    coverage: Field = np.asarray(plain, np.float32) / np.float32(255)
    return coverage
