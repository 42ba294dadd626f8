"""Heart, abdomen and pelvis under an ultrasound probe, as echo strengths and losses.

Every function paints one picture and returns the body part and the view, which is empty where it has no name.
"""

import numpy as np

from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Point, fractal, noise, union
from mmedagent.training.phantoms.ultrasound_scan import Body
from mmedagent.training.phantoms.ultrasound_tissue import bone, fluid, grow, layers, lump, masses, tissue, tube


def effusion(body: Body, place: Point, radii: Point, lean: float) -> None:
    """Now and then a dark rim of fluid around the heart; to be painted before its muscle."""
    rng = body.rng
    if chance(rng, 0.15):
        wide = between(rng, 1.12, 1.3)
        shape = lump(body, place, (radii[0] * wide, radii[1] * wide), lean, 0.04, 4)
        body.scene.paint(shape, between(rng, 0.0, 0.03), "pericardial effusion")
        body.found.append("pericardial effusion")


def apical(body: Body) -> tuple[str, str]:
    """Four chambers from the apex, with septum and valves."""
    rng, view = body.rng, body.scene.view
    tissue(body, between(rng, 0.05, 0.2), 0.6)
    lean = between(rng, -0.15, 0.25)
    outer = grow(rng, (0.56, 0.82))
    effusion(body, (0, 0.05), outer, lean)
    body.scene.paint(
        lump(body, (0, 0.05), outer, lean, edge=8),
        between(rng, 0.25, 0.6) * np.exp(0.5 * noise(rng, view.shape[0], 14)), "myocardium",
    )  # fmt: skip
    share, septum = between(rng, 0.85, 1.2), between(rng, 0.02, 0.06)
    for name, place, radii in (
        ("left ventricle", (0.19, -0.12), (0.17, 0.36)), ("right ventricle", (-0.2, -0.05), (0.13, 0.3)),
        ("left atrium", (0.19, 0.5), (0.17, 0.17)), ("right atrium", (-0.2, 0.48), (0.16, 0.17)),
    ):  # fmt: skip
        side = 1 if place[0] > 0 else -1
        shape = lump(
            body, (place[0] + side * septum, place[1]), (radii[0] * share, radii[1] * share), 0.1 * side, 0.09, 4
        )
        body.scene.paint(shape, between(rng, 0.005, 0.04), name)
    for side in (-1, 1):
        for tip in (-1, 1):
            leaf = lump(
                body, (side * (0.2 + septum) + tip * 0.07, 0.29), (0.08, 0.012), tip * between(rng, 0.2, 1.1), 0.1, 2
            )
            body.scene.paint(leaf, between(rng, 0.6, 1.4), None, inside=True)
    return "heart", "apical"


def parasternal(body: Body) -> tuple[str, str]:
    """Long axis: right ventricle in front, left ventricle, aorta and left atrium behind."""
    rng, size = body.rng, body.scene.view.shape[0]
    layers(body, -0.6)
    body.scene.value *= np.where(body.scene.view.y > -0.6, np.float32(between(rng, 0.3, 0.8)), np.float32(1))
    muscle = between(rng, 0.25, 0.6) * np.exp(0.4 * noise(rng, size, 12))
    lean = between(rng, -0.1, 0.25)
    outer = grow(rng, (0.85, 0.62))
    effusion(body, (0, 0.1), outer, lean)
    body.scene.paint(lump(body, (0, 0.1), outer, lean, edge=8), muscle, "myocardium")
    for name, place, radii in (
        ("right ventricle", (-0.1, -0.32), (0.45, 0.11)), ("left ventricle", (-0.3, 0.12), (0.36, 0.2)),
        ("aorta", (0.45, -0.04), (0.34, 0.09)), ("left atrium", (0.4, 0.38), (0.28, 0.19)),
    ):  # fmt: skip
        shape = lump(body, place, grow(rng, radii, 0.9, 1.15), lean, 0.07, 4)
        body.scene.paint(shape, between(rng, 0.005, 0.04), name)
    for tip in (-1, 1):
        leaf = lump(body, (0.1, 0.17 + 0.06 * tip), (0.13, 0.012), tip * between(rng, 0.1, 0.8), 0.1, 2)
        body.scene.paint(leaf, between(rng, 0.6, 1.4), None, inside=True)
    return "heart", "parasternal"


