"""Radiographs: frontal chest projections and limbs, built by adding up attenuation along the beam."""

import numpy as np

from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.finish import between, chance, compress, degrade, display, shade, words
from mmedagent.training.phantoms.shapes import Scene, Stroke, blob, curves, fractal, make_view, noise, union


def _ribs(scene: Scene, rng: np.random.Generator, chest: Field) -> None:
    """Pairs of ribs: steep in front, shallow behind, brighter at their edges."""
    view = scene.view
    strength, first, pitch = between(rng, 0.04, 0.15), between(rng, -0.8, -0.65), between(rng, 0.13, 0.18)
    across = np.linspace(0.05, 0.86, 16)
    back: list[Stroke] = []
    front: list[Stroke] = []
    for side in (-1, 1):
        for index in range(int(rng.integers(8, 11))):
            start = first + index * pitch
            fall = between(rng, 0.1, 0.22) + 0.02 * index
            path = np.stack([side * across, start + fall * np.sin(across * 2.6 - 0.6)], axis=1).astype(np.float32)
            width = between(rng, 0.05, 0.065)
            back += [Stroke(path, width), Stroke(path, width * 0.55, 0.65)]
            if chance(rng, 0.5):
                path = np.stack([side * across, start + 0.25 + 0.3 * (0.9 - across)], axis=1).astype(np.float32)
                front.append(Stroke(path, width, 0.5))
    scene.value += strength * (curves(view, back) + curves(view, front)) * chest


def _vessels(scene: Scene, rng: np.random.Generator, lungs: Field) -> None:
    """Hilar vessels that branch and thin out into the lungs."""
    strength = between(rng, 0.05, 0.12)
    strokes = []
    for side in (-1, 1):
        for _ in range(int(rng.integers(8, 18))):
            steps = 0.05 * np.cumsum(np.ones(9))
            turn = between(rng, -1.3, 1.3) + np.cumsum(rng.normal(0, 0.15, 9))
            path = np.stack([side * (0.14 + steps * np.cos(turn)), steps * np.sin(turn)], axis=1).astype(np.float32)
            strokes += [Stroke(path[:4], 0.022), Stroke(path[3:], 0.011, 0.6)]
    scene.value += strength * curves(scene.view, strokes) * lungs


def _findings(
    scene: Scene, rng: np.random.Generator, lungs: dict[str, Field], enlarged: bool
) -> tuple[str, ...]:  # fmt: skip
    view, found = scene.view, ["cardiomegaly"] if enlarged else []
    side = str(rng.choice(list(lungs)))
    sign = -1 if side == "right lung" else 1
    lung = lungs[side]
    if chance(rng, 0.2):
        surface = between(rng, 0.25, 0.5) - 0.25 * np.abs(view.x) ** 2
        fluid = (np.clip((view.y - surface) * 14, 0, 1) * lung).astype(np.float32)
        scene.value += between(rng, 0.25, 0.5) * fluid
        scene.paint(fluid, scene.value, "pleural effusion", inside=True)
        found.append("pleural effusion")
    elif chance(rng, 0.2):
        collapsed = blob(view, rng, (sign * 0.3, 0.0), (between(rng, 0.2, 0.27), between(rng, 0.35, 0.5)), lumps=0.06)
        free = lung * (1 - collapsed)
        scene.value -= between(rng, 0.06, 0.14) * free
        scene.paint(free, scene.value, "pneumothorax", inside=True)
        found.append("pneumothorax")
    elif chance(rng, 0.25):
        place = (sign * between(rng, 0.25, 0.5), between(rng, -0.35, 0.4))
        patch = blob(view, rng, place, (between(rng, 0.12, 0.26), between(rng, 0.1, 0.24)), lumps=0.25, edge=14) * lung
        texture = 1 + 0.25 * fractal(rng, view.shape[0], 14, 3)
        scene.value += between(rng, 0.12, 0.32) * patch * texture
        scene.paint(patch, scene.value, "consolidation", inside=True)
        found.append("consolidation")
    elif chance(rng, 0.25):
        size = between(rng, 0.035, 0.11)
        place = (sign * between(rng, 0.2, 0.55), between(rng, -0.5, 0.35))
        nodule = blob(view, rng, place, (size, size * between(rng, 0.8, 1)), lumps=0.1, edge=4) * lung
        scene.value += between(rng, 0.12, 0.25) * nodule
        scene.paint(nodule, scene.value, "lung nodule", inside=True)
        found.append("lung nodule")
    return tuple(sorted(found))


