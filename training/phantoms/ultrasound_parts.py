"""Neck, limbs, breast, fetus and lung under an ultrasound probe, as echo strengths and losses.

Every function paints one picture and returns the body part and the view, which is empty where it has no name.
"""

import numpy as np

from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import fractal, noise, union
from mmedagent.training.phantoms.ultrasound_scan import Body
from mmedagent.training.phantoms.ultrasound_tissue import bone, fluid, grow, layers, lump, masses, tissue, tube


def carotid(body: Body) -> tuple[str, str]:
    """A neck artery along its length, with plaque now and then."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.15, 0.35))
    layers(body, between(rng, -0.4, 0.1))
    y, half = between(rng, 0.1, 0.4), between(rng, 0.13, 0.28)
    tube(body, "carotid artery", y, half)
    if chance(rng, 0.35):
        shape = lump(body, (between(rng, -0.5, 0.5), y + half * 0.8), (between(rng, 0.15, 0.4), half * 0.5), 0, 0.12, 3)
        body.scene.paint(shape, between(rng, 0.3, 1.0) * np.exp(0.4 * noise(rng, size, 10)), "plaque")
        body.found.append("plaque")
    return "neck", "longitudinal"


def thyroid(body: Body) -> tuple[str, str]:
    """Both lobes across, before and beside the windpipe, with the arteries to the sides."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.1, 0.3))
    layers(body, between(rng, -0.7, -0.45))
    level = between(rng, 0.3, 0.6)
    parts = [lump(body, (0, -0.25), (0.35, 0.09), 0, 0.08)]
    shift = 0.0 if chance(rng, 0.6) else float(rng.choice([-0.5, 0.5]))
    parts += [lump(body, (shift + side * 0.42, -0.02), grow(rng, (0.28, 0.27)), -0.2 * side, 0.07) for side in (-1, 1)]
    body.scene.paint(union(parts), level * np.exp(0.1 * noise(rng, size, 14)), "thyroid")
    windpipe = lump(body, (shift, 0.12), grow(rng, (0.22, 0.24)), 0, 0.04)
    body.scene.paint(windpipe, 0.05, "trachea")
    body.block(windpipe, 12)
    rim = lump(body, (shift, -0.1), (0.2, 0.025), 0, 0.1)
    body.scene.paint(rim, 1.5, None, inside=True)
    for side in (-1, 1):
        spot = (shift + side * between(rng, 0.74, 0.85), between(rng, 0, 0.2))
        fluid(body, lump(body, spot, grow(rng, (0.11, 0.12)), 0, 0.03, 2), "carotid artery")
    if chance(rng, 0.4):
        nodule = lump(body, (shift + float(rng.choice([-0.42, 0.42])), -0.02), grow(rng, (0.15, 0.14)), 0, 0.08, 3)
        body.scene.paint(
            nodule * union(parts), level * (0.2 if chance(rng, 0.7) else 2.0), "thyroid nodule", inside=True
        )
        body.found.append("thyroid nodule")
    return "neck", "transverse"


def node(body: Body) -> tuple[str, str]:
    """A lymph node with a bright hilum in soft tissue."""
    rng = body.rng
    tissue(body, between(rng, 0.15, 0.4))
    layers(body, between(rng, -0.2, 0.8))
    place, angle = (between(rng, -0.3, 0.3), between(rng, -0.2, 0.3)), between(rng, -0.5, 0.5)
    radii = (between(rng, 0.25, 0.5), between(rng, 0.12, 0.26))
    body.scene.paint(lump(body, place, radii, angle, 0.06, 3), between(rng, 0.04, 0.12), "lymph node")
    if chance(rng, 0.6):
        hilum = lump(body, place, (radii[0] * 0.6, radii[1] * 0.3), angle, 0.15, 4)
        body.scene.paint(hilum, between(rng, 0.35, 0.7), None, inside=True)
    return "soft tissue", ""


def muscle(body: Body) -> tuple[str, str]:
    """Skin, fat, muscle and fascia over a bone; lesions now and then."""
    rng = body.rng
    tissue(body, between(rng, 0.1, 0.4))
    layers(body, between(rng, 0.2, 1.1))
    if chance(rng, 0.4):
        bone(
            body,
            lump(body, (between(rng, -0.3, 0.3), between(rng, 0.45, 0.7)), (between(rng, 0.4, 1.2), 0.05), 0, 0.03),
            "bone",
        )
    if chance(rng, 0.6):
        masses(body, (-0.4, 0.2))
    return "soft tissue", ""


