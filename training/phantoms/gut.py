"""Stomach, small bowel and colon, with gas, fluid, contrast medium and stool in them."""

import numpy as np

from mmedagent.training.phantoms.atlas import STOMACH
from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.noises import noise
from mmedagent.training.phantoms.patches import Stroke, both, fill, grown, inside, lines, oval, ribbon
from mmedagent.training.phantoms.torso import Trunk, at_level
from mmedagent.training.phantoms.views import Point, Window


def above(outline: Field, level: float) -> Field:
    """The part of a convex outline that lies higher in the image than `level`, as gas collects in a patient who lies
    on the back."""
    return np.stack([outline[:, 0], np.minimum(outline[:, 1], np.float32(level))], axis=1)


def stomach(trunk: Trunk, level: float, gap: float) -> None:
    """The stomach: a wall, fluid or food or contrast medium, and often gas above a level."""
    tissue = trunk.tissue
    shape = at_level(STOMACH, level)
    middle = shape.mean(axis=0)
    outline = trunk.wobbly(middle + (shape - middle) * trunk.between(0.75, 1.1), 0.02)
    patch = trunk.paint(outline, tissue["bowel"], "stomach", gap=gap)
    mask = trunk.found("stomach")
    if mask is None or not patch.cover.size:
        return
    inner = grown(outline, -trunk.between(0.015, 0.03))
    filling = str(trunk.rng.choice(["fluid", "contrast", "food"], p=[0.5, 0.25, 0.25]))
    content = inside(fill(trunk.view, inner, soft=0.5), mask)
    value = 0.5 * (tissue["fluid"] + tissue["bowel"]) if filling == "food" else tissue[filling]
    trunk.add(content, trunk.values(content, value, 4.0 if filling == "food" else 1.0, 45))
    if trunk.chance(0.75):
        top, bottom = float(inner[:, 1].min()), float(inner[:, 1].max())
        gas = above(inner, top + trunk.between(0.15, 0.6) * (bottom - top))
        trunk.add(inside(fill(trunk.view, gas), mask), tissue["gas"])


def colon(trunk: Trunk, place: Point, radius: float, name: str = "bowel") -> None:
    """A section of the colon: a thin wall around gas and stool."""
    tissue, rng = trunk.tissue, trunk.rng
    outline = oval(rng, trunk.place(*place), (radius, radius * trunk.between(0.75, 1.1)), 0.0, 0.12)
    trunk.paint(outline, tissue["bowel"], name, gap=0.008)
    inner = grown(outline, -trunk.between(0.01, 0.018))
    content = fill(trunk.view, inner, soft=0.4)
    mask = trunk.found(name)
    if mask is None or not content.cover.size:
        return
    trunk.add(inside(content, mask), _stool(trunk, content.window))
    if trunk.chance(0.6):
        top, bottom = float(inner[:, 1].min()), float(inner[:, 1].max())
        gas = fill(trunk.view, above(inner, top + trunk.between(0.2, 0.9) * (bottom - top)))
        trunk.add(inside(gas, mask), tissue["gas"])


def _stool(trunk: Trunk, window: Window) -> Field:
    """Soft matter with bubbles of gas."""
    tissue = trunk.tissue
    bubbles = np.clip(noise(trunk.rng, trunk.view.shape[0], 70, window=window) - trunk.between(0.2, 1.4), 0, 1)
    result: Field = np.float32(tissue["stool"]) + np.float32(0.5 * (tissue["gas"] - tissue["stool"])) * bubbles
    return result