def _body(scene: Scene, rng: np.random.Generator) -> Field:
    """Soft tissue of neck, shoulders, arms and trunk."""
    view = scene.view
    neck = blob(view, rng, (0, -1.0), (between(rng, 0.22, 0.3), 0.6), lumps=0.03)
    trunk = blob(view, rng, (0, 0.35), (between(rng, 0.85, 0.98), 1.2), lumps=0.03)
    shoulders = blob(view, rng, (0, -0.42), (between(rng, 1.0, 1.4), between(rng, 0.33, 0.46)), lumps=0.02)
    body = union([neck, trunk, shoulders])
    scene.value += between(rng, 0.45, 0.6) * body
    return body


def _lungs(scene: Scene, rng: np.random.Generator) -> dict[str, Field]:
    view = scene.view
    darkness = between(rng, 0.22, 0.42)
    lungs: dict[str, Field] = {}
    for side, name in ((-1, "right lung"), (1, "left lung")):
        floor = between(rng, 0.5, 0.68) + 0.04 * side
        place, radii = (side * between(rng, 0.4, 0.46), -0.05), (between(rng, 0.29, 0.36), between(rng, 0.72, 0.82))
        lung = blob(view, rng, place, radii, -0.09 * side, lumps=0.03, edge=3)
        dome = floor - 0.12 * np.cos((view.x - side * 0.35) * 4)
        lung = lung * np.clip((dome - view.y) * 25, 0, 1).astype(np.float32)
        scene.value -= darkness * lung * (1 + 0.08 * fractal(rng, view.shape[0], 10, 3))
        scene.paint(lung, scene.value, name, inside=True)
        lungs[name] = lung
    return lungs


def _chest(rng: np.random.Generator, size: int) -> tuple[Scene, tuple[str, ...]]:
    half = between(rng, 0.55, 0.8) if chance(rng, 0.1) else between(rng, 0.85, 1.1)
    scene = Scene(make_view(rng, size, (between(rng, -0.1, 0.1), 0.0), (half, half * between(rng, 0.9, 1.15))), 0.0)
    view = scene.view
    body = _body(scene, rng)
    lungs = _lungs(scene, rng)
    both = union(list(lungs.values()))
    _vessels(scene, rng, both)
    enlarged = chance(rng, 0.2)
    width = between(rng, 0.42, 0.52) if enlarged else between(rng, 0.26, 0.34)
    heart = blob(
        view, rng, (between(rng, 0.08, 0.16), 0.27), (width, between(rng, 0.28, 0.36)), 0.4, lumps=0.05, edge=3
    )
    heart = heart * np.clip((0.6 - view.y) * 25, 0, 1).astype(np.float32)
    middle = blob(view, rng, (0.02, -0.3), (between(rng, 0.11, 0.17), 0.85), lumps=0.08, edge=5)
    scene.value += between(rng, 0.2, 0.36) * union([heart * between(rng, 0.85, 1.1), middle * between(rng, 0.8, 1.0)])
    scene.paint(heart, scene.value, "heart")
    if enlarged:
        scene.paint(heart, scene.value, "cardiomegaly", inside=True)
    column = np.exp(-((view.x / 0.085) ** 2))
    discs = 1 + 0.12 * np.cos(view.y * between(rng, 28, 40))
    scene.value += between(rng, 0.02, 0.1) * column * discs * body
    scene.value -= between(rng, 0.04, 0.1) * np.exp(-(((view.x + 0.01) / 0.045) ** 2)) * (view.y < -0.15) * body
    _ribs(scene, rng, body)
    for side in (-1, 1):
        x = np.linspace(0.05, 0.85, 12)
        path = np.stack([side * x, -0.62 - 0.16 * x + 0.03 * np.sin(x * 6)], axis=1).astype(np.float32)
        clavicle = curves(view, [Stroke(path, between(rng, 0.05, 0.07))])
        scene.value += between(rng, 0.08, 0.16) * clavicle
        scene.paint(clavicle, scene.value, "clavicles", inside=True)
        arm = blob(view, rng, (side * 1.0, -0.3), (0.09, 0.5), -0.2 * side, lumps=0.05)
        scene.value += 0.12 * arm * body
    found = _findings(scene, rng, lungs, enlarged)
    if chance(rng, 0.2):
        path = np.cumsum(rng.normal([0.02, 0.09], 0.03, (12, 2)), axis=0) + np.array([between(rng, -0.5, 0.3), -0.9])
        scene.value += between(rng, 0.1, 0.25) * curves(view, [Stroke(path.astype(np.float32), 0.012)])
    return scene, found


