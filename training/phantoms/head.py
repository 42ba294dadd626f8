"""Axial slices of the head, painted with any table of tissue values.

The head spans about [-0.75, 0.75] x [-0.95, 0.95]; the nose is up and image left is the patient's right.
"""

from collections.abc import Sequence

import numpy as np

from mmedagent.training.phantoms import brain
from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.patches import Patch, Stroke, both, fill, grown, lines, oval, ribbon, smooth
from mmedagent.training.phantoms.shapes import Scene, fractal
from mmedagent.training.phantoms.torso import Tissue
from mmedagent.training.phantoms.views import Point

DEEP = ("brain", "skull")
SIDES = (-1, 1)


def axial_half(rng: np.random.Generator) -> Point:
    """Half-extent of a random axial view, from a close-up to a head with wide margins."""
    scale = between(rng, 0.5, 0.8) if chance(rng, 0.1) else between(rng, 0.95, 1.4)
    return (scale if chance(rng, 0.6) else scale * between(rng, 0.8, 1.1)), scale


def axial(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, skull: bool, level: float | None = None
) -> tuple[str, ...]:  # fmt: skip
    """A slice at a level from 0 (vertex) to 1 (posterior fossa), with or without skull. Returns the findings."""
    level = between(rng, 0.0, 1.0) if level is None else level
    inner = _inner(rng, level)
    if skull:
        _shell(scene, rng, tissue, inner, level)
    scene.paint(fill(scene.view, inner, soft=0.3), tissue["csf"] if skull else tissue["air"])
    surface = grown(inner, -between(rng, 0.008, 0.04))
    if level > 0.86:
        _posterior_fossa(scene, rng, tissue, surface)
    else:
        brain.paint_brain(scene, rng, tissue, [surface], _fissures(rng, surface, level))
        _inside(scene, rng, tissue, level)
    if skull and level > 0.74:
        _base(scene, rng, tissue, level)
    return brain.lesion(scene, rng, tissue, inner if skull else None) if chance(rng, 0.45) else ()


def _inner(rng: np.random.Generator, level: float) -> Field:
    """The inside of the skull: an egg that is wider behind, and smaller towards the vertex."""
    size = 1.0 - 0.9 * max(0.22 - level, 0.0)
    width, length = size * between(rng, 0.57, 0.66), size * between(rng, 0.74, 0.83)
    turns = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = width * np.cos(turns), length * np.sin(turns)
    x = x * (1 + between(rng, 0.04, 0.1) * y / length) * (1 + rng.normal(0, 0.01))
    bend = 1 + sum(rng.normal(0, 0.006) * np.cos(k * turns + between(rng, 0, 6.3)) for k in (2, 3, 4))
    outline: Field = np.stack([x * bend, y * bend], axis=1).astype(np.float32)
    return outline


def _shell(scene: Scene, rng: np.random.Generator, tissue: Tissue, inner: Field, level: float) -> None:
    """Scalp, fat, the two tables of the skull and the marrow between them."""
    bone, view = between(rng, 0.035, 0.065), scene.view
    scalp = bone + between(rng, 0.035, 0.08)
    skin, under = [grown(inner, scalp)], [grown(inner, scalp - 0.012)]
    if level > 0.8:
        skin.append(oval(rng, (0, -0.62), (0.5, between(rng, 0.3, 0.36)), 0.0, 0.04))
        under.append(grown(skin[1], -0.015))
    scene.paint(fill(view, *skin), tissue["skin"], "head")
    scene.paint(fill(view, *under), tissue["scalp"], None, inside=True)
    if chance(rng, 0.5):
        muscle = [oval(rng, (side * 0.68, -0.22), (0.05, 0.2), 0.15 * side, 0.05) for side in SIDES]
        scene.paint(both(fill(view, *muscle), fill(view, grown(inner, scalp - 0.015))), tissue["muscle"])
    scene.paint(fill(view, grown(inner, bone)), tissue["bone"], "skull")
    share = between(rng, 0.2, 0.32)
    marrow = fill(view, grown(inner, (1 - share) * bone), soft=0.4)
    scene.paint(marrow, tissue["diploe"], None, inside=True)
    scene.paint(fill(view, grown(inner, share * bone), soft=0.3), tissue["bone"], None, inside=True)


