"""A stained section as maps of its parts, and the nuclei and glands that are set into it.

Lengths are in pixels; `cell` is the distance between neighbouring nuclei, about 3 at 5x and 30 at 40x.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.finish import between
from mmedagent.training.phantoms.shapes import blob, fractal, make_view, noise, resize


class Nuclei(NamedTuple):
    """Shapes of one kind of cell: float (n, side, side) haematoxylin stamps, a row for each direction.

    Attributes:
        stamps: stamp k of n lies along the angle pi k / n when `slender`.
        slender: whether the angle matters.
    """

    stamps: Field
    slender: bool


def make_nuclei(
    rng: np.random.Generator, length: float, ratio: float, atypia: float = 0.0, dark: float = 1.0
) -> Nuclei:
    """Nuclei `length` pixels long and `ratio` as wide; `atypia` in [0, 1] makes them uneven, coarse and nucleolated."""
    side = max(4, round(length * 1.7))
    view = make_view(rng, side, half=(1, 1), tilt=0, warp=0.0)
    stamps = []
    for index in range(8):
        grow = 1 + atypia * between(rng, -0.3, 0.45)
        longest = min(0.59 * grow, 0.9)
        angle = np.pi * index / 8 + (0.0 if ratio < 0.6 else between(rng, 0, 3.1))
        wide = ratio * between(rng, 1 - 0.15 - 0.3 * atypia, 1.1)
        shape = blob(view, rng, (0, 0), (longest, longest * min(wide, 1)), angle, 0.04 + 0.1 * atypia, edge=1.2)
        texture = 0.8 + (0.2 + 0.25 * atypia) * noise(rng, side, 4)
        if atypia > 0.4 and side > 10:
            core = blob(view, rng, (between(rng, -0.2, 0.2), between(rng, -0.2, 0.2)), (0.14, 0.14), lumps=0.0)
            texture = texture * 0.75 + 0.6 * core
        stamps.append((dark * shape * np.clip(texture, 0.35, 1.4)).astype(np.float32))
    return Nuclei(np.stack(stamps), ratio < 0.6)


class Gland(NamedTuple):
    """A gland: centre (row, column), its radii and tilt, and the bends of its outline."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    angle: float
    bends: NDArray[np.complex64]

    def outline(self, turns: Field, level: float) -> Field:
        """Positions (n, 2) at `level` times the radius."""
        reach = level * self._swell(np.exp(1j * turns).astype(np.complex64))
        u, v = reach * self.radii[0] * np.cos(turns), reach * self.radii[1] * np.sin(turns)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.centre[0] + sin * u + cos * v, self.centre[1] + cos * u - sin * v], axis=1)

    def level(self, size: int) -> tuple[tuple[slice, slice], Field]:
        """A window of the picture and the level in it: 1 on the outline, below 1 inside."""
        reach = 1.7 * max(self.radii)
        rows, columns = (slice(max(0, int(c - reach)), max(0, min(size, int(c + reach) + 1))) for c in self.centre)
        dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(self.centre[0])
        dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(self.centre[1])
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u, v = (cos * dx + sin * dy) / np.float32(self.radii[0]), (cos * dy - sin * dx) / np.float32(self.radii[1])
        radius = np.hypot(u, v) + np.float32(1e-6)
        turn = np.empty(radius.shape, np.complex64)
        np.divide(u, radius, out=turn.real)
        np.divide(v, radius, out=turn.imag)
        level: Field = radius / self._swell(turn)
        return (rows, columns), level

    def _swell(self, turn: NDArray[np.complex64]) -> Field:
        """Radius at points on the unit circle relative to the ellipse, by harmonics 2 to 5 (Horner's rule)."""
        total = turn * self.bends[3]
        for weight in self.bends[2::-1]:
            total += weight
            total *= turn
        total *= turn
        swell: Field = np.maximum(total.real + np.float32(1), np.float32(0.3))
        return swell


def make_gland(
    rng: np.random.Generator, centre: tuple[float, float], longest: float, slim: float, lumps: float, angle: float
) -> Gland:
    """A gland whose shorter radius is `slim` of the longer."""
    bends = rng.normal(0, lumps, 4) / np.array([1, 1.2, 1.6, 2]) * np.exp(1j * rng.uniform(0, 6.28, 4))
    return Gland(centre, (longest, longest * slim), angle, bends.astype(np.complex64))


