"""Solid organs of the abdomen, their vessels and their lesions."""

import numpy as np

from mmedagent.training.phantoms.atlas import LIVER, PANCREAS, PANCREAS_WIDTH, SPLEEN
from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.patches import Stroke, fill, inside, lines, oval, ribbon
from mmedagent.training.phantoms.torso import Trunk, at_level
from mmedagent.training.phantoms.views import Point


def liver(trunk: Trunk, level: float, gap: float) -> None:
    """The liver with its veins: those that drain it high up, those that feed it at the level of the hilum."""
    shape = at_level(LIVER, level)
    middle = shape.mean(axis=0)
    shape = middle + (shape - middle) * trunk.between(0.9, 1.08)
    patch = trunk.paint(trunk.wobbly(shape, 0.015), trunk.tissue["liver"], "liver", gap=gap)
    mask = trunk.found("liver")
    if mask is None or not patch.cover.size:
        return
    root = (-0.1, 0.02) if level < 0.2 else (-0.16, -0.1)
    strokes = _tree(trunk, root, 0.05 if level < 0.6 else 0.02, (2.2, 4.4))
    veins = inside(lines(trunk.view, strokes, soft=0.5), mask)
    trunk.add(veins, trunk.tissue["vein"])
    if trunk.chance(0.4) and 0.1 < level < 0.6:
        fissure = np.asarray(
            [trunk.place(*point) for point in ((-0.13, -0.14), (-0.2, -0.3), (-0.22, -0.5))], np.float32
        )
        trunk.add(
            inside(lines(trunk.view, [Stroke(fissure, trunk.between(0.008, 0.03))], soft=0.5), mask),
            trunk.tissue["fat"],
        )


def _tree(trunk: Trunk, root: Point, width: float, fan: tuple[float, float]) -> list[Stroke]:
    """Branches that leave a root within a fan of directions and taper."""
    strokes = []
    for turn in np.linspace(*fan, int(trunk.rng.integers(3, 7))) + trunk.rng.normal(0, 0.15):
        heading, reach = turn + np.cumsum(trunk.rng.normal(0, 0.12, 6)), trunk.between(0.05, 0.1)
        path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * reach
        path = np.asarray(trunk.place(*root)) + np.vstack([[0, 0], path])
        thick = width * trunk.between(0.4, 1)
        strokes += [
            Stroke(path[start : start + 3].astype(np.float32), max(thick * (1 - 0.3 * start), 0.012))
            for start in (0, 2, 4)
        ]
        fork = path[3] + np.cumsum(np.stack([np.cos(heading[:3] + 0.8), np.sin(heading[:3] + 0.8)], axis=1), 0) * reach
        strokes.append(Stroke(np.vstack([path[3:4], fork]).astype(np.float32), max(thick * 0.4, 0.01)))
    return strokes


def spleen(trunk: Trunk, level: float, gap: float) -> None:
    size = float(trunk.rng.choice([trunk.between(0.8, 1.1), trunk.between(1.1, 1.35)], p=[0.85, 0.15]))
    shape = at_level(SPLEEN, level)
    anchor = np.array([0.78, 0.2])
    outline = trunk.wobbly(anchor + (shape - anchor) * size, 0.012)
    mottled = trunk.chance(0.5) and abs(trunk.tissue["vessel"] - trunk.tissue["vein"]) > 60
    trunk.paint(outline, trunk.tissue["spleen"], "spleen", spread=3.5 if mottled else 1.0, gap=gap)