def breast(body: Body) -> tuple[str, str]:
    """Fat lobules, bright gland, chest wall; a mass or a cyst in most."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.3, 0.6), 0.5)
    lobules = fractal(rng, size, between(rng, 4, 8), 2)
    body.scene.value *= np.where(
        lobules + 1.5 * body.scene.view.y < between(rng, -1, 0.5), np.float32(0.35), np.float32(1)
    )
    body.scene.value += 0.8 * np.exp(-((lobules / 0.08) ** 2)) * (body.scene.view.y < 0.4)
    line = np.exp(-(((body.scene.view.y - between(rng, 0.5, 0.75)) / 0.03) ** 2))
    body.scene.value += line * between(rng, 0.4, 1)
    if chance(rng, 0.75):
        masses(body, (-0.4, 0.2))
    return "breast", ""


def fetus(body: Body) -> tuple[str, str]:
    """A fetal head in fluid with skull, midline and the plexus, or a body with its spine."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.2, 0.45))
    layers(body, between(rng, -0.8, -0.55))
    fluid(body, lump(body, (0, 0.1), grow(rng, (0.95, 0.75)), 0, 0.12, 5), None)
    place, angle = (between(rng, -0.15, 0.15), between(rng, 0.0, 0.2)), between(rng, -0.4, 0.4)
    if chance(rng, 0.3):
        shape = lump(body, place, grow(rng, (0.5, 0.46)), angle, 0.05, 3)
        body.scene.paint(shape, between(rng, 0.2, 0.45) * np.exp(0.3 * noise(rng, size, 9)), "fetal abdomen")
        fluid(body, lump(body, (place[0] + 0.15, place[1]), (0.09, 0.07), 0.5, 0.1, 3), None)
        for offset in (-0.05, 0.05, 0.0):
            bone(body, lump(body, (place[0] - 0.4, place[1] + offset), (0.035, 0.03)))
        return "fetus", ""
    radii = (between(rng, 0.5, 0.68), between(rng, 0.36, 0.5))
    body.scene.paint(lump(body, place, radii, angle, 0.0, 3), between(rng, 1.0, 2.0), "fetal head")
    share = between(rng, 0.9, 0.95)
    inner = lump(body, place, (radii[0] * share, radii[1] * share * 0.99), angle, 0.0, 3)
    body.scene.paint(inner, between(rng, 0.06, 0.2) * np.exp(0.4 * noise(rng, size, 9)), None, inside=True)
    middle = lump(body, place, (radii[0] * 0.8, 0.012), angle, 0.0, 2)
    body.scene.paint(middle, between(rng, 0.5, 1.2), None, inside=True)
    for side in (-1, 1):
        plexus = lump(body, (place[0] + 0.12, place[1] + side * 0.16), (0.16, 0.06), angle + 0.2 * side, 0.15, 4)
        body.scene.paint(plexus, between(rng, 0.3, 0.8), None, inside=True)
    return "fetus", "transverse"


def early_pregnancy(body: Body) -> tuple[str, str]:
    """A uterus with a sac and an embryo."""
    rng, size = body.rng, body.scene.view.shape[0]
    tissue(body, between(rng, 0.2, 0.45), 0.4)
    layers(body, between(rng, -0.85, -0.6))
    shape = lump(body, (0, 0.05), grow(rng, (0.75, 0.55)), between(rng, -0.3, 0.3), 0.08, 5)
    body.scene.paint(shape, between(rng, 0.2, 0.4) * np.exp(0.2 * noise(rng, size, 10)), "uterus")
    place, radii = (
        (between(rng, -0.2, 0.2), between(rng, -0.1, 0.2)),
        (between(rng, 0.2, 0.45), between(rng, 0.14, 0.28)),
    )
    rim = lump(body, place, (radii[0] * 1.15, radii[1] * 1.2), 0, 0.05, 4)
    body.scene.paint(rim, between(rng, 0.6, 1.0), None, inside=True)
    fluid(body, lump(body, place, radii, 0, 0.06, 2), "gestational sac")
    spot = (place[0] + radii[0] * 0.2, place[1] + radii[1] * 0.35)
    body.scene.paint(
        lump(body, spot, (radii[0] * 0.4, radii[1] * 0.3), 0.2, 0.15, 3), between(rng, 0.4, 0.8), "embryo", inside=True
    )
    return "fetus", ""


def lung(body: Body) -> tuple[str, str]:
    """Pleura between the shadows of two ribs, with repeated lines or comet tails below."""
    rng, view = body.rng, body.scene.view
    tissue(body, between(rng, 0.02, 0.1), 0.5)
    pleura = between(rng, -0.55, -0.3)
    layers(body, pleura - 0.1)
    for repeat in range(1, 5):
        y = -1 + (pleura + 1) * repeat
        body.scene.value += between(rng, 0.8, 2) / repeat * np.exp(-(((view.y - y + 0.03 * view.x**2) / 0.02) ** 2))
    for _ in range(int(rng.integers(0, 6))):
        tail = np.abs(view.x - between(rng, -0.7, 0.7)) / between(rng, 0.02, 0.08)
        body.scene.value += between(rng, 0.2, 0.8) * np.exp(-(tail**2)) * (view.y > pleura)
    for side in (-1, 1):
        if chance(rng, 0.7):
            bone(body, lump(body, (side * between(rng, 0.5, 0.8), pleura - 0.1), (0.17, 0.06), 0, 0.05), "rib")
    return "chest", ""
