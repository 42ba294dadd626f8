"""Axial slices of the chest, from the arch of the aorta to the heart."""

import numpy as np

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between
from mmedagent.training.phantoms.noises import noise
from mmedagent.training.phantoms.patches import Patch, Stroke, both, fill, inside, lines, oval
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.torso import SPINE, Frames, Tissue, Trunk, at_level, make_trunk, ribs, vertebra

RIGHT_MEDIASTINUM: Frames = (
    (0.0, ((-0.06, -0.5), (-0.1, -0.36), (-0.12, -0.2), (-0.1, -0.06), (-0.09, 0.06), (-0.13, 0.2), (-0.16, 0.34))),
    (0.5, ((-0.03, -0.5), (-0.12, -0.36), (-0.17, -0.2), (-0.2, -0.06), (-0.14, 0.06), (-0.14, 0.2), (-0.17, 0.34))),
    (1.0, ((-0.08, -0.5), (-0.18, -0.36), (-0.26, -0.2), (-0.25, -0.06), (-0.15, 0.06), (-0.14, 0.2), (-0.17, 0.34))),
)
LEFT_MEDIASTINUM: Frames = (
    (0.0, ((0.04, -0.5), (0.08, -0.36), (0.14, -0.2), (0.18, -0.06), (0.17, 0.06), (0.16, 0.2), (0.17, 0.34))),
    (0.5, ((0.05, -0.5), (0.14, -0.36), (0.24, -0.2), (0.22, -0.06), (0.19, 0.06), (0.19, 0.2), (0.18, 0.34))),
    (1.0, ((0.16, -0.5), (0.34, -0.36), (0.46, -0.2), (0.46, -0.04), (0.3, 0.06), (0.2, 0.18), (0.18, 0.34))),
)
"""The sides of the mediastinum from front to back, at the arch (0), the carina (0.5) and the ventricles (1)."""


def thorax(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, level: float | None = None
) -> tuple[str, ...]:  # fmt: skip
    """An axial slice at a level from 0 (arch of the aorta) to 1 (ventricles). Returns the findings."""
    level = between(rng, 0.0, 1.0) if level is None else level
    trunk = make_trunk(scene, rng, tissue, between(rng, 1.2, 2.2), (0.32, 0.75 - 0.25 * level))
    lungs = {name: _lung(trunk, side, level, name) for side, name in ((-1, "right lung"), (1, "left lung"))}
    _middle(trunk, level)
    vertebra(scene, rng, tissue, SPINE, trunk.between(0.85, 1.0), trunk.chance(0.25))
    _great_vessels(trunk, level)
    ribs(trunk, trunk.between(0.15, 0.5))
    _chest_wall(trunk, level)
    findings: list[str] = []
    if trunk.chance(0.3):
        findings += _nodules(trunk)
    if trunk.chance(0.25):
        findings += _effusion(trunk, lungs)
    return tuple(sorted(findings))


def _lung(trunk: Trunk, side: int, level: float, name: str) -> Patch:
    """One lung between the wall and the mediastinum, with its vessels."""
    tissue = trunk.tissue
    middle = at_level(RIGHT_MEDIASTINUM if side < 0 else LEFT_MEDIASTINUM, level)
    middle = middle * trunk.between(0.85, 1.15) + trunk.rng.normal(0, 0.012, middle.shape)
    turns = np.pi / 2 - side * np.linspace(0.35, np.pi - 0.22, 18)
    outer = np.asarray([trunk.wall_point(turn, -0.12) for turn in turns])
    outline = np.concatenate([middle * np.asarray(trunk.scale), outer]).astype(np.float32)
    patch = both(fill(trunk.view, outline, soft=0.4), trunk.inner)
    trunk.scene.paint(patch, trunk.values(patch, tissue["lung"], 4.0, 8), name)
    if patch.cover.size:
        trunk.add(Patch(patch.window, patch.cover * _gravity(trunk, patch)), tissue["lung"] * 0.7)
        tree = lines(trunk.view, _vessels(trunk, side, level), soft=0.3)
        trunk.add(both(tree, patch), tissue["muscle"])
    return patch


def _gravity(trunk: Trunk, patch: Patch) -> Field:
    """Lung is denser at the back of a patient who lies."""
    depth: Field = np.clip(trunk.view.y[patch.window] - 0.1, 0, 0.4) * np.float32(trunk.between(0, 0.5))
    return depth