def transverse_colon(trunk: Trunk) -> None:
    """The colon across the front, with its pouches."""
    knots = int(trunk.rng.integers(7, 11))
    x = np.linspace(trunk.between(-0.6, -0.3), trunk.between(0.3, 0.6), knots)
    y = -0.4 + 0.12 * (x / 0.6) ** 2 + trunk.rng.normal(0, 0.015, knots)
    widths = trunk.between(0.07, 0.13) * trunk.rng.uniform(0.65, 1.2, knots)
    x = np.concatenate([x[:1] - 0.04, x, x[-1:] + 0.04])
    y, widths = np.pad(y, 1, mode="edge"), np.concatenate([[0.03], widths, [0.03]])
    path = np.asarray([trunk.place(*point) for point in zip(x.tolist(), y.tolist(), strict=True)], np.float32)
    outline = ribbon(path, widths, steps=6)
    trunk.paint(outline, trunk.tissue["bowel"], "bowel", gap=0.01)
    inner = fill(trunk.view, ribbon(path, np.maximum(widths - 0.025, 0.005), steps=6), soft=0.4)
    mask = trunk.found("bowel")
    if mask is None or not inner.cover.size:
        return
    trunk.add(inside(inner, mask), trunk.tissue["gas"] if trunk.chance(0.6) else _stool(trunk, inner.window))


def small_bowel(trunk: Trunk, count: int, area: tuple[float, float, float, float]) -> None:
    """Up to `count` loops in the free part of an area (x1, y1, x2, y2), side by side."""
    places = [trunk.place(trunk.between(area[0], area[2]), trunk.between(area[1], area[3])) for _ in range(2 * count)]
    loops: list[Field] = []
    middles: list[tuple[Point, float]] = []
    for place in places:
        radius = trunk.between(0.045, 0.085)
        crowded = any(np.hypot(place[0] - x, place[1] - y) < 0.8 * (radius + r) for (x, y), r in middles)
        if crowded or len(loops) == count:
            continue
        loops.append(oval(trunk.rng, place, (radius * trunk.between(1, 1.6), radius), trunk.between(0, 3.1), 0.08))
        middles.append((place, radius))
    free = _free(trunk, loops)
    if not free:
        return
    trunk.scene.paint(both(fill(trunk.view, *free), trunk.inner), trunk.tissue["bowel"], "bowel")
    _fill_loops(trunk, free)


def _free(trunk: Trunk, loops: list[Field]) -> list[Field]:
    """The loops that cover hardly anything that has been painted."""
    if not loops:
        return []
    taken = trunk.scene.taken("body")
    pixels = np.clip(trunk.view.pixels(np.concatenate(loops)).astype(int), 0, np.array(taken.shape[::-1]) - 1)
    busy = np.split(taken[pixels[:, 1], pixels[:, 0]], np.cumsum([len(loop) for loop in loops])[:-1])
    return [loop for loop, hits in zip(loops, busy, strict=True) if hits.mean() < 0.1]


def _fill_loops(trunk: Trunk, loops: list[Field]) -> None:
    """Each loop is collapsed, or holds fluid, contrast medium, or gas above fluid."""
    tissue = trunk.tissue
    medium = "contrast" if trunk.chance(0.3) else "fluid"
    full, gassy = [], []
    for loop in loops:
        if trunk.chance(0.35):
            continue
        full.append(grown(loop, -trunk.between(0.012, 0.022)))
        if trunk.chance(0.3):
            top, bottom = float(full[-1][:, 1].min()), float(full[-1][:, 1].max())
            gassy.append(above(full[-1], top + trunk.between(0.3, 0.8) * (bottom - top)))
    mask = trunk.found("bowel")
    if mask is None:
        return
    if full:
        content = inside(fill(trunk.view, *full, soft=0.5), mask)
        trunk.add(content, trunk.values(content, 0.75 * tissue[medium] + 0.25 * tissue["bowel"], 2.0, 40))
    if gassy:
        trunk.add(inside(fill(trunk.view, *gassy), mask), tissue["gas"])


def mesentery(trunk: Trunk, count: int) -> None:
    """Small vessels in the fat between the loops."""
    strokes = []
    for _ in range(count):
        x, y = trunk.place(trunk.between(-0.5, 0.5), trunk.between(-0.35, 0.05))
        turn, length = trunk.between(0, 3.1), trunk.between(0.005, 0.07)
        path = [(x, y), (x + length * float(np.cos(turn)), y + length * float(np.sin(turn)))]
        strokes.append(Stroke(np.asarray(path, np.float32), trunk.between(0.008, 0.018), trunk.between(0.5, 1)))
    trunk.add(lines(trunk.view, strokes), trunk.tissue["vein"])