def short_axis(body: Body) -> tuple[str, str]:
    """The left ventricle as a ring, the right as a crescent beside it."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.05, 0.25), 0.6)
    place, radius = (between(rng, 0, 0.15), between(rng, -0.05, 0.15)), between(rng, 0.4, 0.55)
    effusion(body, place, (radius, radius), 0.0)
    right = lump(body, (place[0] - 0.32, place[1] - 0.22), (radius * 1.1, radius * 0.85), -0.6, 0.07, 4)
    body.scene.paint(right, between(rng, 0.005, 0.05), "right ventricle")
    ring = lump(body, place, (radius, radius * between(rng, 0.9, 1)), 0, 0.04, 5)
    body.scene.paint(ring, between(rng, 0.3, 0.7) * np.exp(0.4 * noise(rng, size, 14)), "myocardium")
    share = between(rng, 0.45, 0.7)
    body.scene.paint(lump(body, place, (radius * share, radius * share), 0, 0.07, 4), 0.02, "left ventricle")
    for side in (-1, 1):
        spot = (place[0] + side * 0.6 * share * radius, place[1] + 0.3 * share * radius)
        papillary = lump(body, spot, (0.06, 0.05), 0, 0.2, 4)
        body.scene.paint(papillary, 0.4, None, inside=True)
    return "heart", "short-axis"


def liver(body: Body) -> tuple[str, str]:
    """Liver with vessels and diaphragm, often the right kidney or the gallbladder."""
    rng, view = body.rng, body.scene.view
    tissue(body, between(rng, 0.15, 0.35))
    layers(body, between(rng, -0.85, -0.6))
    level = between(rng, 0.2, 0.5)
    organ = lump(body, (between(rng, -0.2, 0.2), 0.05), grow(rng, (1.1, 0.7)), between(rng, -0.3, 0.3), 0.06, 4)
    body.scene.paint(organ, level * np.exp(0.1 * fractal(rng, view.shape[0], 8, 3)), "liver")
    arc = np.abs(np.hypot(view.x, view.y + 0.6) - between(rng, 1.2, 1.5))
    body.scene.value += between(rng, 0.8, 2) * np.exp(-((arc / 0.02) ** 2))
    tubes = [
        lump(body, (x, y), (between(rng, 0.04, 0.3), between(rng, 0.02, 0.05)), between(rng, 0, 3.1), 0.1, 3)
        for x, y in rng.uniform((-0.7, -0.4), (0.7, 0.5), (int(rng.integers(1, 8)), 2))
    ]  # fmt: skip
    veins = union(tubes) * organ
    if chance(rng, 0.4):
        body.scene.value += level * union([np.clip(tube - 0.3, 0, 1) * (tube < 0.9) for tube in tubes]) * organ
    body.scene.paint(veins, 0.015, "vessels", inside=True)
    if chance(rng, 0.4):
        kidney_at(body, (between(rng, -0.2, 0.4), between(rng, 0.35, 0.6)), (0.45, 0.22), level)
    if chance(rng, 0.35):
        gallbladder_at(
            body, (between(rng, -0.4, 0.4), between(rng, -0.2, 0.3)), (between(rng, 0.2, 0.4), between(rng, 0.1, 0.17))
        )
    if chance(rng, 0.35):
        masses(body)
    return "abdomen", ""


def kidney_at(body: Body, place: Point, radii: Point, level: float) -> None:
    """A kidney with a bright sinus; sometimes its pelvis is wide with fluid."""
    rng, size = body.rng, body.scene.view.shape[0]
    angle, radii = between(rng, -0.4, 0.4), grow(rng, radii)
    body.scene.paint(
        lump(body, place, radii, angle, 0.05, 3),
        level * between(rng, 0.3, 0.75) * np.exp(0.2 * noise(rng, size, 12)),
        "kidney",
    )
    rim = lump(body, place, (radii[0] * 1.04, radii[1] * 1.06), angle, 0.02, 3)
    body.scene.value += 0.5 * level * np.clip(rim * (1 - lump(body, place, radii, angle, 0.02, 3)), 0, 1)
    sinus = lump(body, place, (radii[0] * 0.6, radii[1] * 0.42), angle, 0.2, 5)
    body.scene.paint(sinus, level + between(rng, 0.3, 0.9), "renal sinus", inside=True)
    if chance(rng, 0.15):
        fluid(body, lump(body, place, (radii[0] * 0.42, radii[1] * 0.34), angle, 0.2, 3), "hydronephrosis", inside=True)
        body.found.append("hydronephrosis")


def kidney(body: Body) -> tuple[str, str]:
    """A kidney in its length behind liver or muscle."""
    rng = body.rng
    level = between(rng, 0.2, 0.45)
    tissue(body, level)
    layers(body, between(rng, -0.8, -0.4))
    kidney_at(body, (between(rng, -0.15, 0.15), between(rng, -0.1, 0.25)), (0.62, 0.32), level)
    if chance(rng, 0.3):
        masses(body)
    return "abdomen", ""


def gallbladder_at(body: Body, place: Point, radii: Point) -> None:
    """A gallbladder, with stones on its floor now and then."""
    rng = body.rng
    angle = between(rng, -0.7, 0.7)
    wall = lump(body, place, (radii[0] * 1.1, radii[1] * 1.15), angle, 0.03, 3)
    body.scene.paint(wall, between(rng, 0.5, 1.0), None, inside=True)
    fluid(body, lump(body, place, radii, angle, 0.05, 2), "gallbladder")
    if chance(rng, 0.4):
        for _ in range(int(rng.integers(1, 4))):
            spot = (place[0] + radii[0] * between(rng, -0.5, 0.5), place[1] + radii[1] * between(rng, 0.4, 0.75))
            bone(body, lump(body, spot, (between(rng, 0.03, 0.09), between(rng, 0.025, 0.05)), 0, 0.15, 2), "stone")
        body.found.append("stone")


def gallbladder(body: Body) -> tuple[str, str]:
    rng = body.rng
    tissue(body, between(rng, 0.2, 0.5))
    layers(body, between(rng, -0.85, -0.6))
    gallbladder_at(
        body, (between(rng, -0.2, 0.2), between(rng, -0.2, 0.2)), (between(rng, 0.35, 0.6), between(rng, 0.16, 0.28))
    )
    return "abdomen", ""


def bladder(body: Body) -> tuple[str, str]:
    """A full bladder, with prostate or uterus behind it."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.25, 0.5))
    layers(body, between(rng, -0.75, -0.5))
    place = (between(rng, -0.1, 0.1), between(rng, -0.25, 0.0))
    fluid(body, lump(body, place, grow(rng, (0.62, 0.36)), between(rng, -0.2, 0.2), 0.1, 3), "bladder")
    name = str(rng.choice(["prostate", "uterus"]))
    shape = lump(body, (place[0], place[1] + 0.55), grow(rng, (0.42, 0.24)), between(rng, -0.4, 0.4), 0.07, 5)
    body.scene.paint(shape, between(rng, 0.15, 0.35) * np.exp(0.3 * noise(rng, size, 10)), name)
    return "pelvis", ""


def great_vessels(body: Body) -> tuple[str, str]:
    """Aorta and vena cava before the spine, across or along."""
    rng = body.rng
    tissue(body, between(rng, 0.2, 0.45), 0.5)
    layers(body, between(rng, -0.8, -0.5))
    if chance(rng, 0.5):
        bone(body, lump(body, (0, 0.5), (0.45, 0.1), 0, 0.1, 4), "vertebra")
        fluid(body, lump(body, (0.12, 0.2), grow(rng, (0.14, 0.15)), 0, 0.03, 2), "aorta")
        fluid(body, lump(body, (-0.28, 0.22), grow(rng, (0.17, 0.1)), 0, 0.1, 3), "inferior vena cava")
    else:
        tube(body, "aorta", between(rng, -0.1, 0.3), between(rng, 0.09, 0.2))
    return "abdomen", ""
