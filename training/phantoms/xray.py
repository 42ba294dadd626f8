"""Radiographs: frontal chest projections and limbs, built by adding up attenuation along the beam."""

import numpy as np
from PIL import Image, ImageDraw

from mmedagent.training.phantoms.base import Field, Phantom, Pixels
from mmedagent.training.phantoms.chest import Chest, draw_chest
from mmedagent.training.phantoms.chest_findings import add_findings, choose, heart_ratio
from mmedagent.training.phantoms.chest_words import write_report
from mmedagent.training.phantoms.film import make_film, spline
from mmedagent.training.phantoms.finish import between, chance, compress, degrade, display, shade, words
from mmedagent.training.phantoms.shapes import Scene, Stroke, blob, fractal, make_view, noise

CHEST_SHARE = 0.85


def _devices(chest: Chest, rng: np.random.Generator) -> None:
    """Wires, electrodes, a line or a pacemaker: dense, and no finding."""
    film, strokes = chest.film, []
    if chance(rng, 0.15):
        start = np.array([between(rng, -0.5, 0.5), -1.2])
        path = start + np.cumsum(rng.normal([0.0, 0.15], [0.05, 0.02], (7, 2)), axis=0)
        strokes.append(Stroke(spline(path, closed=False), between(rng, 0.01, 0.02)))
    if chance(rng, 0.12):
        for _ in range(int(rng.integers(1, 4))):
            place = np.array([between(rng, -0.7, 0.7), between(rng, -0.5, 0.5)])
            path = np.stack([place, place + rng.normal(0, 0.4, 2), place + rng.normal(0, 0.9, 2)])
            strokes += [Stroke(spline(path, closed=False), 0.012, 0.6), Stroke(np.stack([place, place + 0.02]), 0.05)]
    if chance(rng, 0.06):
        box, sign = np.array([between(rng, 0.42, 0.6), between(rng, -0.5, -0.35)]), float(rng.choice((-1, 1)))
        case = box + np.array([[-0.06, 0.0], [0.06, 0.01]])
        lead = np.stack([box, [0.2, -0.62], [-0.02, -0.3], [0.05, 0.15], [0.2, 0.35]])
        strokes += [Stroke(case * [sign, 1], 0.12), Stroke(spline(lead, closed=False) * [sign, 1], 0.014, 0.9)]
    if chance(rng, 0.06):
        for step in range(5):
            y = -0.5 + 0.16 * step + rng.normal(0, 0.01)
            strokes.append(Stroke(np.array([[-0.03, y], [0.03, y + 0.02], [-0.02, y + 0.03]]), 0.012))
    if strokes:
        chest.tissue += between(rng, 0.15, 0.4) * film.lines(strokes)


def _marked(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Side marker, burnt-in words and the shadow of the collimator."""
    picture = Image.fromarray(image)
    pen, size = ImageDraw.Draw(picture), image.shape[0]
    if chance(rng, 0.12):
        width = between(rng, 0.01, 0.06) * size
        far = size - width
        for edge in ((0, 0, width, size), (far, 0, size, size), (0, 0, size, width), (0, far, size, size)):
            if chance(rng, 0.6):
                pen.rectangle(edge, fill=int(rng.integers(0, 12)))
    if chance(rng, 0.35):
        right = chance(rng, 0.5)
        x = between(rng, 0.03, 0.12) if right else between(rng, 0.85, 0.93)
        pen.text((x * size, between(rng, 0.03, 0.3) * size), "R" if right else "L", fill=int(rng.integers(170, 256)),
                 font_size=int(size * between(rng, 0.04, 0.09)))  # fmt: skip
    if chance(rng, 0.1):
        word = str(rng.choice(("PORTABLE", "AP", "PA", "ERECT", "SUPINE")))
        pen.text((between(rng, 0.05, 0.8) * size, 0.02 * size), word, fill=int(rng.integers(150, 256)))
    marked = np.asarray(picture)
    return words(rng, marked, int(rng.integers(1, 3)), (0, 0, 0.9, 0.12)) if chance(rng, 0.2) else marked


def _chest(rng: np.random.Generator, size: int) -> Phantom:
    portable = chance(rng, 0.3)
    half = between(rng, 0.86, 1.2)
    centre = (between(rng, -0.06, 0.06), between(rng, -0.12, 0.0))
    film = make_film(rng, size, centre, (half * between(rng, 0.96, 1.06), half), 0.05 if portable else 0.025, 0.018)
    chosen = choose(rng)
    chest = draw_chest(rng, film, heart_ratio(rng, chosen))
    notes = add_findings(chest, rng, chosen)
    _devices(chest, rng)
    depth = between(rng, 0.5, 0.62) if portable else between(rng, 0.55, 0.72)
    values = chest.exposed(depth, between(rng, 0.08, 0.16))
    image = _exposed(rng, values)
    masks = {name: mask for name, mask in chest.masks.items() if int(mask.sum()) >= 12}
    notes = [note for note in notes if note.finding in masks]
    names = tuple(sorted(note.finding for note in notes))
    report = write_report(rng, notes)
    return Phantom(image, "X-ray", "chest", masks, names, view="frontal", report=report)


def _exposed(rng: np.random.Generator, values: Field) -> Pixels:
    """From attenuation to the image that a viewer shows."""
    values = shade(rng, values, between(rng, 0, 0.08))
    low, high = np.percentile(values[::3, ::3], [between(rng, 0, 4), between(rng, 97, 100)])
    image = display(rng, degrade(rng, (values - low) / max(float(high - low), 0.1), 0.6))
    if chance(rng, 0.04):
        image = 255 - image
    return compress(rng, _marked(rng, image))


def _limb(rng: np.random.Generator, size: int) -> Phantom:
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
        shaft = blob(view, rng, (x, end - 1.3), (width, 1.3), lumps=0.02)
        bone = np.maximum(shaft, blob(view, rng, (x, end), (width * 1.5, width * 1.3), lumps=0.08))
        if broken and index == 0:
            line = view.y - (end - 0.5) - 0.4 * (view.x - x) - 0.02 * noise(rng, size, 40)
            gap = np.clip(1.4 - np.abs(line) / 0.018, 0, 1).astype(np.float32) * bone
            scene.paint(gap, scene.value, "fracture", inside=True)
            bone = bone * (1 - 0.8 * gap)
        core = blob(view, rng, (x, end - 1.3), (width * 0.55, 1.35), lumps=0.02, edge=4)
        trabecular = 1 + 0.08 * fractal(rng, size, 40, 2)
        scene.value += between(rng, 0.3, 0.45) * bone * (1 - 0.45 * core) * trabecular
        scene.paint(bone, scene.value, "bone", inside=True)
    masks = scene.masks()
    names = ("fracture",) if "fracture" in masks else ()
    return Phantom(_exposed(rng, scene.value), "X-ray", "limb", masks, names)


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One radiograph; anatomy is "chest" (frontal, with a report) or "limb"."""
    return _chest(rng, size) if chance(rng, CHEST_SHARE) else _limb(rng, size)
