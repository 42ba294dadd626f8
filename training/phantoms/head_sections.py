"""Sagittal and coronal slices of the head, painted with any table of tissue values.

The head spans about [-1, 1] in both directions; in sagittal slices the nose is on the left of the image.
"""

import numpy as np

from mmedagent.training.phantoms import brain
from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.head import DEEP, SIDES, brain_stem, folia
from mmedagent.training.phantoms.patches import Patch, both, fill, grown, minus, oval, ribbon, smooth
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.torso import Tissue

PROFILE = (
    (-0.2, -0.88), (0.15, -0.92), (0.5, -0.82), (0.78, -0.55), (0.86, -0.2), (0.8, 0.15), (0.66, 0.42), (0.62, 0.7),
    (0.68, 1.1), (0.7, 1.5), (-0.25, 1.5), (-0.28, 1.0), (-0.5, 0.95), (-0.68, 0.88), (-0.72, 0.72), (-0.7, 0.62),
    (-0.76, 0.55), (-0.74, 0.46), (-0.86, 0.38), (-0.84, 0.3), (-0.74, 0.1), (-0.7, -0.02), (-0.74, -0.15),
    (-0.74, -0.35), (-0.62, -0.62), (-0.42, -0.8),
)  # fmt: skip
"""The skin from the top of the head over the back and the neck to the chin, the nose and the forehead."""

CRANIUM = (
    (-0.62, -0.2), (-0.54, -0.48), (-0.27, -0.71), (0.1, -0.76), (0.45, -0.66), (0.69, -0.42), (0.74, -0.1),
    (0.66, 0.15), (0.5, 0.32), (0.3, 0.4), (0.16, 0.38), (0.06, 0.26), (-0.06, 0.1), (-0.3, 0.1), (-0.52, 0.05),
)  # fmt: skip
CEREBRUM = (
    (-0.59, -0.18), (-0.51, -0.45), (-0.26, -0.67), (0.1, -0.72), (0.43, -0.62), (0.65, -0.39), (0.69, -0.1),
    (0.56, 0.01), (0.3, -0.02), (0.14, 0.0), (-0.06, 0.06), (-0.3, 0.06), (-0.5, 0.01),
)  # fmt: skip
HALF_CROWN = ((0.3, -0.71), (0.55, -0.5), (0.64, -0.15), (0.59, 0.15), (0.42, 0.29), (0.2, 0.2))
"""The right half, in the image, of the inside of the skull in a coronal slice, from the top to the bottom."""


def _jittered(rng: np.random.Generator, points: tuple[tuple[float, float], ...], amount: float) -> Field:
    return smooth(np.asarray(points) + rng.normal(0, amount, (len(points), 2)), steps=5)


