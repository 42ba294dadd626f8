"""Stained tissue: H&E and DAB immunohistochemistry at several magnifications.

Colour is light through dye (Beer and Lambert): the optical densities of haematoxylin, eosin and DAB add up, with the
stain vectors of Ruifrok and Johnston (2001), jittered from slide to slide.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Mask, Phantom, Pixels
from mmedagent.training.phantoms.finish import between, chance, colour, compress
from mmedagent.training.phantoms.shapes import Scene, blob, fractal, grain, make_view, noise

STAINS = {"haematoxylin": (0.65, 0.70, 0.29), "eosin": (0.07, 0.99, 0.11), "dab": (0.27, 0.57, 0.78)}
"""Optical density of red, green and blue per unit of dye."""


class Gland(NamedTuple):
    """A gland in pixels: centre (row, column), its radii and tilt, and the bends of its outline."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    angle: float
    bends: Field

    def outline(self, turns: Field, level: float) -> Field:
        """Positions (n, 2) at `level` times the radius."""
        reach = level * (1 + self._bend(turns))
        u, v = reach * self.radii[0] * np.cos(turns), reach * self.radii[1] * np.sin(turns)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.centre[0] + sin * u + cos * v, self.centre[1] + cos * u - sin * v], axis=1)

    def level(self, size: int) -> Field:
        """float (size, size): 1 on the outline, below 1 inside."""
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        dy, dx = rows - self.centre[0], columns - self.centre[1]
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u, v = (cos * dx + sin * dy) / self.radii[0], (cos * dy - sin * dx) / self.radii[1]
        turn = np.arctan2(v, u)
        level: Field = np.sqrt(u * u + v * v) / (1 + self._bend(turn))
        return level

    def _bend(self, turn: Field) -> Field:
        """Relative change of the radius at polar angles, by harmonics 2 to 5."""
        bend = np.zeros_like(turn)
        for order, (strength, phase) in enumerate(self.bends.astype(turn.dtype), start=2):
            bend += strength * np.cos(order * turn + phase)
        return bend


def _stamps(rng: np.random.Generator, length: float, slender: float) -> list[Field]:
    """A handful of nucleus shapes about `length` pixels long, with chromatin texture and a darker rim."""
    side = max(5, round(length * 1.8))
    stamps = []
    view = make_view(rng, side, half=(1, 1), tilt=0, warp=0.0)
    for _ in range(7):
        ratio = between(rng, slender, 1.0)
        shape = blob(view, rng, (0, 0), (0.58, 0.58 * ratio), between(rng, 0, 3.1), 0.05, edge=1.2)
        texture = 0.85 + 0.25 * noise(rng, side, 4)
        stamps.append((shape * np.clip(texture, 0.4, 1.3)).astype(np.float32))
    return stamps


def _place(dye: Field, stamps: list[Field], rng: np.random.Generator, spots: Field) -> None:
    """Put a random stamp on each (row, column) spot, the darker dye winning."""
    size, side = dye.shape[0], stamps[0].shape[0]
    corners = np.round(spots - side / 2).astype(int)
    picks = rng.integers(0, len(stamps), len(spots))
    depths = rng.uniform(0.7, 1.2, len(spots))
    for (row, column), pick, depth in zip(corners, picks, depths, strict=True):
        top, left, bottom, right = max(row, 0), max(column, 0), min(row + side, size), min(column + side, size)
        if top >= bottom or left >= right:
            continue
        patch = dye[top:bottom, left:right]
        stamp = stamps[pick][top - row : bottom - row, left - column : right - column]
        np.maximum(patch, stamp * np.float32(depth), out=patch)


def _scatter(rng: np.random.Generator, size: int, spacing: float, where: Mask | None = None) -> Field:
    """Jittered grid of positions about `spacing` pixels apart, kept where the mask allows."""
    axis = np.arange(-spacing / 2, size + spacing, spacing)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    spots = grid + rng.normal(0, 0.3 * spacing, grid.shape)
    if where is None:
        return spots
    index = np.clip(np.round(spots).astype(int), 0, size - 1)
    result: Field = spots[where[index[:, 0], index[:, 1]]]
    return result


def _glands(rng: np.random.Generator, size: int, cell: float) -> list[Gland]:
    glands: list[Gland] = []
    for _ in range(int(rng.integers(1, 9))):
        longest = between(rng, 3.5, 9) * cell
        centre = (between(rng, 0, size), between(rng, 0, size))
        if any(np.hypot(centre[0] - g.centre[0], centre[1] - g.centre[1]) < longest + max(g.radii) for g in glands):
            continue
        bends = np.stack([rng.normal(0, 0.08, 4), rng.uniform(0, 6.28, 4)], axis=1)
        glands.append(Gland(centre, (longest, longest * between(rng, 0.5, 1)), between(rng, 0, 3.1), bends))
    return glands


