"""The brain in any section: folded cortex over white matter, and what can be wrong with it."""

from collections.abc import Sequence

import numpy as np

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.noises import noise
from mmedagent.training.phantoms.patches import Patch, Stroke, both, fill, grown, inside, lines, minus, oval
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.torso import Tissue
from mmedagent.training.phantoms.views import Point

HOLDERS = ("brain", "skull")
"""Structures that keep the pixels of what lies in the brain."""

LEAST_INFARCT, LEAST_TUMOUR = 0.004, 0.0015
"""Share of the image that an infarct or a tumour covers at least."""

PARTS = ("brain", "white matter", "deep grey matter", "cerebellum", "brain stem", "corpus callosum")
"""Structures that a lesion of the brain stays part of."""


def values(
    scene: Scene, rng: np.random.Generator, patch: Patch, value: float, spread: float, cells: float = 20
) -> Field:  # fmt: skip
    """`value` with smooth variation of standard deviation `spread`, over the window of a patch."""
    return np.float32(value) + np.float32(spread) * noise(rng, scene.view.shape[0], cells, window=patch.window)


def paint_brain(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, outlines: Sequence[Field], fissures: Sequence[Field] = (),
    size: float = 1.0,
) -> Patch:  # fmt: skip
    """Cortex, white matter and sulci within outlines; fissures are deeper clefts that cortex lines as well.

    `size` scales the folds. Returns the patch of the brain.
    """
    view, spread = scene.view, tissue["spread"] * 0.5
    brain = fill(view, *outlines, soft=0.4)
    scene.paint(brain, values(scene, rng, brain, tissue["grey"], spread), "brain")
    thickness, gap = size * between(rng, 0.03, 0.045), size * between(rng, 0.006, 0.028)
    clefts = [path for outline in outlines for path in _sulci(rng, outline, size)]
    ribbon = lines(view, [Stroke(path, 2 * thickness) for path in (*clefts, *fissures)], soft=0.7)
    core = fill(view, *(grown(outline, -1.15 * thickness) for outline in outlines), soft=0.7)
    white = minus(both(core, brain), ribbon)
    scene.paint(white, values(scene, rng, white, tissue["white"], spread, 9), "white matter", inside=HOLDERS)
    strokes = [Stroke(path, gap * between(rng, 0.5, 1.3), between(rng, 0.4, 1)) for path in clefts]
    strokes += [Stroke(path, max(gap, 0.014), 1.0) for path in fissures]
    scene.paint(both(lines(view, strokes, soft=0.4), brain), tissue["csf"], None, inside=True)
    return brain


def _sulci(rng: np.random.Generator, outline: Field, size: float) -> list[Field]:
    """Bent clefts from the surface inwards, some of them forked, at about equal distances."""
    middle = outline.mean(axis=0)
    round_ = np.hypot(*(np.roll(outline, -1, axis=0) - outline).T).cumsum()
    places = np.arange(between(rng, 0, 0.1), round_[-1], size * between(rng, 0.095, 0.13))
    picks = np.searchsorted(round_, places + rng.normal(0, 0.012, len(places))).clip(0, len(outline) - 1)
    starts, count = outline[picks], len(picks)
    inwards = middle - starts
    turns = np.arctan2(inwards[:, 1], inwards[:, 0]) + rng.normal(0, 0.3, count)
    lengths = size * np.where(rng.random(count) < 0.5, rng.uniform(0.07, 0.13, count), rng.uniform(0.13, 0.24, count))
    headings = turns[:, None] + np.cumsum(rng.normal(0, 0.3, (count, 4)), axis=1)
    steps = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=-1), axis=1) * lengths[:, None, None] / 4
    trunks = np.concatenate([starts[:, None], starts[:, None] + steps], axis=1).astype(np.float32)
    forked = (lengths > 0.15 * size) & (rng.random(count) < 0.6)
    ways = headings[:, -1] + rng.choice([-1, 1], count) * rng.uniform(0.6, 1.2, count)
    tips = trunks[:, 2] + 0.5 * lengths[:, None] * np.stack([np.cos(ways), np.sin(ways)], axis=1)
    branches = np.stack([trunks[:, 2], tips], axis=1)[forked].astype(np.float32)
    return [*trunks, *branches]