def _vessels(trunk: Trunk, side: int, level: float) -> list[Stroke]:
    """Vessels that leave the hilum, fork and thin out, and cross-sections of others."""
    strokes, rng = [], trunk.rng
    hilum = trunk.place(side * trunk.between(0.2, 0.28), trunk.between(-0.1, 0.05))
    for _ in range(int(rng.integers(5, 11))):
        turn = (0 if side > 0 else np.pi) + trunk.between(-1.6, 1.6)
        heading, width = (
            turn + np.cumsum(rng.normal(0, 0.15, 8)),
            trunk.between(0.02, 0.05) * (1 if level > 0.3 else 0.7),
        )
        path = np.asarray(hilum) + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * 0.055, axis=0)
        strokes += [
            Stroke(path[start : start + 4].astype(np.float32), max(width * (1 - 0.22 * start), 0.009))
            for start in (0, 2, 4)
        ]
        for start in (2, 4):
            way = heading[start] + trunk.between(0.4, 0.9) * rng.choice([-1, 1])
            fork = path[start] + np.array([[0, 0], [np.cos(way), np.sin(way)]]) * trunk.between(0.06, 0.16)
            strokes.append(Stroke(fork.astype(np.float32), max(width * 0.4, 0.008), 0.9))
    for _ in range(int(rng.integers(15, 50))):
        x, y = trunk.place(side * trunk.between(0.15, 0.72), trunk.between(-0.42, 0.42))
        turn, width = trunk.between(0, 3.1), trunk.between(0.006, 0.016)
        ends = [(x, y), (x + 2 * width * float(np.cos(turn)), y + 2 * width * float(np.sin(turn)))]
        strokes.append(Stroke(np.asarray(ends, np.float32), width, trunk.between(0.5, 1)))
    return strokes


def _middle(trunk: Trunk, level: float) -> None:
    """Heart or great vessels in the fat of the mediastinum."""
    tissue, rng = trunk.tissue, trunk.rng
    if level > 0.55:
        grow = trunk.between(0.9, 1.12)
        outline = trunk.wobbly(
            grow * np.array([(-0.2, -0.16), (-0.14, -0.32), (0.04, -0.42), (0.24, -0.38), (0.42, -0.22), (0.42, -0.06),
                             (0.26, 0.04), (0.08, 0.06), (-0.08, 0.05), (-0.19, -0.02)]), 0.015)  # fmt: skip
        patch = fill(trunk.view, outline, soft=0.5)
        trunk.scene.paint(patch, trunk.values(patch, tissue["heart"], 1.5, 10), "heart")
        mask = trunk.found("heart")
        if mask is not None:
            _chambers(trunk, mask)
        return
    if level > 0.35:
        path = [trunk.place(*point) for point in ((0.02, -0.18), (0.1, -0.22), (0.2, -0.16), (0.24, -0.06))]
        trunk.scene.paint(lines(trunk.view, [Stroke(np.asarray(path, np.float32), 0.12)]), tissue["vein"])
        trunk.scene.paint(
            fill(trunk.view, oval(rng, trunk.place(-0.02, -0.2), (0.085, 0.085), 0.0, 0.03)), tissue["vessel"]
        )
    elif level < 0.18:
        arch = [trunk.place(*point) for point in ((-0.06, -0.24), (0.02, -0.18), (0.09, -0.06), (0.1, 0.06))]
        trunk.scene.paint(
            lines(trunk.view, [Stroke(np.asarray(arch, np.float32), trunk.between(0.1, 0.14))]),
            tissue["vessel"],
            "aorta",
        )
    cava = oval(rng, trunk.place(-0.12, -0.16), (0.05, 0.06), 0.0, 0.06)
    trunk.scene.paint(fill(trunk.view, cava), tissue["vein"], "vena cava")


def _chambers(trunk: Trunk, mask: np.ndarray) -> None:
    """Blood in the four chambers, brighter than muscle when contrast medium is in it."""
    tissue = trunk.tissue
    right, left = [(0.04, -0.28, 0.14, 0.08, 0.5), (-0.12, -0.1, 0.075, 0.1, 0.0)], [
        (0.26, -0.16, 0.12, 0.075, 0.6), (0.06, 0.0, 0.12, 0.055, 0.1),
    ]  # fmt: skip
    for chambers, blood in ((right, "vein"), (left, "vessel")):
        outlines = [
            oval(trunk.rng, trunk.place(x, y), (a * trunk.between(0.85, 1.1), b * trunk.between(0.85, 1.1)), turn, 0.05)
            for x, y, a, b, turn in chambers
        ]
        trunk.add(inside(fill(trunk.view, *outlines, soft=0.8), mask), tissue[blood])


