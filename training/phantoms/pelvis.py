"""Axial slices of the pelvis, from the iliac wings to the hip joints."""

import numpy as np

from mmedagent.training.phantoms import gut
from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.patches import Stroke, both, fill, grown, inside, lines, oval, ribbon, smooth
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.torso import Tissue, Trunk, make_trunk
from mmedagent.training.phantoms.views import Point

BACK = (0.22, 0.9)
"""Depth and angular width of the muscles of the buttocks."""


def pelvis(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, level: float | None = None
) -> tuple[str, ...]:  # fmt: skip
    """An axial slice at a level from 0 (iliac wings) to 1 (hip joints). Returns no findings."""
    trunk = make_trunk(scene, rng, tissue, back=BACK)
    level = trunk.between(0.0, 1.0) if level is None else level
    gut.mesentery(trunk, int(rng.integers(10, 40)))
    _muscles(trunk, level)
    _bones(trunk, level)
    _vessels(trunk, level)
    _organs(trunk, level)
    if level < 0.6:
        gut.small_bowel(trunk, int(rng.integers(5, 20)), (-0.45, -0.42, 0.45, 0.05))
    return ()


def _mirrored(points: tuple[Point, ...], side: int) -> list[Point]:
    return [(side * x, y) for x, y in points]


def _muscles(trunk: Trunk, level: float) -> None:
    """Iliopsoas, the muscles of the hip, and the planes of fat of the buttocks."""
    tissue, rng, view = trunk.tissue, trunk.rng, trunk.view
    planes, hips = [], []
    for side in (-1, 1):
        gluteus = ((0.3, 0.4), (0.5, 0.28), (0.66, 0.06), (0.66, -0.12))
        hips.append(ribbon(_mirrored(gluteus, side), np.array([0.2, 0.28, 0.26, 0.08]) * trunk.between(0.8, 1.1)))
        if level < 0.55:
            hips.append(ribbon(_mirrored(((0.3, 0.14), (0.44, 0.0), (0.54, -0.12)), side), (0.06, 0.13, 0.06)))
        else:
            hips.append(oval(rng, (side * 0.5, -0.08), (0.17, 0.22), -0.3 * side, 0.08))
    flesh = both(fill(view, *hips), trunk.inner)
    trunk.scene.paint(flesh, trunk.values(flesh, tissue["muscle"]))
    for side in (-1, 1):
        x, y = 0.32 + 0.12 * level, -0.16 * level
        radii = (trunk.between(0.08, 0.11), trunk.between(0.09, 0.13))
        patch = fill(view, oval(rng, trunk.place(side * x, y), radii, 0.5 * side, 0.06))
        trunk.scene.paint(patch, trunk.values(patch, tissue["muscle"]), "psoas")
        gluteal = ((0.12, 0.36), (0.3, 0.3), (0.5, 0.2), (0.68, 0.05))
        planes.append(Stroke(np.asarray(_mirrored(gluteal, side), np.float32), 0.018, trunk.between(0.5, 1)))
        if level > 0.5:
            obturator = ((0.3, -0.12), (0.33, 0.05), (0.32, 0.2))
            trunk.scene.paint(fill(view, ribbon(_mirrored(obturator, side), (0.05, 0.07, 0.05))), tissue["muscle"])
    trunk.add(lines(view, planes, soft=0.4), tissue["fat"])


def _bones(trunk: Trunk, level: float) -> None:
    tissue, rng, view = trunk.tissue, trunk.rng, trunk.view
    pelvic, heads = [], []
    for side in (-1, 1):
        if level < 0.55:
            wing = ((0.27, 0.27), (0.37, 0.2), (0.5, 0.08), (0.61, -0.08), (0.65, -0.18))
            widths = np.array([0.11, 0.08, 0.05, 0.05, 0.075]) * trunk.between(0.85, 1.15)
            pelvic.append(ribbon(np.asarray(_mirrored(wing, side)) * (1 - 0.3 * level), widths))
            continue
        pelvic += [
            oval(rng, (side * 0.42, -0.07), (0.07, 0.05), 0.5 * side, 0.08),
            oval(rng, (side * 0.42, 0.19), (0.06, 0.085), -0.4 * side, 0.08),
            ribbon(np.asarray(_mirrored(((0.38, -0.06), (0.355, 0.05), (0.38, 0.17)), side)), (0.04, 0.025, 0.04)),
        ]
        if level > 0.82:
            ramus = _mirrored(((0.4, -0.1), (0.2, -0.2), (0.035, -0.26)), side)
            pelvic.append(ribbon(ramus, (0.05, 0.05, 0.09)))
        size = trunk.between(0.11, 0.13)
        heads.append(oval(rng, (side * 0.5, 0.06), (size, size), 0.0, 0.015))
        if level > 0.78:
            heads += [
                oval(rng, (side * 0.7, 0.13), (0.06, 0.09), 0.3 * side, 0.06),
                oval(rng, (side * 0.6, 0.1), (0.1, 0.055), 0.3 * side, 0.04),
            ]
    _bone(trunk, pelvic, "pelvic bone")
    if heads:
        _bone(trunk, heads, "femur")
    sacrum = ((-0.29, 0.19), (-0.17, 0.14), (0, 0.1), (0.17, 0.14), (0.29, 0.19), (0.22, 0.3), (0.08, 0.34), (0, 0.4),
              (-0.08, 0.34), (-0.22, 0.3))  # fmt: skip
    shape = np.asarray(sacrum, np.float32)
    middle = np.array([0, 0.3 + 0.05 * level], np.float32)
    shrunk = middle + (shape - np.array([0, 0.25], np.float32)) * max(1 - 0.85 * level, 0.2)
    _bone(trunk, [smooth(shrunk + rng.normal(0, 0.006, shape.shape))], "sacrum")
    if level < 0.5:
        holes = [oval(rng, (side * 0.1, 0.23 + 0.05 * level), (0.02, 0.016), 0.0, 0.1) for side in (-1, 1)]
        trunk.add(fill(view, *holes, soft=0.4), tissue["fat"])


