"""Axial slices of the abdomen from the dome of the diaphragm to the navel."""

import numpy as np

from mmedagent.training.phantoms import gut, organs
from mmedagent.training.phantoms.patches import Patch, Stroke, both, fill, inside, lines, oval
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.torso import SPINE, Tissue, Trunk, make_trunk, ribs, vertebra

LESION_ODDS = {"liver": 0.35, "right kidney": 0.18, "left kidney": 0.18, "spleen": 0.12}


def abdomen(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, level: float | None = None
) -> tuple[str, ...]:  # fmt: skip
    """An axial slice at a level as in `atlas`, a random one by default. Returns the findings."""
    trunk = make_trunk(scene, rng, tissue)
    if level is None:
        level = trunk.between(0.02, 1.0) if trunk.chance(0.5) else trunk.between(0.25, 0.7)
    gap = trunk.between(0.004, 0.022)
    if level < 0.16:
        _lung_bases(trunk, level)
    gut.mesentery(trunk, int(rng.integers(5, 15)) if level < 0.4 else int(rng.integers(20, 60)))
    _behind(trunk, level)
    _organs(trunk, level, gap)
    _bowel(trunk, level)
    _vessels(trunk, level)
    if level < 0.75:
        ribs(trunk, trunk.between(0.3, 0.7) + 0.9 * level)
    findings: list[str] = []
    for organ, odds in LESION_ODDS.items():
        if trunk.chance(odds):
            findings += organs.lesions(trunk, organ)
    return tuple(sorted(findings))


def _lung_bases(trunk: Trunk, level: float) -> None:
    """The lowest parts of the lungs behind and beside the dome of the diaphragm."""
    depth = (0.18 - level) * trunk.between(0.5, 1.3)
    dome = trunk.place(0.79 - depth, 0.52 - depth * 0.4)
    liver = fill(trunk.view, oval(trunk.rng, (0.0, -0.05), dome, 0.0, 0.02))
    for side, name in ((-1, "right lung"), (1, "left lung")):
        half = np.asarray([(side * x, y) for x, y in ((0.14, 0.1), (1.2, -0.3), (1.2, 0.8), (0.14, 0.8))], np.float32)
        base = both(fill(trunk.view, half), trunk.inner)
        cover = np.zeros(trunk.view.shape, np.float32)
        cover[base.window] = base.cover
        cover[liver.window] *= 1 - liver.cover
        patch = Patch(base.window, cover[base.window])
        trunk.scene.paint(patch, trunk.values(patch, trunk.tissue["lung"], 3.0), name)
    trunk.add(liver, trunk.tissue["fat"])


def _behind(trunk: Trunk, level: float) -> None:
    """What lies before the spine: psoas, crura of the diaphragm, adrenal glands and kidneys."""
    tissue, rng, scene = trunk.tissue, trunk.rng, trunk.scene
    if level > 0.38:
        size = 0.5 + level
        for side in (-1, 1):
            place = (side * (0.17 + 0.07 * size), SPINE[1] + trunk.between(0.02, 0.08))
            radii = (0.055 * size * trunk.between(0.8, 1.2), 0.075 * size * trunk.between(0.8, 1.2))
            patch = fill(trunk.view, oval(rng, place, radii, -0.25 * side, 0.06))
            scene.paint(patch, trunk.values(patch, tissue["muscle"]), "psoas")
    vertebra(scene, rng, tissue, SPINE, trunk.between(0.9, 1.1), trunk.chance(0.25))
    if level < 0.5:
        strokes = [
            Stroke(np.asarray([(side * 0.14, 0.2), (side * 0.12, 0.07), (side * 0.06, -0.03)], np.float32), 0.03)
            for side in (-1, 1)
        ]
        trunk.scene.paint(lines(trunk.view, strokes, soft=0.4), tissue["muscle"])
    if 0.2 < level < 0.45:
        _adrenals(trunk)
    for side, middle in ((-1, trunk.between(0.58, 0.66)), (1, trunk.between(0.52, 0.6))):
        share = 1 - ((level - middle) / 0.27) ** 2
        if share > 0.1 and trunk.chance(0.96):
            organs.kidney(trunk, side, share**0.5 * trunk.between(0.9, 1.1))