def _fissures(rng: np.random.Generator, surface: Field, level: float) -> list[Field]:
    """The cleft between the hemispheres and, lower down, those of the temporal lobes."""
    front, back = float(surface[:, 1].min()), float(surface[:, 1].max())
    sway = rng.normal(0, 0.008, 4)
    if level < 0.3:
        cleft = np.linspace(front, back, 9)
        paths = [np.stack([0.006 * np.sin(9 * cleft), cleft], axis=1)]
    else:
        ends = ((front, -0.36 + 0.1 * level), (back, 0.42 - 0.1 * level))
        paths = [np.stack([sway, np.linspace(start, stop, 4)], axis=1) for start, stop in ends]
    if level > 0.4:
        for side in SIDES:
            x = float(np.abs(surface[:, 0]).max())
            side_cleft = [
                (side * x, -0.2),
                (side * (x - 0.1), -0.14),
                (side * (x - 0.17), -0.06),
                (side * (x - 0.16), 0.12),
            ]
            paths.append(np.asarray(side_cleft) + rng.normal(0, 0.012, (4, 2)))
    return [path.astype(np.float32) for path in paths]


def _inside(scene: Scene, rng: np.random.Generator, tissue: Tissue, level: float) -> None:
    """Ventricles and deep grey matter; the falx is a thin bright line on CT and a dark one on MR."""
    swell, shift = between(rng, 0.55, 1.6), (between(rng, -0.015, 0.015), between(rng, -0.05, 0.03))
    move = np.asarray(shift, np.float32)
    if level < 0.24:
        return
    if level < 0.42:
        bodies = [((0.05, -0.28), (0.06, -0.08), (0.085, 0.14), (0.14, 0.3))]
        _ventricles(scene, rng, tissue, bodies, [(0.025, 0.055, 0.06, 0.03)], move, swell)
        return
    if level < 0.72:
        _deep_grey(scene, rng, tissue, move)
        horns = [((0.12, -0.31), (0.06, -0.2), (0.025, -0.08)), ((0.16, 0.16), (0.2, 0.29), (0.17, 0.42))]
        widths = [(0.025, 0.07, 0.02), (0.03, 0.075, 0.03)]
        _ventricles(scene, rng, tissue, horns, widths, move, swell)
        third = ribbon(np.array([(0, -0.06), (0, 0.04), (0, 0.13)]) + move, np.array([0.01, 0.022, 0.012]) * swell)
        scene.paint(fill(scene.view, third, soft=0.4), tissue["csf"], "ventricles", inside=DEEP)
        if chance(rng, 0.4):
            dots = [oval(rng, (side * 0.19 + shift[0], 0.3 + shift[1]), (0.018, 0.03), 0.0, 0.2) for side in SIDES]
            scene.paint(fill(scene.view, *dots), tissue["plexus"], None, inside=True)
        return
    _midbrain(scene, rng, tissue, move, swell)


def _ventricles(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, paths: Sequence[Sequence[Point]],
    widths: Sequence[Sequence[float]], move: Field, swell: float,
) -> None:  # fmt: skip
    """Pairs of horns or bodies of the lateral ventricles along the paths on the patient's left, mirrored."""
    outlines = []
    for side in SIDES:
        for path, width in zip(paths, widths, strict=True):
            points = np.asarray(path) * np.array([side, 1]) + move + rng.normal(0, 0.008, (len(path), 2))
            outlines.append(ribbon(points, np.asarray(width) * swell * between(rng, 0.85, 1.15), steps=7))
    scene.paint(fill(scene.view, *outlines, soft=0.5), tissue["csf"], "ventricles", inside=DEEP)