class Slide:
    """Maps of one field of view, float (H, W), 1 where a part takes its full stain.

    Attributes:
        nuclear: nuclei; change it in place.
        body: cytoplasm, muscle, keratin, red cells.
        fibre: collagen.
        brown: antibody.
        masks: named structures.
    """

    def __init__(self, rng: np.random.Generator, size: int, cell: float) -> None:
        self.rng, self.size, self.cell = rng, size, cell
        self._margin = int(2.5 * cell) + 4
        self._padded: Field = np.zeros((size + 2 * self._margin,) * 2, np.float32)
        self.nuclear: Field = self._padded[self._margin : -self._margin, self._margin : -self._margin]
        self.body: Field = np.zeros((size, size), np.float32)
        self.fibre: Field = np.zeros((size, size), np.float32)
        self.brown: Field = np.zeros((size, size), np.float32)
        self.masks: dict[str, Mask] = {}
        self.found: list[str] = []

    def mark(self, name: str, mask: Mask, window: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        """Add to a mask."""
        if name not in self.masks:
            self.masks[name] = np.zeros((self.size, self.size), np.bool_)
        self.masks[name][window] |= mask

    def waves(self, pitch: float, bend: float) -> tuple[Field, Field]:
        """Wavy stripes in [-1, 1] about `pitch` pixels apart, and their direction in rad, each (H, W)."""
        steps = np.arange(self.size, dtype=np.float32)
        angle = between(self.rng, 0, np.pi)
        cells = between(self.rng, 1.5, 6)
        drift = np.float32(0.25 * bend * self.size / cells) * fractal(self.rng, self.size, cells, 2, 0.35)
        phase = np.cos(angle) * steps[None] + np.sin(angle) * steps[:, None] + drift
        return np.sin(phase * np.float32(2 * np.pi / pitch)), np.full_like(phase, angle + np.pi / 2)

    def scatter(self, pitch: float, where: Mask | None = None) -> Field:
        """Positions (n, 2) about `pitch` pixels apart, each row and column jittered, within a mask."""
        return lattice(self.rng, self.size, pitch, 0.33, where)

    def place(self, nuclei: Nuclei, spots: Field, angles: Field | None = None) -> None:
        """Put a stamp on each (row, column) spot, along `angles` (rad) if they are given; the darker dye wins."""
        rng, side = self.rng, nuclei.stamps.shape[1]
        if not len(spots):
            return
        picks = rng.integers(0, len(nuclei.stamps), len(spots))
        if angles is not None and nuclei.slender:
            picks = np.round(angles / np.pi * len(nuclei.stamps) + rng.normal(0, 0.5, len(spots))).astype(int) % 8
        depths = rng.uniform(0.7, 1.15, len(spots)).astype(np.float32)
        corners = np.clip(np.round(spots - side / 2).astype(int) + self._margin, 0, len(self._padded) - side)
        if side * side * (6 + 0.01 * len(spots)) < 2.8 * len(spots):
            # Many small stamps: pixel by pixel for all of them is faster than stamp by stamp.
            pixels, first = self._padded.reshape(-1), corners[:, 0] * len(self._padded) + corners[:, 1]
            dyes = np.ascontiguousarray((depths[:, None, None] * nuclei.stamps[picks]).transpose(1, 2, 0))
            for row, column in np.ndindex(side, side):
                place = first + (row * len(self._padded) + column)
                pixels[place] = np.maximum(pixels[place], dyes[row, column])
            return
        for (row, column), pick, depth in zip(corners.tolist(), picks, depths, strict=True):
            part = self._padded[row : row + side, column : column + side]
            np.maximum(part, depth * nuclei.stamps[pick], out=part)

    def walls(self, spots: Field) -> Field:
        """Pixels to the border between the two nearest spots, (H, W): 0 on cell walls."""
        coarse = max(48, min(128, self.size // 2))
        steps = (np.arange(coarse) + 0.5) * self.size / coarse
        points = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
        near = np.asarray(cKDTree(spots).query(points, k=2)[0], np.float32)
        apart = ((near[:, 1] - near[:, 0]) / 2).reshape(coarse, coarse)
        return np.maximum(resize(apart, (self.size, self.size)), 0)

    def clear(self, where: Mask, left: float = 0.02) -> None:
        """Bare glass or fat: hardly any dye."""
        for part in (self.nuclear, self.body, self.fibre, self.brown):
            part[where] *= np.float32(left)
        for mask in self.masks.values():
            mask &= ~where


def lattice(rng: np.random.Generator, size: int, pitch: float, jitter: float, where: Mask | None = None) -> Field:
    """Positions (n, 2) of a jittered hexagonal lattice that covers the picture, within a mask."""
    count = int(size / pitch) + 3
    rows, columns = np.mgrid[0:count, 0:count].astype(np.float32)
    columns += 0.5 * (rows % 2)
    spots = (np.stack([rows, columns], axis=-1).reshape(-1, 2) - rng.uniform(0.5, 1.5, 2)) * pitch
    spots += rng.normal(0, jitter * pitch * 0.8, spots.shape)
    spots = spots[((spots > -pitch) & (spots < size + pitch)).all(axis=1)]
    if where is not None:
        index = np.clip(spots.astype(int), 0, size - 1)
        spots = spots[where[index[:, 0], index[:, 1]]]
    chosen: Field = spots
    return chosen