def _adrenals(trunk: Trunk) -> None:
    strokes = []
    for side in (-1, 1):
        x, y = trunk.place(side * trunk.between(0.21, 0.26), trunk.between(0.06, 0.12))
        for turn in (trunk.between(0.9, 1.3), trunk.between(1.7, 2.2)):
            end = (x + 0.1 * float(np.cos(turn)), y + 0.1 * float(np.sin(turn)))
            strokes.append(Stroke(np.asarray([(x, y - 0.03), (x, y), end], np.float32), trunk.between(0.016, 0.026)))
    trunk.scene.paint(lines(trunk.view, strokes, soft=0.4), 0.5 * (trunk.tissue["muscle"] + trunk.tissue["pancreas"]))


def _organs(trunk: Trunk, level: float, gap: float) -> None:
    if level < 0.85 and trunk.chance(0.97):
        organs.liver(trunk, level, gap)
    if level < 0.64 and trunk.chance(0.93):
        organs.spleen(trunk, level, gap)
    if level < 0.62 and trunk.chance(0.9):
        gut.stomach(trunk, level, gap)
    if 0.33 < level < 0.66 and trunk.chance(0.92):
        organs.pancreas(trunk, level)
    if 0.4 < level < 0.68 and trunk.chance(0.75):
        organs.gallbladder(trunk)


def _bowel(trunk: Trunk, level: float) -> None:
    if level > 0.62:
        gut.colon(trunk, (trunk.between(-0.68, -0.58), trunk.between(0.02, 0.16)), trunk.between(0.09, 0.14))
    if level > 0.42:
        beside = (trunk.between(0.6, 0.7), trunk.between(0.05, 0.2))
        before = (trunk.between(0.55, 0.66), trunk.between(-0.2, -0.1))
        gut.colon(trunk, beside if level > 0.64 else before, trunk.between(0.06, 0.11))
    if 0.4 < level < 0.95 and trunk.chance(0.55):
        gut.transverse_colon(trunk)
    if level > 0.35:
        count = int(trunk.rng.integers(3, 10)) if level < 0.55 else int(trunk.rng.integers(12, 55))
        gut.small_bowel(trunk, count, (-0.62, -0.42, 0.62, 0.1))


def _vessels(trunk: Trunk, level: float) -> None:
    """Aorta, vena cava and, in the middle, the vessels of the mesentery."""
    tissue, rng, scene = trunk.tissue, trunk.rng, trunk.scene
    size = trunk.between(0.048, 0.07)
    if 0.4 < level < 0.8:
        for x, y, name in ((0.04, -0.05, "vessel"), (-0.04, -0.07, "vein")):
            dot = oval(rng, (x, y), (0.028, 0.028), 0.0, 0.04)
            scene.paint(fill(trunk.view, oval(rng, (x, y), (0.045, 0.045), 0.0, 0.04)), tissue["fat"])
            scene.paint(fill(trunk.view, dot), tissue[name])
    aorta = oval(
        rng, (trunk.between(0.02, 0.08), SPINE[1] - 0.1 - size), (size, size * trunk.between(0.9, 1)), 0.0, 0.02
    )
    scene.paint(fill(trunk.view, aorta), tissue["vessel"], "aorta")
    if trunk.chance(0.25):
        mask = trunk.found("aorta")
        plaque = Stroke(aorta[: int(rng.integers(4, 12))], 0.016)
        if mask is not None:
            trunk.add(inside(lines(trunk.view, [plaque]), mask), 0.5 * (tissue["bone"] + tissue["marrow"]))
    x = trunk.between(-0.13, -0.09) - (0.04 if level < 0.2 else 0)
    cava = oval(
        rng,
        (x, SPINE[1] - trunk.between(0.14, 0.18)),
        (trunk.between(0.055, 0.08), trunk.between(0.03, 0.06)),
        0.2,
        0.06,
    )
    scene.paint(fill(trunk.view, cava), tissue["vein"], "vena cava")
