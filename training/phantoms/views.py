"""Where on the image an anatomical place lies, and the reverse."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mmedagent.training.phantoms.base import Field

Point = tuple[float, float]
Window = tuple[slice, slice]
"""Rows and columns."""

BLOCK = 8
STRIP = 12_000


class Wave(NamedTuple):
    """A sum of sines: amplitude, angular frequency and phase of each, float32 (n,); called with (m,) places."""

    amplitude: Field
    frequency: Field
    phase: Field

    def __call__(self, place: Field) -> Field:
        moved: Field = np.sin(place[:, None] * self.frequency + self.phase) @ self.amplitude
        return moved


@dataclass(frozen=True)
class View:
    """Anatomical coordinates of every pixel.

    Attributes:
        x, y: float32 (H, W) coordinates after warping.
        origin: coordinates of the first pixel before turning and warping.
        step: coordinate distance between neighbouring pixels (x, y) before turning and warping.
        turn: rotation about the middle of the view in radians.
        waves: what moves rows sideways and then columns up and down before the rotation, if anything does.
    """

    x: Field
    y: Field
    origin: Point
    step: Point
    turn: float = 0.0
    waves: tuple[Wave, Wave] | None = None

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
        """Pixel positions (x, y) of anatomical (n, 2) points, float32; views without `waves` leave warping aside."""
        height, width = self.shape
        middle = [start + 0.5 * step * side for start, step, side in
                  zip(self.origin, self.step, (width - 1, height - 1), strict=True)]  # fmt: skip
        cos, sin = float(np.cos(self.turn)), float(np.sin(self.turn))
        away = points - np.asarray(middle, np.float32)
        places: Field = away @ np.array([[cos, -sin], [sin, cos]], np.float32)
        if self.waves is not None:
            places[:, 1] -= self.waves[1](places[:, 0])
            places[:, 0] -= self.waves[0](places[:, 1])
        places /= np.asarray(self.step, np.float32)
        places += np.array([0.5 * (width - 1), 0.5 * (height - 1)], np.float32)
        return places


def make_view(
    rng: np.random.Generator, size: int, centre: Point = (0.0, 0.0), half: Point = (1.1, 1.1), tilt: float = 0.12,
    warp: float = 0.04,
) -> View:  # fmt: skip
    """A view of `half` coordinate units to each side of `centre`, rotated by up to `tilt` rad and smoothly warped."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    turn = float(rng.normal(0, tilt / 2))
    waves = (_wave(rng, warp * max(half), half[1]), _wave(rng, warp * max(half), half[0]))
    across, down, ones = line * np.float32(half[0]), line * np.float32(half[1]), np.ones_like(line)
    # The sine of a sum is a sum of products, so both coordinates are products of thin matrices.
    aside, turns = waves[0](down), waves[1].frequency * across[:, None] + waves[1].phase
    shifts = aside[:, None] * waves[1].frequency
    rows = np.column_stack(
        [ones, aside, down, waves[1].amplitude * np.cos(shifts), waves[1].amplitude * np.sin(shifts)]
    )
    x0 = np.column_stack([across, ones, 0 * ones, 0 * turns, 0 * turns])
    y0 = np.column_stack([0 * ones, 0 * ones, ones, np.sin(turns), np.cos(turns)])
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x = rows @ (cos * x0 - sin * y0).T + np.float32(centre[0])
    y = rows @ (sin * x0 + cos * y0).T + np.float32(centre[1])
    step = (2 * half[0] / (size - 1), 2 * half[1] / (size - 1))
    return View(x, y, (centre[0] - half[0], centre[1] - half[1]), step, turn=turn, waves=waves)


def _wave(rng: np.random.Generator, strength: float, half: float) -> Wave:
    frequency = rng.uniform(0.8, 4.2, 2) / half
    return Wave(
        (strength * rng.normal(0, 1, 2)).astype(np.float32),
        frequency.astype(np.float32),
        rng.uniform(0, 2 * np.pi, 2).astype(np.float32),
    )


def strips(window: Window) -> Iterator[Window]:
    """The window in strips of rows whose fields fit the cache and that the allocator keeps."""
    rows, columns = window
    step = max(1, STRIP // max(columns.stop - columns.start, 1))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop)), columns
