"""B-mode ultrasound: sector and linear scans with speckle, shadows, colour Doppler and the frame of the machine."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Mask, Phantom, Pixels
from mmedagent.training.phantoms.finish import between, chance, compress, words
from mmedagent.training.phantoms.shapes import Scene, View, blob, fractal, make_view, noise, union


class Probe(NamedTuple):
    """Geometry of the scan: who sees what at which depth.

    Attributes:
        seen: bool (H, W), the pixels inside the scan.
        depth: float (H, W) in [0, 1] from the probe downwards.
        lateral: float (H, W) in [-1, 1] across the beam.
    """

    seen: Mask
    depth: Field
    lateral: Field


def _probe(rng: np.random.Generator, size: int) -> Probe:
    """A sector, a curved array, a linear array or a crop that fills the picture."""
    rows, columns = np.meshgrid(np.linspace(0, 1, size), np.linspace(-1, 1, size), indexing="ij")
    shape = str(rng.choice(["sector", "curved", "linear", "full"], p=[0.3, 0.25, 0.3, 0.15]))
    top, bottom = between(rng, 0.02, 0.2), between(rng, 0.75, 0.99)
    if shape == "full":
        return Probe(np.ones((size, size), np.bool_), rows.astype(np.float32), columns.astype(np.float32))
    if shape == "linear":
        width = between(rng, 0.55, 0.98)
        depth, lateral = (rows - top) / (bottom - top), (columns - between(rng, -0.1, 0.1)) / width
    else:
        open_angle = between(rng, 0.5, 0.85)
        inner = between(rng, 0.0, 0.06) if shape == "sector" else between(rng, 0.15, 0.6)
        dx, dy = (columns - between(rng, -0.15, 0.15)) * 0.5 * between(rng, 0.85, 1.2), rows - top + inner
        depth = (np.sqrt(dx * dx + dy * dy) - inner) / (bottom - top)
        lateral = np.arctan2(dx, dy) / open_angle
    seen = (depth >= 0) & (depth <= 1) & (np.abs(lateral) <= 1)
    return Probe(seen, depth.astype(np.float32), lateral.astype(np.float32))


def _layers(scene: Scene, rng: np.random.Generator, probe: Probe) -> None:
    """Skin, fat and muscle planes: bands of changing brightness with bright fascia between them."""
    depth = probe.depth + 0.02 * noise(rng, scene.view.shape[0], 4)
    for _ in range(int(rng.integers(2, 9))):
        level, width = between(rng, 0.0, 0.9), between(rng, 0.004, 0.02)
        line = np.exp(-(((depth - level + between(rng, -0.1, 0.1) * probe.lateral) / width) ** 2))
        broken = np.clip(noise(rng, scene.view.shape[0], 6) + 0.8, 0, 1)
        scene.value += between(rng, 0.15, 0.7) * line * broken
    stripes = fractal(rng, scene.view.shape[0], 6, 2) * 2 + depth * between(rng, 20, 90)
    scene.value += between(rng, 0, 0.12) * np.sin(stripes) * (probe.depth < between(rng, 0.2, 1.0))


def _masses(scene: Scene, rng: np.random.Generator, probe: Probe) -> list[str]:
    """Cysts with enhancement behind them, solid masses and stones with shadows."""
    view, found = scene.view, []
    for _ in range(int(rng.integers(1, 3))):
        name = str(rng.choice(["cyst", "mass", "stone"]))
        place = (between(rng, -0.45, 0.45), between(rng, -0.4, 0.45))
        radii = (between(rng, 0.08, 0.3), between(rng, 0.07, 0.22))
        if name == "stone":
            radii = (between(rng, 0.04, 0.09), between(rng, 0.02, 0.05))
        lumps = 0.05 if name == "cyst" else 0.16
        shape = blob(view, rng, place, radii, between(rng, -0.5, 0.5), lumps, edge=3 if name == "cyst" else 6)
        behind = np.abs(view.x - place[0]) < radii[0] * 0.85
        if name == "cyst":
            scene.value *= 1 + between(rng, 0.2, 0.7) * behind * (view.y > place[1])
            scene.paint(shape, between(rng, 0.0, 0.04), name, inside=True)
        elif name == "stone":
            scene.value *= np.where(behind & (view.y > place[1]), np.float32(between(rng, 0.05, 0.35)), np.float32(1))
            scene.paint(shape, between(rng, 1.0, 1.6), name, inside=True)
        else:
            scene.paint(shape, between(rng, 0.06, 0.2) * (1 + 0.3 * noise(rng, view.shape[0], 12)), name, inside=True)
        found.append(name)
    return found


def _heart(scene: Scene, rng: np.random.Generator) -> None:
    """Dark chambers in brighter muscle, in an apical view."""
    view = scene.view
    wall = blob(view, rng, (0, 0.05), (between(rng, 0.45, 0.65), between(rng, 0.6, 0.8)), lumps=0.06, edge=8)
    scene.value *= between(rng, 0.3, 0.7)
    scene.paint(wall, between(rng, 0.3, 0.6) * (1 + 0.4 * noise(rng, view.shape[0], 10)), "myocardium", inside=True)
    chambers = {
        "left ventricle": ((0.18, -0.12), (0.17, 0.33)), "right ventricle": ((-0.2, -0.05), (0.13, 0.27)),
        "left atrium": ((0.19, 0.45), (0.16, 0.15)), "right atrium": ((-0.2, 0.43), (0.15, 0.15)),
    }  # fmt: skip
    grow = between(rng, 0.85, 1.2)
    for name, (place, radii) in chambers.items():
        shape = blob(view, rng, place, (radii[0] * grow, radii[1] * grow), 0.1, lumps=0.08, edge=5)
        scene.paint(shape, between(rng, 0.01, 0.06), name)


def _organ(scene: Scene, rng: np.random.Generator) -> None:
    """One large organ: liver with vessels, kidney with bright sinus, thyroid, node or fetal head."""
    view, name = scene.view, str(rng.choice(["liver", "kidney", "thyroid", "lymph node", "fetal head"]))
    place = (between(rng, -0.2, 0.2), between(rng, -0.15, 0.2))
    if name == "fetal head":
        radii = (between(rng, 0.4, 0.6), between(rng, 0.3, 0.45))
        skull = blob(view, rng, place, radii, between(rng, -0.4, 0.4), lumps=0.02)
        scene.paint(skull, between(rng, 0.8, 1.3), name)
        inner = blob(view, rng, place, (radii[0] * 0.93, radii[1] * 0.92), 0.0, lumps=0.03)
        scene.paint(inner * skull, between(rng, 0.08, 0.2), None, inside=True)
        return
    radii = {"liver": (0.8, 0.55), "kidney": (0.5, 0.25), "thyroid": (0.4, 0.22), "lymph node": (0.4, 0.18)}[name]
    grow, angle = between(rng, 0.8, 1.2), between(rng, -0.4, 0.4)
    shape = blob(view, rng, place, (radii[0] * grow, radii[1] * grow), angle, lumps=0.07, edge=4)
    level = between(rng, 0.1, 0.55)
    scene.paint(shape, level * (1 + 0.15 * noise(rng, view.shape[0], 14)), name)
    if name == "kidney":
        sinus = blob(view, rng, place, (radii[0] * 0.5, radii[1] * 0.4), angle, lumps=0.25, edge=6)
        scene.paint(sinus, level + between(rng, 0.2, 0.5), "renal sinus", inside=True)
    if name == "liver":
        for _ in range(int(rng.integers(2, 8))):
            spot = (between(rng, -0.6, 0.6), between(rng, -0.4, 0.5))
            vein = blob(view, rng, spot, (between(rng, 0.03, 0.2), between(rng, 0.015, 0.04)), between(rng, 0, 3.1))
            scene.paint(vein * shape, 0.03, "vessels", inside=True)


def _speckle(rng: np.random.Generator, view: View, echo: Field, probe: Probe) -> Field:
    """Log-compressed fully developed speckle with gain over depth, dropouts and an uneven noise floor."""
    size = view.shape[0]
    across, down = between(rng, 0.8, 2.6), between(rng, 0.4, 1.1)
    fields = rng.standard_normal((2, size, size), dtype=np.float32)
    fields = ndimage.gaussian_filter(fields, (0, down, across))
    rayleigh = np.sqrt(fields[0] ** 2 + fields[1] ** 2)
    rayleigh /= float(rayleigh.mean())
    gain = np.exp(between(rng, -1.6, 0.5) * probe.depth + 0.25 * noise(rng, size, 3))
    dropout = np.clip(1 - between(rng, 0, 0.9) * np.clip(noise(rng, 64, 9)[:1], 0, 1), 0.1, 1)
    index = np.clip(((probe.lateral + 1) * 31.5), 0, 63).astype(np.int32)
    power = np.maximum(echo, 0) * gain * dropout[0][index] * rayleigh + between(rng, 0.0005, 0.01) * rayleigh
    span = between(rng, 2.5, 5.5)
    result: Field = np.clip(1 + np.log(np.maximum(power, 1e-6)) / span + between(rng, -0.25, 0.15), 0, 1).astype(
        np.float32
    )
    return result


def _doppler(rng: np.random.Generator, image: Pixels, view: View, probe: Probe) -> tuple[Pixels, Mask]:
    """Colour flow inside a drawn box, with the colour scale beside the scan; returns the mask of the flow."""
    size = view.shape[0]
    place = (between(rng, -0.4, 0.4), between(rng, -0.3, 0.4))
    lobes = [
        blob(view, rng, (place[0] + between(rng, -0.2, 0.2), place[1] + between(rng, -0.12, 0.12)),
             (between(rng, 0.03, 0.2), between(rng, 0.02, 0.1)), between(rng, 0, 3.1), lumps=0.3)
        for _ in range(int(rng.integers(1, 9)))
    ]  # fmt: skip
    flow = (union(lobes) > 0.5) & (fractal(rng, size, 16, 3) > between(rng, -1.5, 0.0)) & probe.seen
    speed = np.clip(0.5 + 0.35 * fractal(rng, size, 8, 3), 0, 1)[..., None]
    warm = np.array([1, 0.1, 0]) + speed * np.array([0, 0.75, 0.1])
    cold = np.array([0, 0.1, 1]) + speed * np.array([0, 0.75, 0])
    away = fractal(rng, size, 4, 2)[..., None] > between(rng, -0.5, 3.0)
    tint = (np.where(away, cold, warm) * (110 + 145 * speed)).astype(np.uint8)
    rgb = np.where(flow[..., None], tint, image).astype(np.uint8)
    picture = Image.fromarray(rgb)
    pen = ImageDraw.Draw(picture)
    corners = [(place[0] - 0.4, place[1] - 0.3), (place[0] + 0.4, place[1] + 0.3)]
    pen.rectangle([((x + 1.1) / 2.2 * size, (y + 1.1) / 2.2 * size) for x, y in corners], outline=(200, 200, 200))
    bar_x = int(size * float(rng.choice([0.02, 0.94])))
    for row in range(int(size * 0.12)):
        shade = row / (size * 0.12)
        pen.line([(bar_x, size * 0.3 + row), (bar_x + size // 40, size * 0.3 + row)],
                 fill=(255, int(230 * (1 - shade)), 0) if shade < 0.5 else (0, int(220 * shade), 255))  # fmt: skip
    return np.asarray(picture), flow


def _frame(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Machine furniture in the black margins: text, grey scale, depth marks, a trace."""
    size = image.shape[0]
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    ink = (180, 180, 180) if image.ndim == 3 else 180
    if chance(rng, 0.5):
        x = int(size * float(rng.choice([0.02, 0.96])))
        start, length = between(rng, 0.05, 0.3), between(rng, 0.2, 0.5)
        for row in range(int(size * length)):
            level = 255 - int(255 * row / (size * length))
            fill = (level, level, level) if image.ndim == 3 else level
            pen.line([(x, size * start + row), (x + size // 45, size * start + row)], fill=fill)
    if chance(rng, 0.6):
        x, pitch = size * float(rng.choice([0.03, 0.9, 0.97])), between(rng, 0.04, 0.12) * size
        for index in range(int(size / pitch)):
            pen.line([(x, index * pitch), (x + (4 if index % 5 else 8), index * pitch)], fill=ink)
    if chance(rng, 0.2):
        wave = np.cumsum(rng.normal(0, 2.2, 64))
        wave = size * 0.93 + (wave - wave.mean()).clip(-12, 12)
        pen.line([(i * size / 64, float(v)) for i, v in enumerate(wave)], fill=(0, 220, 60) if image.ndim == 3 else 200)
    marked = np.asarray(picture)
    for area in ((0, 0, 0.7, 0.1), (0.0, 0.05, 0.02, 0.5), (0.8, 0.05, 0.85, 0.6), (0.1, 0.9, 0.8, 0.95)):
        if chance(rng, 0.5):
            marked = words(rng, marked, int(rng.integers(1, 5)), area)
    return marked


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One ultrasound frame; anatomy is "heart" or "soft tissue"."""
    probe = _probe(rng, size)
    scene = Scene(make_view(rng, size, tilt=0.3, warp=0.05), between(rng, 0.1, 0.4))
    scene.value *= np.exp(between(rng, 0.1, 0.5) * fractal(rng, size, 5, 3))
    cardiac, found = chance(rng, 0.25), []
    if cardiac:
        _heart(scene, rng)
    else:
        _layers(scene, rng, probe)
        if chance(rng, 0.7):
            _organ(scene, rng)
        if chance(rng, 0.45):
            found = _masses(scene, rng, probe)
    scene.paint((~probe.seen).astype(np.float32), 0.0)
    grey = np.where(probe.seen, _speckle(rng, scene.view, scene.value, probe), np.float32(0))
    image: Pixels = (grey * 255).astype(np.uint8)
    masks = scene.masks()
    if chance(rng, 0.45):
        image = np.repeat(image[..., None], 3, axis=2)
        if chance(rng, 0.6):
            image, flow = _doppler(rng, image, scene.view, probe)
            if flow.sum() >= 12:
                masks["colour flow"] = flow
        elif chance(rng, 0.4):
            image = (image * np.array([1.0, between(rng, 0.75, 0.95), between(rng, 0.5, 0.9)])).astype(np.uint8)
    if not probe.seen.all():
        image = _frame(rng, image)
    anatomy = "heart" if cardiac else "soft tissue"
    names = tuple(sorted({name for name in found if name in masks}))
    return Phantom(compress(rng, image), "ultrasound", anatomy, masks, names)