def _deep_grey(scene: Scene, rng: np.random.Generator, tissue: Tissue, move: Field) -> None:
    """Head of the caudate nucleus, lentiform nucleus and thalamus on both sides."""
    nuclei = []
    for side in SIDES:
        for x, y, a, b, turn in (
            (0.13, -0.19, 0.04, 0.085, 0.25),
            (0.25, -0.06, 0.06, 0.14, 0.3),
            (0.09, 0.08, 0.065, 0.11, -0.3),
        ):
            place = (side * x + float(move[0]), y + float(move[1]))
            nuclei.append(oval(rng, place, (a, b), -side * turn, 0.06))
    patch = fill(scene.view, *nuclei, soft=0.7)
    value = 0.85 * tissue["grey"] + 0.15 * tissue["white"]
    scene.paint(patch, brain.values(scene, rng, patch, value, tissue["spread"] * 0.5), "deep grey matter", inside=DEEP)


def _midbrain(scene: Scene, rng: np.random.Generator, tissue: Tissue, move: Field, swell: float) -> None:
    """The midbrain in its cisterns, with the top of the cerebellum behind it."""
    view, x, y = scene.view, float(move[0]), float(move[1])
    cerebellum = oval(rng, (x, y + 0.36), (between(rng, 0.2, 0.32), between(rng, 0.16, 0.24)), 0.0, 0.05)
    scene.paint(fill(view, grown(cerebellum, 0.015), soft=0.5), tissue["csf"], None, inside=True)
    folia(scene, rng, tissue, cerebellum)
    star = [oval(rng, (x, y - 0.1), (0.13, 0.06), 0.0, 0.25), oval(rng, (x, y - 0.1), (0.05, 0.12), 0.0, 0.2)]
    scene.paint(fill(view, *star, soft=0.6), tissue["csf"], None, inside=True)
    stem = smooth(np.array([(0.13, -0.02), (0.14, 0.08), (0.08, 0.16), (0, 0.15), (-0.08, 0.16), (-0.14, 0.08),
                            (-0.13, -0.02), (-0.05, -0.05), (0, -0.02), (0.05, -0.05)]) + move)  # fmt: skip
    scene.paint(fill(view, grown(stem, 0.02), soft=0.5), tissue["csf"], None, inside=True)
    brain_stem(scene, rng, tissue, fill(view, stem, soft=0.5))
    horns = [ribbon(np.array([(side * 0.3, -0.06), (side * 0.34, 0.04), (side * 0.33, 0.14)]) + move,
                    np.array([0.015, 0.03, 0.015]) * swell) for side in SIDES]  # fmt: skip
    scene.paint(fill(view, *horns, soft=0.5), tissue["csf"], "ventricles", inside=DEEP)


def brain_stem(scene: Scene, rng: np.random.Generator, tissue: Tissue, patch: Patch) -> None:
    value = 0.75 * tissue["white"] + 0.25 * tissue["grey"]
    scene.paint(patch, brain.values(scene, rng, patch, value, tissue["spread"] * 0.6), "brain stem", inside=DEEP)


def folia(scene: Scene, rng: np.random.Generator, tissue: Tissue, outline: Field) -> Patch:
    """The cerebellum with its fine parallel leaves."""
    patch = fill(scene.view, outline, soft=0.5)
    middle = outline.mean(axis=0)
    away = np.hypot(scene.view.x[patch.window] - middle[0], scene.view.y[patch.window] - middle[1] + 0.35)
    bend = brain.values(scene, rng, patch, 0, 1.2, 8)
    leaves = 0.5 + 0.5 * np.sin(np.float32(between(rng, 70, 110)) * away + bend)
    level = np.float32(tissue["grey"]) + np.float32(0.6 * (tissue["white"] - tissue["grey"])) * leaves
    scene.paint(patch, level, "cerebellum", inside=DEEP)
    return patch