def _bone(trunk: Trunk, outlines: list[Field], name: str) -> None:
    """Bones with a dense rim and a spongy core."""
    tissue = trunk.tissue
    trunk.scene.paint(fill(trunk.view, *outlines), 0.85 * tissue["bone"], name)
    core = fill(trunk.view, *(_shrunk(outline) for outline in outlines), soft=0.5)
    mask = trunk.found(name)
    if mask is not None:
        grainy = 0.1 * abs(tissue["bone"] - tissue["marrow"]) / tissue["spread"]
        sponge = trunk.values(core, tissue["marrow"], grainy, 60)
        trunk.add(inside(core, mask), sponge)


def _shrunk(outline: Field) -> Field:
    """The outline of a long shape moved inwards by about the thickness of cortical bone."""
    before, after = np.roll(outline, 1, axis=0), np.roll(outline, -1, axis=0)
    course = after - before
    normal = np.stack([course[:, 1], -course[:, 0]], axis=1) / (np.hypot(*course.T)[:, None] + 1e-6)
    turned = float(np.sum(outline[:, 0] * np.roll(outline[:, 1], -1) - np.roll(outline[:, 0], -1) * outline[:, 1]))
    moved: Field = outline - np.float32(0.012 * np.sign(turned)) * normal.astype(np.float32)
    return moved


def _vessels(trunk: Trunk, level: float) -> None:
    tissue, rng = trunk.tissue, trunk.rng
    for name in ("vein", "vessel"):
        outlines = []
        for side in (-1, 1):
            shift = 0.045 if name == "vein" else 0.0
            x, y = 0.2 + 0.17 * level - 0.3 * shift, 0.02 - 0.24 * level + shift
            size = trunk.between(0.026, 0.038)
            outlines.append(oval(rng, trunk.place(side * x, y), (size, size), 0.0, 0.05))
        trunk.scene.paint(fill(trunk.view, *outlines), tissue[name], "iliac vessel")


def _organs(trunk: Trunk, level: float) -> None:
    """Rectum or sigmoid colon, bladder, and uterus or prostate."""
    if level > 0.3:
        gut.colon(trunk, (trunk.between(-0.03, 0.03), 0.19), trunk.between(0.055, 0.09), "rectum")
    else:
        gut.colon(trunk, (trunk.between(0.3, 0.45), trunk.between(-0.15, 0.05)), trunk.between(0.06, 0.09))
    female = trunk.chance(0.5)
    if female and 0.35 < level < 0.8:
        radii = (trunk.between(0.1, 0.17), trunk.between(0.06, 0.09))
        outline = oval(trunk.rng, trunk.place(trunk.between(-0.06, 0.06), 0.04), radii, trunk.between(-0.3, 0.3), 0.05)
        trunk.paint(outline, 1.15 * trunk.tissue["muscle"], "uterus", spread=1.5)
    if not female and level > 0.8:
        outline = oval(trunk.rng, (0.0, 0.05), (trunk.between(0.075, 0.11), trunk.between(0.06, 0.085)), 0.0, 0.04)
        trunk.paint(outline, 1.05 * trunk.tissue["muscle"], "prostate", spread=1.5)
    if level > 0.4 and trunk.chance(0.92):
        _bladder(trunk)


def _bladder(trunk: Trunk) -> None:
    """Urine in a muscular wall; contrast medium settles at its back."""
    tissue, rng = trunk.tissue, trunk.rng
    radii = (trunk.between(0.1, 0.26), trunk.between(0.08, 0.18))
    outline = oval(rng, trunk.place(trunk.between(-0.03, 0.03), -0.16), radii, 0.0, 0.05)
    trunk.paint(outline, tissue["muscle"], "bladder", gap=0.01)
    inner = grown(outline, -trunk.between(0.012, 0.025))
    mask = trunk.found("bladder")
    content = fill(trunk.view, inner, soft=0.4)
    if mask is None or not content.cover.size:
        return
    trunk.add(inside(content, mask), trunk.values(content, tissue["bladder"]))
    if trunk.chance(0.2) and tissue["urine"] > 1.5 * tissue["bladder"]:
        surface = float(inner[:, 1].mean()) + trunk.between(-0.5, 0.6) * radii[1]
        settled = np.stack([inner[:, 0], np.maximum(inner[:, 1], np.float32(surface))], axis=1)
        trunk.add(inside(fill(trunk.view, settled, soft=1.0), mask), tissue["urine"])