def pancreas(trunk: Trunk, level: float) -> None:
    """A lobulated band before the splenic vein; fat comes between its lobules with age."""
    tissue = trunk.tissue
    path = at_level(PANCREAS, level) + trunk.rng.normal(0, 0.012, (6, 2))
    widths = np.array([np.interp(level, [at for at, _ in PANCREAS_WIDTH], [row[k] for _, row in PANCREAS_WIDTH])
                       for k in range(6)])  # fmt: skip
    path = np.asarray([trunk.place(*point) for point in path.tolist()], np.float32)
    if level < 0.58:
        vein = path[1:] + np.array([0, 0.045], np.float32)
        trunk.scene.paint(lines(trunk.view, [Stroke(vein, 0.03)], soft=0.4), tissue["vein"])
    outline = ribbon(path, widths * trunk.between(0.75, 1.25), steps=7)
    outline = outline + trunk.rng.normal(0, trunk.between(0.002, 0.007), outline.shape).astype(np.float32)
    patch = trunk.paint(outline, tissue["pancreas"], "pancreas", gap=0.012)
    lobules = np.clip(trunk.values(patch, 0, 1 / tissue["spread"], cells=60) - trunk.between(0.6, 1.6), 0, 1)
    mask = trunk.found("pancreas")
    if mask is not None and patch.cover.size:
        trunk.add(inside(patch, mask), trunk.scene.value[patch.window] * (1 - lobules) + lobules * tissue["fat"])


def kidney(trunk: Trunk, side: int, share: float) -> None:
    """One kidney in its fat, `share` of its full section; side -1 is the right one."""
    tissue, rng, view = trunk.tissue, trunk.rng, trunk.view
    name = "right kidney" if side < 0 else "left kidney"
    place = trunk.place(side * trunk.between(0.36, 0.42), trunk.between(0.17, 0.23))
    radii = (share * trunk.between(0.12, 0.15), share * trunk.between(0.15, 0.18))
    angle = trunk.between(0.25, 0.6) * side
    rim = (radii[0] + trunk.between(0.015, 0.05), radii[1] + trunk.between(0.015, 0.05))
    trunk.paint(oval(rng, place, rim, angle, 0.04), tissue["fat"], None)
    trunk.paint(oval(rng, place, radii, angle, 0.035), tissue["cortex"], name)
    mask = trunk.found(name)
    if mask is None or share < 0.6:
        return
    pyramids, axes = [], (np.cos(angle), np.sin(angle))
    for turn in np.arange(0, 2 * np.pi, trunk.between(0.55, 0.8)):
        if abs((turn - (0 if side < 0 else np.pi) + np.pi) % (2 * np.pi) - np.pi) < 0.7:
            continue
        u, v = 0.6 * radii[0] * np.cos(turn), 0.6 * radii[1] * np.sin(turn)
        spot = (place[0] + axes[0] * u - axes[1] * v, place[1] + axes[1] * u + axes[0] * v)
        pyramids.append(oval(rng, spot, (0.26 * radii[0], 0.2 * radii[0]), angle + turn, 0.08))
    trunk.add(fill(view, *pyramids, soft=0.8), tissue["kidney"])
    if share > 0.75:
        _sinus(trunk, (place, radii, angle), side, mask)


def _sinus(trunk: Trunk, body: tuple[Point, Point, float], side: int, mask: Mask) -> None:
    """Fat, vessels and the collecting system that open towards the middle and front."""
    (x, y), (a, b), angle = body
    rng, tissue = trunk.rng, trunk.tissue
    centre = oval(rng, (x, y), (0.36 * a, 0.42 * b), angle, 0.12)
    mouth = oval(rng, (x - side * 0.75 * a, y - 0.3 * b), (0.55 * a, trunk.between(0.18, 0.32) * b), -0.5 * side, 0.08)
    trunk.scene.paint(fill(trunk.view, centre, mouth, soft=0.5), tissue["fat"], None, inside=not trunk.chance(0.3))
    pelvis = oval(rng, (x - side * 0.35 * a, y - 0.12 * b), (0.26 * a, 0.14 * b), -0.6 * side, 0.15)
    trunk.add(fill(trunk.view, pelvis, soft=0.5), tissue["urine"])
    vessel = np.asarray([(x - side * 0.2 * a, y - 0.2 * b), (x - side * 1.6 * a, y - 0.6 * b)], np.float32)
    trunk.add(lines(trunk.view, [Stroke(vessel, 0.022)], soft=0.4), tissue["vein"])