def _posterior_fossa(scene: Scene, rng: np.random.Generator, tissue: Tissue, surface: Field) -> None:
    """Cerebellum, pons and fourth ventricle behind, the temporal lobes and the bottom of the frontal lobes before."""
    view = scene.view
    lobes = [
        oval(rng, (side * 0.37, -0.12), (between(rng, 0.17, 0.22), between(rng, 0.24, 0.3)), 0.1 * side, 0.05)
        for side in SIDES
    ]
    frontal = [
        oval(rng, (side * 0.17, -0.5), (between(rng, 0.14, 0.19), between(rng, 0.16, 0.22)), 0.0, 0.06)
        for side in SIDES
    ]
    limit = fill(view, surface)
    brain.paint_brain(scene, rng, tissue, lobes + frontal)
    cerebellum = oval(rng, (0, 0.4), (between(rng, 0.44, 0.52), between(rng, 0.28, 0.34)), 0.0, 0.04)
    whole = both(fill(view, cerebellum), limit)
    scene.paint(whole, tissue["grey"], "brain", inside=("skull",))
    folia(scene, rng, tissue, cerebellum)
    trunk = [(side * 0.12, 0.28) for side in SIDES]
    white = fill(view, *(oval(rng, place, (0.1, 0.07), 0.4, 0.1) for place in trunk), soft=1.0)
    scene.paint(white, tissue["white"], None, inside=True)
    pons = oval(rng, (0, 0.06), (between(rng, 0.14, 0.18), between(rng, 0.1, 0.13)), 0.0, 0.04)
    scene.paint(fill(view, grown(pons, 0.025), soft=0.5), tissue["csf"])
    scene.paint(fill(view, pons), tissue["grey"], "brain", inside=("skull",))
    brain_stem(scene, rng, tissue, fill(view, pons, soft=0.5))
    fourth = oval(rng, (0, 0.2), (between(rng, 0.035, 0.08), between(rng, 0.025, 0.045)), 0.0, 0.15)
    scene.paint(fill(view, fourth, soft=0.5), tissue["csf"], "ventricles", inside=DEEP)


def _base(scene: Scene, rng: np.random.Generator, tissue: Tissue, level: float) -> None:
    """Orbits, air cells and, lower down, the bony ridges of the base of the skull."""
    view, size = scene.view, scene.view.shape[0]
    orbits = [oval(rng, (side * 0.28, -0.6), (0.15, 0.19), 0.25 * side, 0.04) for side in SIDES]
    if level > 0.82:
        scene.paint(fill(view, *(grown(orbit, 0.02) for orbit in orbits)), tissue["bone"], "skull")
        scene.paint(fill(view, *orbits), tissue["fat"])
        globes = [oval(rng, (side * 0.28, -0.69), (0.1, 0.1), 0.0, 0.01) for side in SIDES]
        scene.paint(fill(view, *globes), 0.5 * (tissue["muscle"] + tissue["csf"]), "eye")
        scene.paint(fill(view, *(grown(globe, -0.014) for globe in globes)), tissue["csf"], None, inside=True)
        lenses = [oval(rng, (side * 0.28, -0.765), (0.04, 0.018), 0.0, 0.02) for side in SIDES]
        scene.paint(fill(view, *lenses), tissue["muscle"], None, inside=True)
        nerves = [Stroke(np.array([(side * 0.28, -0.6), (side * 0.19, -0.44)], np.float32), 0.03) for side in SIDES]
        scene.paint(lines(view, nerves, soft=0.4), tissue["muscle"], None, inside=True)
    cells = fill(view, oval(rng, (0, -0.62), (0.09, between(rng, 0.14, 0.26)), 0.0, 0.12))
    scene.paint(cells, tissue["gas"], "sinus")
    if level > 0.86:
        ridges = [
            ribbon(np.array([(side * 0.1, 0.02), (side * 0.3, 0.12), (side * 0.56, 0.2)]), (0.06, 0.11, 0.12))
            for side in SIDES
        ]
        ridges += [
            ribbon(np.array([(side * 0.12, -0.36), (side * 0.34, -0.38), (side * 0.56, -0.3)]), (0.05, 0.035, 0.05))
            for side in SIDES
        ]
        scene.paint(fill(view, *ridges, soft=0.4), tissue["bone"], "skull")
        air = fill(view, *(oval(rng, (side * 0.47, 0.2), (0.1, 0.055), 0.4 * side, 0.2) for side in SIDES))
        speckle = fractal(rng, size, 30, 2)[air.window] > 0
        scene.paint(Patch(air.window, air.cover * speckle), tissue["gas"], None, inside=True)