def _great_vessels(trunk: Trunk, level: float) -> None:
    """Descending aorta, oesophagus, and the trachea or the main bronchi."""
    tissue, rng, view = trunk.tissue, trunk.rng, trunk.view
    size = trunk.between(0.06, 0.08)
    aorta = oval(rng, (trunk.between(0.1, 0.14), SPINE[1] - 0.07), (size, size), 0.0, 0.02)
    trunk.scene.paint(fill(view, aorta), tissue["vessel"], "aorta")
    gullet = oval(rng, (trunk.between(-0.01, 0.04), 0.045), (0.04, 0.03), 0.0, 0.1)
    trunk.scene.paint(fill(view, gullet), tissue["muscle"], "oesophagus")
    if trunk.chance(0.4):
        trunk.add(fill(view, oval(rng, (0.015, 0.045), (0.016, 0.01), 0.0, 0.1), soft=0.4), tissue["gas"])
    if level < 0.42:
        airway = oval(
            rng,
            (trunk.between(-0.03, 0.01), -0.05),
            (trunk.between(0.048, 0.062), trunk.between(0.045, 0.06)),
            0.0,
            0.03,
        )
        trunk.scene.paint(fill(view, airway), tissue["gas"], "trachea")
    elif level < 0.6:
        pipes = [
            Stroke(
                np.asarray(
                    [trunk.place(s * 0.02, -0.05), trunk.place(s * 0.1, -0.03), trunk.place(s * 0.2, 0.0)], np.float32
                ),
                0.06,
            )
            for s in (-1, 1)
        ]
        trunk.scene.paint(lines(view, pipes, soft=0.3), tissue["gas"], "bronchus")


def _chest_wall(trunk: Trunk, level: float) -> None:
    """Sternum and, high up, the shoulder blades."""
    tissue, rng, view = trunk.tissue, trunk.rng, trunk.view
    place = trunk.wall_point(-np.pi / 2, 0.45)
    wide, thick = trunk.between(0.07, 0.14), trunk.between(0.024, 0.036)
    trunk.scene.paint(fill(view, oval(rng, place, (wide, thick), 0.0, 0.06)), 0.75 * tissue["bone"], "sternum")
    trunk.add(fill(view, oval(rng, place, (wide - 0.014, thick - 0.012), 0.0, 0.05), soft=0.4), tissue["marrow"])
    if level < 0.6:
        for side in (-1, 1):
            turn = np.pi / 2 - side * trunk.between(0.9, 1.1)
            x, y = trunk.wall_point(turn, trunk.between(0.6, 0.75))
            lie = turn + np.pi / 2 + side * trunk.between(-0.2, 0.3)
            blade = oval(rng, (x, y), (trunk.between(0.12, 0.19), 0.016), lie, 0.1)
            trunk.scene.paint(fill(view, blade), 0.7 * tissue["bone"], "scapula")


def _nodules(trunk: Trunk) -> list[str]:
    """One to three round nodules of soft tissue in the lungs."""
    name = str(trunk.rng.choice(["right lung", "left lung"]))
    mask = trunk.found(name)
    if mask is None or np.count_nonzero(mask) < 400:
        return []
    rows, columns = np.nonzero(mask)
    for _ in range(int(trunk.rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))):
        pick = int(trunk.rng.integers(len(rows)))
        place = float(trunk.view.x[rows[pick], columns[pick]]), float(trunk.view.y[rows[pick], columns[pick]])
        size = trunk.between(0.03, 0.1)
        outline = oval(
            trunk.rng, place, (size, size * trunk.between(0.8, 1)), trunk.between(0, 3), trunk.between(0.03, 0.12)
        )
        if trunk.chance(0.3):
            outline = outline + trunk.rng.normal(0, 0.006, outline.shape).astype(np.float32)
        patch = inside(fill(trunk.view, outline, soft=0.6), mask)
        trunk.scene.paint(
            patch, trunk.values(patch, trunk.tissue["muscle"] * trunk.between(0.5, 1)), "lung nodule", inside=True
        )
    return ["lung nodule"]


def _effusion(trunk: Trunk, lungs: dict[str, Patch]) -> list[str]:
    """Fluid that collects behind the lung in a patient who lies on the back, with a curved surface."""
    names = list(lungs) if trunk.chance(0.3) else [str(trunk.rng.choice(list(lungs)))]
    for name in names:
        patch, side = lungs[name], -1 if name == "right lung" else 1
        if not patch.cover.size:
            continue
        x, y = trunk.view.x[patch.window], trunk.view.y[patch.window]
        surface = trunk.between(0.08, 0.3) - trunk.between(0.2, 0.7) * np.clip(side * x - 0.3, 0, 1) ** 2
        wave = 0.02 * noise(trunk.rng, trunk.view.shape[0], 5, window=patch.window)
        share = np.clip((y - surface - wave) / (1.5 * trunk.view.step[1]) + 0.5, 0, 1)
        fluid = Patch(patch.window, patch.cover * share.astype(np.float32))
        trunk.scene.paint(fluid, trunk.values(fluid, trunk.tissue["fluid"] + 5), "pleural effusion")
    return ["pleural effusion"]