def sagittal(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """A sagittal slice through the middle or through one hemisphere. Returns the findings."""
    middle = chance(rng, 0.65)
    inner = _jittered(rng, CRANIUM, 0.008)
    _face(scene, rng, tissue, middle)
    _skull(scene, rng, tissue, inner)
    surface = _jittered(rng, CEREBRUM, 0.008)
    clefts = [] if middle else [np.array([(-0.34, 0.08), (-0.16, -0.06), (0.04, -0.14), (0.2, -0.2)], np.float32)]
    brain.paint_brain(scene, rng, tissue, [surface], clefts)
    if middle:
        _midline(scene, rng, tissue)
    else:
        swell = between(rng, 0.5, 1.5)
        horn = ribbon([(-0.25, -0.17), (-0.05, -0.24), (0.18, -0.2), (0.3, -0.08), (0.16, 0.0)],
                      np.array([0.03, 0.06, 0.06, 0.08, 0.03]) * swell)  # fmt: skip
        scene.paint(fill(scene.view, horn, soft=0.5), tissue["csf"], "ventricles", inside=DEEP)
    cerebellum = oval(rng, (0.42, 0.17), (between(rng, 0.17, 0.22), between(rng, 0.13, 0.16)), 0.4, 0.05)
    scene.paint(fill(scene.view, cerebellum), tissue["grey"], "brain", inside=("skull",))
    folia(scene, rng, tissue, cerebellum)
    if middle:
        _stem(scene, rng, tissue)
    return brain.lesion(scene, rng, tissue) if chance(rng, 0.4) else ()


def _face(scene: Scene, rng: np.random.Generator, tissue: Tissue, middle: bool) -> None:
    """Skin, fat, muscles of neck and tongue, jaws, and the air of nose, sinuses and throat."""
    view = scene.view
    profile = _jittered(rng, PROFILE, 0.01)
    head = fill(view, profile)
    scene.paint(head, tissue["skin"], "head")
    under = both(fill(view, grown(profile, -0.02)), head)
    scene.paint(under, brain.values(scene, rng, under, tissue["scalp"], 2 * tissue["spread"]), None, inside=True)
    flesh = [
        oval(rng, (-0.4, 0.62), (0.22, 0.17), 0.2, 0.08), oval(rng, (0.45, 0.75), (0.13, 0.4), -0.1, 0.1),
        oval(rng, (-0.1, 0.75), (0.12, 0.4), 0.0, 0.1), oval(rng, (-0.35, 0.25), (0.35, 0.2), 0.0, 0.1),
    ]  # fmt: skip
    meat = both(fill(view, *flesh, soft=0.8), head)
    scene.paint(meat, brain.values(scene, rng, meat, tissue["muscle"], 3 * tissue["spread"], 30), None, inside=True)
    bones = [oval(rng, (-0.58, 0.82), (0.07, 0.09), 0.3, 0.08), oval(rng, (-0.45, 0.43), (0.2, 0.025), 0.1, 0.08)]
    scene.paint(both(fill(view, *bones), head), tissue["bone"], None, inside=True)
    scene.paint(fill(view, grown(bones[0], -0.02), soft=0.4), tissue["marrow"], None, inside=True)
    air = [
        oval(rng, (-0.24, 0.2), (between(rng, 0.07, 0.13), between(rng, 0.06, 0.1)), 0.0, 0.12),
        oval(rng, (-0.5, 0.3), (0.17, between(rng, 0.05, 0.1)), 0.15, 0.15),
        oval(rng, (-0.63, -0.06), (0.03, between(rng, 0.05, 0.1)), 0.0, 0.15),
        ribbon([(-0.2, 0.34), (-0.13, 0.5), (-0.12, 0.7), (-0.14, 1.0), (-0.15, 1.5)], (0.06, 0.06, 0.04, 0.07, 0.08)),
    ]  # fmt: skip
    scene.paint(both(fill(view, *air[: 4 if middle else 3]), head), tissue["gas"], "sinus")
    _neck(scene, rng, tissue, head) if middle else _orbit(scene, rng, tissue)


def _orbit(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> None:
    scene.paint(fill(scene.view, oval(rng, (-0.55, 0.12), (0.17, 0.11), 0.1, 0.05)), tissue["fat"])
    globe = oval(rng, (-0.63, 0.12), (0.1, 0.095), 0.0, 0.01)
    scene.paint(fill(scene.view, globe), 0.5 * (tissue["muscle"] + tissue["csf"]), "eye")
    scene.paint(fill(scene.view, grown(globe, -0.014)), tissue["csf"], None, inside=True)


def _neck(scene: Scene, rng: np.random.Generator, tissue: Tissue, head: Patch) -> None:
    """Vertebral bodies and discs of the neck before the canal."""
    bodies, discs = [], []
    for index in range(7):
        x, y = 0.06 + 0.03 * float(np.sin(index * 0.7)), 0.48 + 0.155 * index
        corners = [(x - 0.075, y - 0.058), (x + 0.075, y - 0.058), (x + 0.075, y + 0.058), (x - 0.075, y + 0.058)]
        bodies.append(np.asarray(corners, np.float32) + rng.normal(0, 0.005, (4, 2)).astype(np.float32))
        discs.append(oval(rng, (x + 0.01, y + 0.0775), (0.075, 0.017), 0.0, 0.03))
    scene.paint(both(fill(scene.view, *discs, soft=0.4), head), tissue["disc"], "discs")
    column = both(fill(scene.view, *bodies, soft=0.4), head)
    scene.paint(column, brain.values(scene, rng, column, tissue["marrow"], tissue["spread"]), "vertebrae")


def _skull(scene: Scene, rng: np.random.Generator, tissue: Tissue, inner: Field) -> None:
    """The tables of the skull with marrow between them, and the fluid inside."""
    bone, view = between(rng, 0.04, 0.065), scene.view
    scene.paint(fill(view, grown(inner, bone)), tissue["bone"], "skull")
    scene.paint(fill(view, grown(inner, 0.7 * bone), soft=0.4), tissue["diploe"], None, inside=True)
    scene.paint(fill(view, grown(inner, 0.25 * bone), soft=0.3), tissue["bone"], None, inside=True)
    scene.paint(fill(view, inner, soft=0.3), tissue["csf"])


def _midline(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> None:
    """Corpus callosum, the fluid under it, and the thalamus."""
    view, swell = scene.view, between(rng, 0.6, 1.4)
    space = smooth(np.array([(-0.27, -0.16), (-0.2, -0.26), (-0.02, -0.3), (0.16, -0.26), (0.22, -0.15), (0.1, -0.2),
                             (-0.08, -0.16 + 0.03 * swell)]))  # fmt: skip
    scene.paint(fill(view, space, soft=0.5), tissue["csf"], "ventricles", inside=DEEP)
    thalamus = oval(rng, (0.05, -0.1), (0.11, 0.075), 0.1, 0.05)
    scene.paint(fill(view, grown(thalamus, 0.015 * swell), soft=0.5), tissue["csf"], None, inside=True)
    scene.paint(fill(view, thalamus, soft=0.5), tissue["grey"], "deep grey matter", inside=DEEP)
    arch = np.array([(-0.28, -0.1), (-0.34, -0.2), (-0.24, -0.3), (-0.05, -0.34), (0.14, -0.3), (0.26, -0.17)])
    widths = np.array([0.03, 0.065, 0.05, 0.04, 0.045, 0.08]) * between(rng, 0.8, 1.2)
    callosum = fill(view, ribbon(arch + rng.normal(0, 0.006, arch.shape), widths, steps=7), soft=0.5)
    scene.paint(callosum, tissue["white"], "corpus callosum", inside=(*DEEP, "white matter"))


def _stem(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> None:
    """Midbrain, pons, medulla and the cord below them, with the fourth ventricle behind and the pituitary before."""
    view = scene.view
    canal = ribbon([(0.17, 0.3), (0.22, 0.45), (0.24, 0.8), (0.22, 1.1), (0.22, 1.5)], (0.13, 0.13, 0.12, 0.12, 0.12))
    scene.paint(fill(view, canal, soft=0.5), tissue["csf"], "spinal canal")
    cord = ribbon(
        [(0.19, 0.38), (0.22, 0.55), (0.24, 0.8), (0.22, 1.1), (0.22, 1.5)], (0.06, 0.055, 0.055, 0.055, 0.055)
    )
    scene.paint(fill(view, cord, soft=0.5), tissue["cord"], "spinal cord", inside=("spinal canal",))
    stem = ribbon([(0.04, -0.04), (0.09, 0.1), (0.15, 0.23), (0.19, 0.4)], (0.1, 0.12, 0.085, 0.06), steps=7)
    whole = fill(view, stem, oval(rng, (0.05, 0.11), (0.065, 0.085), -0.3, 0.04), soft=0.4)
    scene.paint(whole, tissue["white"], "brain", inside=("skull",))
    brain_stem(scene, rng, tissue, whole)
    fourth = np.array([(0.17, 0.05), (0.26, 0.14), (0.19, 0.22)], np.float32)
    scene.paint(fill(view, smooth(fourth), soft=0.5), tissue["csf"], "ventricles", inside=DEEP)
    pituitary = fill(view, oval(rng, (-0.1, 0.1), (0.035, 0.028), 0.0, 0.05))
    scene.paint(pituitary, 0.5 * (tissue["grey"] + tissue["white"]), "pituitary gland")


def coronal(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """A coronal slice through the ventricles, or further back through the cerebellum. Returns the findings."""
    behind = chance(rng, 0.4)
    half = np.asarray(HALF_CROWN) * np.array([between(rng, 0.92, 1.06), between(rng, 0.95, 1.05)])
    mirrored = np.concatenate([[(0, -0.76)], half, [(0, 0.2)], (half * np.array([-1, 1]))[::-1]])
    inner = smooth(mirrored + rng.normal(0, 0.008, mirrored.shape), steps=5)
    _crown(scene, rng, tissue, inner, behind)
    surface = grown(inner, -between(rng, 0.01, 0.035))
    clefts = [np.array([(0, -0.8), (0.004, -0.6), (-0.004, -0.5), (0, -0.37)], np.float32)]
    if not behind:
        cleft = np.array([(0.63, -0.02), (0.5, -0.05), (0.4, -0.12), (0.37, 0.0)], np.float32)
        clefts += [cleft * np.array([side, 1], np.float32) for side in SIDES]
    brain.paint_brain(scene, rng, tissue, [surface], clefts)
    _deep_coronal(scene, rng, tissue, behind)
    return brain.lesion(scene, rng, tissue, inner) if chance(rng, 0.4) else ()


def _crown(scene: Scene, rng: np.random.Generator, tissue: Tissue, inner: Field, behind: bool) -> None:
    """Scalp, skull, and the soft tissue of face or neck below."""
    view, bone = scene.view, between(rng, 0.04, 0.065)
    neck = oval(rng, (0, 0.75), (between(rng, 0.4, 0.5), 0.75), 0.0, 0.06)
    skin = fill(view, grown(inner, bone + between(rng, 0.05, 0.09)), neck)
    scene.paint(skin, tissue["skin"], "head")
    under = fill(view, grown(inner, bone + 0.035), grown(neck, -0.02))
    scene.paint(under, tissue["scalp"], None, inside=True)
    meat = both(fill(view, *(oval(rng, (side * 0.24, 0.75), (0.16, 0.5), 0.1 * side, 0.12) for side in SIDES)), under)
    scene.paint(meat, brain.values(scene, rng, meat, tissue["muscle"], 3 * tissue["spread"], 30), None, inside=True)
    if not behind:
        air = fill(
            view,
            oval(rng, (0, 0.38), (between(rng, 0.1, 0.2), 0.1), 0.0, 0.15),
            oval(rng, (0, 0.8), (0.07, 0.3), 0.0, 0.1),
        )
        scene.paint(air, tissue["gas"], "sinus")
    _skull(scene, rng, tissue, inner)


def _deep_coronal(scene: Scene, rng: np.random.Generator, tissue: Tissue, behind: bool) -> None:
    view, swell = scene.view, between(rng, 0.6, 1.5)
    if not behind:
        places = ((0.27, -0.1, 0.07, 0.11), (0.1, -0.1, 0.07, 0.07), (0.17, -0.25, 0.035, 0.05))
        nuclei = [oval(rng, (side * x, y), (a, b), -0.2 * side, 0.06) for side in SIDES for x, y, a, b in places]
        scene.paint(
            fill(view, *nuclei, soft=0.6),
            0.85 * tissue["grey"] + 0.15 * tissue["white"],
            "deep grey matter",
            inside=DEEP,
        )
    widths = np.array([0.05, 0.06, 0.03]) * swell
    horns = [ribbon([(side * 0.03, -0.25), (side * 0.1, -0.26), (side * 0.2, -0.31)], widths) for side in SIDES]
    if behind:
        horns = [oval(rng, (side * 0.22, -0.08), (0.05 * swell, 0.07 * swell), 0.0, 0.1) for side in SIDES]
    else:
        horns.append(ribbon([(0, -0.16), (0, -0.06), (0, 0.02)], np.array([0.015, 0.025, 0.01]) * swell))
    scene.paint(fill(view, *horns, soft=0.5), tissue["csf"], "ventricles", inside=DEEP)
    if not behind:
        callosum = ribbon([(-0.2, -0.33), (0, -0.33), (0.2, -0.33)], (0.03, 0.05, 0.03))
        scene.paint(fill(view, callosum, soft=0.5), tissue["white"], "corpus callosum", inside=(*DEEP, "white matter"))
    _below_tentorium(scene, rng, tissue, behind)


def _below_tentorium(scene: Scene, rng: np.random.Generator, tissue: Tissue, behind: bool) -> None:
    """The brain stem or, behind it, the cerebellum."""
    view = scene.view
    if behind:
        half = np.array([(0.25, 0.02), (0.5, 0.12), (0.45, 0.3), (0.2, 0.4)]) * between(rng, 0.9, 1.05)
        cerebellum = smooth(np.concatenate([[(0, -0.04)], half, [(0, 0.34)], (half * np.array([-1, 1]))[::-1]]))
        scene.paint(fill(view, grown(cerebellum, 0.02), soft=0.5), tissue["csf"])
        scene.paint(fill(view, cerebellum), tissue["grey"], "brain", inside=("skull",))
        folia(scene, rng, tissue, cerebellum)
        return
    stem = fill(view, ribbon([(0, 0.02), (0, 0.16), (0, 0.3), (0, 0.5)], (0.24, 0.26, 0.15, 0.09), steps=7), soft=0.5)
    scene.paint(minus(fill(view, oval(rng, (0, 0.2), (0.19, 0.2), 0.0, 0.05), soft=0.6), stem), tissue["csf"])
    scene.paint(stem, tissue["white"], "brain", inside=("skull",))
    brain_stem(scene, rng, tissue, stem)