class _Slide:
    """Dye maps of one field of view, each float (H, W) in units of typical full staining."""

    def __init__(self, rng: np.random.Generator, size: int, cell: float) -> None:
        self.rng, self.size, self.cell = rng, size, cell
        self.blue: Field = np.zeros((size, size), np.float32)
        stretch = float(np.exp(rng.normal(0, 0.8)))
        fibres = np.sin(3 * fractal(rng, size, 3, 2) + 5 * noise(rng, size, 12, stretch))
        self.pink: Field = (0.45 + 0.12 * fractal(rng, size, 8, 3) + between(rng, 0.02, 0.15) * fibres).astype(
            np.float32
        )
        self.brown: Field = np.zeros((size, size), np.float32)
        self.masks: dict[str, Mask] = {}

    def add_gland(self, gland: Gland, nuclei: list[Field], brown: bool, lumen_share: float) -> None:
        """Epithelium around a lumen with a row or two of nuclei at its base."""
        level = gland.level(self.size)
        inside, lumen = level < 1, level < lumen_share
        cytoplasm = inside & ~lumen
        self.blue[inside] = 0
        wave = 1 + 0.3 * noise(self.rng, self.size, self.size / self.cell)
        self.pink[cytoplasm] = (between(self.rng, 0.5, 0.8) * wave)[cytoplasm]
        if brown:
            walls = 0.6 + 0.5 * np.abs(noise(self.rng, self.size, 1.6 * self.size / self.cell))
            self.brown[cytoplasm] = (between(self.rng, 0.5, 1.1) * walls)[cytoplasm]
        rim = np.clip(1 - np.abs(level - 1) * max(gland.radii) / 1.5, 0, 1)
        self.pink += 0.3 * rim
        for name in ("blue", "pink", "brown"):
            getattr(self, name)[lumen] *= 0.12
        around = 2 * np.pi * float(np.mean(gland.radii))
        for depth in ((1 + lumen_share) / 2, 0.25 + 0.75 * (1 + lumen_share) / 2)[: int(self.rng.integers(1, 3))]:
            count = max(6, int(around / (self.cell * between(self.rng, 0.8, 1.1))))
            turns = np.linspace(0, 2 * np.pi, count, endpoint=False) + self.rng.normal(0, 0.05, count)
            _place(self.blue, nuclei, self.rng, gland.outline(turns, depth))
        self._add("glands", inside)
        if lumen.sum() > 30:
            self._add("lumen", lumen)

    def _add(self, name: str, mask: Mask) -> None:
        self.masks[name] = self.masks[name] | mask if name in self.masks else mask.copy()

    def clear(self, where: Mask) -> None:
        """Bare glass or fat: no dye."""
        for dye in (self.blue, self.pink, self.brown):
            dye[where] *= 0.03
        for name, mask in self.masks.items():
            self.masks[name] = mask & ~where

    def rgb(self, brown_stain: bool) -> Pixels:
        """Light through the dyes; DAB slides have no eosin."""
        rng = self.rng
        strength = {
            "haematoxylin": self.blue * between(rng, 0.7, 1.5) + between(rng, 0, 0.12) * (brown_stain + 0.3),
            "eosin": self.pink * (between(rng, 0.0, 0.18) if brown_stain else between(rng, 0.4, 1.0)),
            "dab": self.brown * between(rng, 0.7, 1.4),
        }
        density = np.zeros((self.size, self.size, 3), np.float32)
        for stain, amount in strength.items():
            vector = np.asarray(STAINS[stain], np.float32) * np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)
            density += amount[..., None] * vector
        density = ndimage.gaussian_filter(density, (between(rng, 0.2, 0.9),) * 2 + (0,))
        light = np.array([between(rng, 0.9, 1.0) for _ in range(3)], np.float32)
        return colour(light * np.exp(-density) + between(rng, 0.003, 0.03) * grain(rng, self.size, 1.5)[..., None])


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One microscope field; anatomy is "tissue"."""
    cell = float(rng.choice([between(rng, 3, 6), between(rng, 7, 13), between(rng, 14, 30)], p=[0.3, 0.45, 0.25]))
    brown_stain = chance(rng, 0.35)
    slide = _Slide(rng, size, cell)
    nuclei = _stamps(rng, cell, between(rng, 0.5, 0.9))
    stroma = _stamps(rng, cell, 0.3)
    _place(slide.blue, stroma, rng, _scatter(rng, size, cell * between(rng, 1.3, 3.2)))
    found: list[str] = []
    if chance(rng, 0.3):
        area = fractal(rng, size, 2, 3) > between(rng, -0.4, 0.7)
        pleomorphic = _stamps(rng, cell * between(rng, 1.1, 1.5), 0.6)
        _place(slide.blue, pleomorphic, rng, _scatter(rng, size, cell * between(rng, 0.85, 1.1), area))
        if brown_stain:
            slide.brown[area] += between(rng, 0.2, 0.9) * (1 + 0.4 * noise(rng, size, size / cell))[area]
        slide.masks["tumour"] = area
        found.append("tumour")
    share = between(rng, 0.1, 0.6)
    if chance(rng, 0.7):
        for gland in _glands(rng, size, cell):
            slide.add_gland(gland, nuclei, brown_stain and chance(rng, 0.85), share)
    slide.masks["nuclei"] = slide.blue > 0.35
    if chance(rng, 0.3):
        slide.clear(fractal(rng, size, between(rng, 1, 5), 3) > between(rng, 0.5, 1.5))
    if chance(rng, 0.15):
        scene = Scene(make_view(rng, size), 0.0)
        for _ in range(int(rng.integers(5, 25))):
            width = between(rng, 0.08, 0.2)
            scene.paint(blob(scene.view, rng, (between(rng, -1, 1), between(rng, -1, 1)), (width, width)), 1.0)
        slide.clear(scene.value > 0.5)
    image = slide.rgb(brown_stain)
    masks = {name: mask for name, mask in slide.masks.items() if mask.sum() >= 12}
    return Phantom(compress(rng, image), "histology", "tissue", masks, tuple(n for n in found if n in masks))
