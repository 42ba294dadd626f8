"""Findings of a frontal chest radiograph: each changes what a ray passes through, and leaves a note of what it is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmedagent.training.phantoms.base import Mask
from mmedagent.training.phantoms.chest import SIDES, Chest, Lung
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Stroke, fractal, noise, union

CARDIOMEGALY_RATIO = 0.5
"""A heart wider than this share of the inner thorax is enlarged."""

LEAST_PIXELS = 12
ZONES = ("upper", "middle", "lower")
_HIDING = ("pleural effusion", "pneumothorax", "consolidation")


@dataclass(frozen=True)
class Note:
    """One finding as it was drawn.

    Attributes:
        finding: its name.
        side: "right", "left", "both", or "" where it has none.
        zone: "upper", "middle" or "lower" third of the lung, or "".
        extent: "small", "moderate", "large", or "" where size is not stated.
        many: whether there are several.
    """

    finding: str
    side: str = ""
    zone: str = ""
    extent: str = ""
    many: bool = False


def _hidden(chest: Chest) -> Mask:
    """Where a lesion would not be seen: in the heart and in what has been drawn before."""
    taken = [chest.masks[name] for name in _HIDING if name in chest.masks]
    hidden: Mask = np.logical_or.reduce([chest.heart > 0.3, *taken])
    return hidden


def _zone_place(rng: np.random.Generator, lung: Lung, zone: str) -> tuple[float, float]:
    down = (ZONES.index(zone) + between(rng, 0.3, 0.7)) / 3
    return lung.place(between(rng, 0.35, 0.75), down)


def consolidate(chest: Chest, rng: np.random.Generator) -> Note | None:
    """Air replaced in patches of one zone, of one lung or of both."""
    both, zone = chance(rng, 0.15), str(rng.choice(ZONES, p=(0.25, 0.3, 0.45)))
    side = "both" if both else str(rng.choice(list(SIDES)))
    covered, soft = np.zeros(chest.heart.shape, np.float32), between(rng, 2, 7) * len(chest.film.x) / 256
    for name in SIDES if both else (side,):
        lung, whole = chest.lungs[name], between(rng, 0.1, 0.24)
        place = _zone_place(rng, lung, zone)
        parts = [chest.film.lump(rng, place, (whole, whole * between(rng, 0.7, 1.2)), 0.15, soft)]
        for _ in range(int(rng.integers(0, 3))):
            near = (place[0] + rng.normal(0, 0.6 * whole), place[1] + rng.normal(0, 0.4 * whole))
            parts.append(chest.film.lump(rng, near, (0.6 * whole, 0.5 * whole), 0.15, soft))
        covered = np.maximum(covered, union(parts) * (lung.sign * chest.film.x > 0))
    ragged = np.clip(covered * (1 + 0.3 * fractal(rng, chest.heart.shape[0], 12, 3)), 0, 1)
    chest.air *= 1 - between(rng, 0.45, 0.95) * ragged
    mask = (covered > 0.35) & (union(list(chest.coverage.values())) > 0.5)
    if mask.sum() < 0.004 * mask.size:
        return None
    chest.add_mask("consolidation", mask)
    return Note("consolidation", side, zone)


def effuse(chest: Chest, rng: np.random.Generator) -> Note | None:
    """Fluid from the costophrenic angle up, its surface rising towards the wall."""
    side = "both" if chance(rng, 0.25) else str(rng.choice(list(SIDES)))
    extent = str(rng.choice(("small", "moderate", "large"), p=(0.35, 0.4, 0.25)))
    low, high, bend, flat = {
        "small": (0.13, 0.2, 3.0, 0.1), "moderate": (0.3, 0.5, 1.8, 0.35), "large": (0.6, 0.9, 1.3, 0.6),
    }[extent]  # fmt: skip
    opaque, film, fluid = between(rng, 0.85, 1.0), chest.film, np.zeros(chest.heart.shape, np.float32)
    for name in SIDES if side == "both" else (side,):
        lung = chest.lungs[name]
        across = np.clip(lung.sign * film.x / lung.width, 0, 1)
        surface = lung.base - between(rng, low, high) * (flat + (1 - flat) * across**bend)
        softness = between(rng, 0.02, 0.05)
        level = np.clip((film.y - surface) / softness + 0.5, 0, 1) * (lung.sign * film.x > 0)
        chest.air *= 1 - opaque * level
        chest.vessels *= 1 - level
        fluid += level * chest.coverage[name]
    if (fluid > 0.5).sum() < LEAST_PIXELS:
        return None
    chest.add_mask("pleural effusion", fluid > 0.5)
    return Note("pleural effusion", side, "", extent)


def collapse(chest: Chest, rng: np.random.Generator) -> Note | None:
    """Free air between wall and lung: no vessels beyond a thin white line, and a denser lung within it."""
    free_sides = [side for side in SIDES if not _touched(chest, side, "pleural effusion")]
    if not free_sides:
        return None
    side, extent = str(rng.choice(free_sides)), str(rng.choice(("small", "moderate", "large"), p=(0.35, 0.35, 0.3)))
    depth = between(rng, *{"small": (0.09, 0.14), "moderate": (0.17, 0.26), "large": (0.32, 0.46)}[extent])
    lung = chest.lungs[side]
    up = np.clip((lung.base - lung.outline[:, 1]) / (lung.base - lung.apex), 0, 1)
    lateral = np.clip(lung.sign * lung.outline[:, 0] / lung.width * 1.6 - 0.3, 0, 1)
    weight = (up**1.5 if extent == "small" else 0.25 + 0.75 * up) * lateral
    weight = weight.reshape(-1, 1) * (1 + 0.12 * np.sin(5 * up + between(rng, 0, 6)).reshape(-1, 1))
    towards = np.array([lung.sign * 0.12, 0.1]) - lung.outline
    towards = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    inner = (lung.outline + depth * weight * towards).astype(np.float32)
    inside = chest.film.fill(inner, 0.5)
    free = chest.coverage[side] * (1 - inside)
    chest.vessels *= 1 - free
    chest.air *= 1 + between(rng, 0.12, 0.3) * free - (0.15 + 0.6 * depth) * inside * chest.coverage[side]
    moved = np.flatnonzero(weight[:, 0] * depth > 0.02)
    edge = chest.film.lines([Stroke(inner[moved[0] : moved[-1] + 1], between(rng, 0.012, 0.018))], 0.4)
    chest.tissue += between(rng, 0.08, 0.16) * edge * chest.coverage[side]
    if (free > 0.5).sum() < 0.002 * free.size:
        return None
    chest.add_mask("pneumothorax", free > 0.5)
    return Note("pneumothorax", side, "", extent)


def _touched(chest: Chest, side: str, name: str) -> bool:
    return name in chest.masks and bool((chest.masks[name] & (chest.coverage[side] > 0.5)).any())


def seed_nodules(chest: Chest, rng: np.random.Generator) -> Note | None:
    """One round opacity, or a few of them, clear of the heart and of other lesions."""
    hidden, count = _hidden(chest), 1 if chance(rng, 0.8) else int(rng.integers(2, 5))
    size, placed = chest.heart.shape[0], []
    bumps = np.zeros(chest.heart.shape, np.float32)
    for _ in range(12):
        side, zone = str(rng.choice(list(SIDES))), str(rng.choice(ZONES))
        place = _zone_place(rng, chest.lungs[side], zone)
        column, row = chest.film.pixels(np.array([place], np.float32))[0].astype(int)
        inside = 0 <= row < size and 0 <= column < size
        if not inside or hidden[row, column] or chest.coverage[side][row, column] < 0.9:
            continue
        reach = between(rng, 0.04, 0.1)
        bump = chest.film.lump(rng, place, (reach, reach * between(rng, 0.85, 1)), 0.05, between(rng, 0.6, 1.6))
        bumps = np.maximum(bumps, bump)
        placed.append((side, zone))
        if len(placed) == count:
            break
    if not placed:
        return None
    chest.air *= 1 - between(rng, 0.45, 0.8) * bumps
    chest.tissue += between(rng, 0.02, 0.12) * bumps
    chest.add_mask("lung nodule", bumps > 0.5)
    sides = {side for side, _ in placed}
    many = len(placed) > 1
    return Note("lung nodule", "both" if len(sides) > 1 else sides.pop(), "" if many else placed[0][1], many=many)


def infiltrate(chest: Chest, rng: np.random.Generator) -> Note | None:
    """A fine net or fine grains with a slight veil, over both lungs, their lower parts or one lung."""
    size, side = chest.heart.shape[0], "both" if chance(rng, 0.65) else str(rng.choice(list(SIDES)))
    zone = "" if chance(rng, 0.55) else str(rng.choice(("upper", "lower"), p=(0.3, 0.7)))
    lungs = union([chest.coverage[name] for name in SIDES if side in ("both", name)])
    reach = np.ones_like(lungs)
    if zone:
        lung = chest.lungs["left"]
        down = (chest.film.y - lung.apex) / (lung.base - lung.apex)
        reach = np.clip((down - 0.5 if zone == "lower" else 0.5 - down) * 5 + 0.5, 0, 1)
    where = lungs * reach * (1 - _hidden(chest))
    cells = between(rng, 50, 90)
    net = 1 - 1.5 * np.abs(noise(rng, size, 0.8 * cells)) if chance(rng, 0.5) else noise(rng, size, cells)
    pattern = np.clip(0.5 + 0.5 * net * (1 + 0.3 * noise(rng, size, 6)), 0, 1.2)
    chest.air *= 1 - where * (between(rng, 0.05, 0.18) + between(rng, 0.3, 0.5) * pattern)
    mask = where > 0.5
    if mask.sum() < 0.01 * mask.size:
        return None
    chest.add_mask("infiltration", mask)
    return Note("infiltration", side, zone)


_DRAWN: dict[str, Callable[[Chest, np.random.Generator], Note | None]] = {
    "pleural effusion": effuse,
    "pneumothorax": collapse,
    "consolidation": consolidate,
    "lung nodule": seed_nodules,
    "infiltration": infiltrate,
}
FINDINGS: tuple[str, ...] = ("cardiomegaly", *_DRAWN)
"""Names of all findings. They are drawn in this order, so that a later one avoids an earlier one."""


def choose(rng: np.random.Generator, normal: float = 0.42) -> frozenset[str]:
    """Which findings an image has: none with probability `normal`, else one to three."""
    if chance(rng, normal):
        return frozenset()
    count = int(rng.choice((1, 2, 3), p=(0.62, 0.28, 0.1)))
    return frozenset(rng.choice(FINDINGS, count, replace=False).tolist())


def heart_ratio(rng: np.random.Generator, chosen: frozenset[str]) -> float:
    """A cardiothoracic ratio that is clearly above or clearly below `CARDIOMEGALY_RATIO`."""
    return between(rng, 0.54, 0.68) if "cardiomegaly" in chosen else between(rng, 0.37, 0.47)


def add_findings(chest: Chest, rng: np.random.Generator, chosen: frozenset[str]) -> list[Note]:
    """Draw the chosen findings; the notes say what there is to see."""
    notes: list[Note] = []
    if chest.ratio > CARDIOMEGALY_RATIO:
        chest.add_mask("cardiomegaly", chest.masks["heart"])
        notes.append(Note("cardiomegaly"))
    for name, draw in _DRAWN.items():
        if name in chosen and (note := draw(chest, rng)) is not None:
            notes.append(note)
    return notes