def _limb(rng: np.random.Generator, size: int) -> tuple[Scene, tuple[str, ...]]:
    """Long bones with bright cortex in soft tissue, sometimes broken."""
    half = between(rng, 0.6, 1.1)
    scene = Scene(make_view(rng, size, (0, 0), (half, half), tilt=0.6), 0.0)
    view = scene.view
    scene.value += between(rng, 0.2, 0.35) * blob(view, rng, (0, 0), (between(rng, 0.45, 0.7), 2.5), lumps=0.04, edge=6)
    broken = chance(rng, 0.35)
    for index in range(int(rng.integers(1, 4))):
        x = (index - 0.5) * between(rng, 0.28, 0.4)
        width = between(rng, 0.06, 0.15)
        end = between(rng, -0.2, 0.9)
        bone = union([
            blob(view, rng, (x, end - 1.3), (width, 1.3), lumps=0.02),
            blob(view, rng, (x, end), (width * 1.5, width * 1.3), lumps=0.08),
        ])  # fmt: skip
        if broken and index == 0:
            line = view.y - (end - 0.5) - 0.4 * (view.x - x) - 0.02 * noise(rng, size, 40)
            gap = np.clip(1.4 - np.abs(line) / 0.018, 0, 1).astype(np.float32) * bone
            scene.paint(gap, scene.value, "fracture", inside=True)
            bone = bone * (1 - 0.8 * gap)
        core = blob(view, rng, (x, end - 1.3), (width * 0.55, 1.35), lumps=0.02, edge=4)
        trabecular = 1 + 0.08 * fractal(rng, size, 40, 2)
        scene.value += between(rng, 0.3, 0.45) * bone * (1 - 0.45 * core) * trabecular
        scene.paint(bone, scene.value, "bone", inside=True)
    return scene, ("fracture",) if broken else ()


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One radiograph; anatomy is "chest" or "limb"."""
    anatomy = "chest" if chance(rng, 0.85) else "limb"
    scene, found = (_chest if anatomy == "chest" else _limb)(rng, size)
    masks = scene.masks()
    values = shade(rng, scene.value, between(rng, 0, 0.12))
    low, high = np.percentile(values, [between(rng, 0, 4), between(rng, 97, 100)])
    image = display(rng, degrade(rng, (values - low) / max(float(high - low), 0.1), 0.7))
    if chance(rng, 0.04):
        image = 255 - image
    if chance(rng, 0.35):
        image = words(rng, image, int(rng.integers(1, 3)), (0, 0, 0.9, 0.15))
    return Phantom(compress(rng, image), "X-ray", anatomy, masks, tuple(name for name in found if name in masks))