def lesion(scene: Scene, rng: np.random.Generator, tissue: Tissue, inner: Field | None = None) -> tuple[str, ...]:
    """One lesion in the painted brain; `inner` is the outline of the inside of the skull. Returns the findings."""
    brain = scene.mask("brain")
    if brain is None or np.count_nonzero(brain) < 0.02 * brain.size:
        return ()
    kind = str(rng.choice(["tumour", "haemorrhage", "infarct"]))
    if kind == "tumour":
        return _tumour(scene, rng, tissue, brain)
    if kind == "infarct":
        return _infarct(scene, rng, tissue, brain)
    if inner is not None and chance(rng, 0.35):
        return _subdural(scene, rng, tissue, inner)
    return _haematoma(scene, rng, tissue, brain)


def _site(scene: Scene, rng: np.random.Generator, brain: Mask, depth: float) -> Point:
    """A place in the brain, mostly at least `depth` of the way from its rim to its middle."""
    rows, columns = np.nonzero(brain)
    middle = np.array([np.median(scene.view.x[rows, columns]), np.median(scene.view.y[rows, columns])])
    pick = int(rng.integers(len(rows)))
    place = np.array([scene.view.x[rows[pick], columns[pick]], scene.view.y[rows[pick], columns[pick]]])
    x, y = (place + depth * (middle - place)).tolist()
    return x, y


def _ragged(rng: np.random.Generator, outline: Field, amount: float) -> Field:
    result: Field = outline + rng.normal(0, amount, outline.shape).astype(np.float32)
    return result


def _tumour(scene: Scene, rng: np.random.Generator, tissue: Tissue, brain: Mask) -> tuple[str, ...]:
    """A mass, at times with a rim and a dead core, mostly in oedema that follows the white matter."""
    view, size = scene.view, between(rng, 0.08, 0.22)
    place = _site(scene, rng, brain, between(rng, 0.1, 0.4))
    radii, angle = (size, size * between(rng, 0.7, 1.0)), between(rng, 0, 3.1)
    outline = oval(rng, place, radii, angle, 0.1)
    shape = inside(fill(view, outline, soft=0.6), brain)
    if float(shape.cover.sum()) < LEAST_TUMOUR * brain.size:
        return ()
    findings = ["tumour"]
    if chance(rng, 0.8):
        _swelling(scene, rng, tissue, brain, (place, radii, angle))
        findings.append("oedema")
    scene.paint(shape, values(scene, rng, shape, tissue["tumour"], 2 * tissue["spread"], 30), "tumour", inside=PARTS)
    if chance(rng, 0.45):
        rim = inside(fill(view, grown(outline, -0.3 * size), soft=0.8), brain)
        core = 0.6 * tissue["csf"] + 0.4 * tissue["edema"]
        scene.paint(rim, values(scene, rng, rim, core, tissue["spread"]), None, inside=True)
    return tuple(sorted(findings))


def _swelling(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, brain: Mask, mass: tuple[Point, Point, float]
) -> None:  # fmt: skip
    """Oedema next to a mass of that place, radii and angle, and further away in the white matter."""
    place, (a, b), angle = mass
    reach, view, white = between(rng, 0.06, 0.16), scene.view, scene.mask("white matter")
    near = fill(view, oval(rng, place, (a + 0.04, b + 0.04), angle, 0.06), soft=1.0)
    cover = np.zeros(brain.shape, np.float32)
    cover[near.window] = near.cover * brain[near.window]
    if white is not None:
        wide = _ragged(rng, oval(rng, place, (a + reach, b + reach), angle, 0.12), 0.012)
        spread = inside(fill(view, wide, soft=1.0), white)
        cover[spread.window] = np.maximum(cover[spread.window], spread.cover)
    scene.paint(cover, tissue["edema"], "oedema", inside=PARTS)