def gallbladder(trunk: Trunk) -> None:
    place = trunk.place(trunk.between(-0.42, -0.3), trunk.between(-0.34, -0.24))
    radii = (trunk.between(0.06, 0.12), trunk.between(0.045, 0.075))
    outline = oval(trunk.rng, place, radii, trunk.between(0.5, 1.3), 0.05)
    trunk.paint(outline, 0.5 * (trunk.tissue["muscle"] + trunk.tissue["fluid"]), "gallbladder")
    inner = oval(trunk.rng, place, (radii[0] - 0.008, radii[1] - 0.008), 0.9, 0.03)
    mask = trunk.found("gallbladder")
    if mask is not None:
        trunk.add(inside(fill(trunk.view, outline, inner, soft=0.5), mask), trunk.tissue["bile"])


def lesions(trunk: Trunk, organ: str) -> list[str]:
    """One to four lesions in an organ that is well in view; returns the findings."""
    mask = trunk.found(organ)
    size = trunk.view.shape[0]
    if mask is None or np.count_nonzero(mask) < 0.006 * size * size:
        return []
    finding, kind = f"{organ} lesion", str(trunk.rng.choice(["cyst", "solid", "rim"], p=[0.3, 0.45, 0.25]))
    healthy = _healthy(trunk, organ, mask)
    level = _contrasting(trunk, healthy, kind)
    for _ in range(int(trunk.rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))):
        outline, radius = _spot(trunk, mask)
        patch = inside(fill(trunk.view, outline, soft=0.3 if kind == "cyst" else 0.9), mask)
        trunk.scene.paint(patch, trunk.values(patch, level), finding, inside=True)
        if kind == "rim" and radius > 0.04:
            core = outline.mean(axis=0) + 0.55 * (outline - outline.mean(axis=0))
            deeper = level + 0.5 * (level - min(healthy, key=lambda value: abs(value - level)))
            trunk.add(inside(fill(trunk.view, core, soft=0.8), mask), deeper)
    return [finding]


def _healthy(trunk: Trunk, organ: str, mask: Mask) -> tuple[float, ...]:
    """The values that an organ has where nothing is wrong with it."""
    if "kidney" in organ:
        return trunk.tissue["cortex"], trunk.tissue["kidney"]
    return (float(np.median(trunk.scene.value[mask])),)


def _contrasting(trunk: Trunk, healthy: tuple[float, ...], kind: str) -> float:
    """A value that differs from all healthy ones by what can be seen."""
    least, fluid = trunk.tissue["least"], trunk.tissue["fluid"]
    below = max(min(healthy) - least * trunk.between(1, 2.2), trunk.tissue["floor"])
    above = max(healthy) + least * trunk.between(1, 2.2)
    if kind == "cyst" and not min(healthy) - least < fluid < max(healthy) + least:
        return fluid
    darker = (trunk.tissue["lesion"] < min(healthy)) != trunk.chance(0.15)
    visible = min(healthy) - below > 0.8 * least
    return below if visible and (darker or above > trunk.tissue["ceiling"]) else above


def _spot(trunk: Trunk, mask: Mask) -> tuple[Field, float]:
    """The outline that lies best within the mask, of a few that are drawn, and its radius."""
    rows, columns = np.nonzero(mask)
    extent = (np.count_nonzero(mask) / np.pi) ** 0.5 * max(trunk.view.step)
    radius = min(trunk.between(0.035, 0.13), 0.5 * extent)
    best, most = None, -1.0
    for pick in trunk.rng.integers(0, len(rows), 5):
        place = float(trunk.view.x[rows[pick], columns[pick]]), float(trunk.view.y[rows[pick], columns[pick]])
        radii = (radius, radius * trunk.between(0.7, 1.0))
        outline = oval(trunk.rng, place, radii, trunk.between(0, 3.1), 0.07)
        places = np.clip(trunk.view.pixels(outline).astype(int), 0, np.array(mask.shape[::-1]) - 1)
        share = float(mask[places[:, 1], places[:, 0]].mean())
        if share > most:
            best, most = outline, share
    return np.asarray(best), radius