def _haematoma(scene: Scene, rng: np.random.Generator, tissue: Tissue, brain: Mask) -> tuple[str, ...]:
    """A bleed within the brain, at times with a rim of oedema."""
    size = between(rng, 0.07, 0.2)
    place, angle = _site(scene, rng, brain, between(rng, 0.2, 0.5)), between(rng, 0, 3.1)
    outline = _ragged(rng, oval(rng, place, (size, size * between(rng, 0.55, 0.9)), angle, 0.12), 0.006)
    rim = chance(rng, 0.5)
    if rim:
        halo = inside(fill(scene.view, grown(outline, between(rng, 0.03, 0.06)), soft=1.0), brain)
        scene.paint(halo, tissue["edema"], "oedema", inside=PARTS)
    shape = inside(fill(scene.view, outline, soft=0.4), brain)
    scene.paint(shape, values(scene, rng, shape, tissue["blood"], tissue["spread"]), "haemorrhage", inside=PARTS)
    return ("haemorrhage", "oedema") if rim else ("haemorrhage",)


def _subdural(scene: Scene, rng: np.random.Generator, tissue: Tissue, inner: Field) -> tuple[str, ...]:
    """A bleed between skull and brain: a crescent along one side, or a lens."""
    side, view = int(rng.choice([-1, 1])), scene.view
    middle = inner.mean(axis=0)
    if chance(rng, 0.65):
        depth = between(rng, 0.07, 0.16)
        squeezed = (
            (inner - middle) * np.array([1.0, 1.04], np.float32) + middle - np.array([side * depth, 0], np.float32)
        )
        bleed = minus(fill(view, inner, soft=0.4), fill(view, squeezed.astype(np.float32), soft=0.4))
        half = np.array([(0, -2), (2 * side, -2), (2 * side, 2), (0, 2)], np.float32) + middle
        bleed = both(bleed, fill(view, half.astype(np.float32)))
    else:
        turn = between(rng, -0.9, 0.9) + (0 if side > 0 else np.pi)
        nearest = inner[int(np.argmax((inner - middle) @ np.array([np.cos(turn), np.sin(turn)])))]
        x, y = (nearest + 0.08 * (middle - nearest)).tolist()
        lens = oval(rng, (x, y), (between(rng, 0.07, 0.12), between(rng, 0.2, 0.32)), turn, 0.03)
        bleed = both(fill(view, lens, soft=0.4), fill(view, inner, soft=0.4))
    scene.paint(bleed, values(scene, rng, bleed, tissue["blood"], tissue["spread"]), "haemorrhage")
    return ("haemorrhage",)


def _infarct(scene: Scene, rng: np.random.Generator, tissue: Tissue, brain: Mask) -> tuple[str, ...]:
    """A wedge of the cortex and the white matter under it, as the territory of an artery.

    Where too little brain lies in it, there is a bleed instead.
    """
    rows, columns = np.nonzero(brain)
    middle = np.array([np.median(scene.view.x[rows, columns]), np.median(scene.view.y[rows, columns])])
    turn, reach = between(rng, 0, 2 * np.pi), between(rng, 0.25, 0.5)
    tip = middle + between(rng, 0.12, 0.3) * np.array([np.cos(turn), np.sin(turn)])
    arc = turn + np.linspace(-reach, reach, 7)
    rim = middle + np.stack([np.cos(arc), np.sin(arc)], axis=1) * 1.2
    wedge = _ragged(rng, np.vstack([tip, rim]).astype(np.float32), 0.02)
    edge = np.concatenate(
        [np.linspace(wedge[k], wedge[(k + 1) % len(wedge)], 8, endpoint=False) for k in range(len(wedge))]
    )
    shape = inside(fill(scene.view, _ragged(rng, edge.astype(np.float32), 0.008), soft=1.2), brain)
    if float(shape.cover.sum()) < LEAST_INFARCT * brain.size:
        return _haematoma(scene, rng, tissue, brain)
    scene.paint(shape, values(scene, rng, shape, tissue["infarct"], tissue["spread"]), "infarct", inside=True)
    return ("infarct",)
