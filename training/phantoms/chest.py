"""The frontal chest without disease: outlines in anatomical coordinates, and what they do to the beam.

x runs to the image's right, which is the patient's left; y runs downwards. The thorax spans about 0.75 to each side and
from -0.85 (apices) to 0.6 (costophrenic angles).
"""

from dataclasses import dataclass, field

import numpy as np

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.film import Film, spline
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Stroke, fractal, noise, union

SIDES = {"right": -1, "left": 1}
"""Sides of the patient and the sign of their x."""


@dataclass(frozen=True)
class Lung:
    """One lung in anatomical coordinates.

    Attributes:
        side: of the patient.
        sign: of its x.
        width: distance of its lateral wall from the midline.
        apex, base, dome: y of its top, of its costophrenic angle and of the top of its diaphragm.
        outline: (n, 2) closed.
    """

    side: str
    sign: int
    width: float
    apex: float
    base: float
    dome: float
    outline: Field

    def place(self, across: float, down: float) -> tuple[float, float]:
        """A point from fractions: 0 to 1 from the midline to the wall, 0 to 1 from the apex to the base."""
        return self.sign * across * self.width, self.apex + down * (self.base - self.apex)


@dataclass
class Chest:
    """A chest while it is drawn: what each pixel's ray passes through.

    Attributes:
        film: the view.
        lungs: by side.
        coverage: of each lung, heart excluded.
        heart: its coverage.
        ratio: heart width over inner thoracic width.
        air: (H, W) how much air in [0, 1.3] a ray meets.
        tissue: (H, W) attenuation of everything but lungs.
        vessels: (H, W) vascular markings in [0, 1].
        masks: of what has been drawn.
    """

    film: Film
    lungs: dict[str, Lung]
    coverage: dict[str, Field]
    heart: Field
    ratio: float
    air: Field
    tissue: Field
    vessels: Field
    masks: dict[str, Mask] = field(default_factory=dict)

    def exposed(self, depth: float, markings: float) -> Field:
        """Attenuation of the whole: `depth` is what air takes away, `markings` what vessels add."""
        result: Field = self.tissue - depth * self.air + markings * self.vessels
        return result

    def add_mask(self, name: str, covered: Mask) -> None:
        self.masks[name] = self.masks[name] | covered if name in self.masks else covered


def _lung(rng: np.random.Generator, side: str, width: float, apex: float, base: float) -> Lung:
    sign, rise = SIDES[side], between(rng, 0.1, 0.21)
    base += 0.03 * sign + between(rng, -0.02, 0.02)
    dome, inner = base - rise, between(rng, 0.09, 0.12)
    top = between(rng, 0.36, 0.46)
    knots = [
        (inner, -0.3), (inner + 0.02, -0.6), (0.24 * width, apex + 0.04), (top * width, apex),
        (0.66 * width, apex + between(rng, 0.1, 0.15)), (0.85 * width, -0.42), (0.96 * width, -0.05),
        (width, 0.62 * base), (width, base), (width, base), (0.83 * width, base - between(rng, 0.45, 0.65) * rise),
        (0.58 * width, dome), (0.34 * width, dome + 0.1 * rise), (0.15, dome + between(rng, 0.25, 0.5) * rise),
        (inner, 0.15),
    ]  # fmt: skip
    return Lung(side, sign, width, apex, base, dome, spline(np.asarray(knots) * [sign, 1]))


def _heart(rng: np.random.Generator, floor: float, width: float) -> Field:
    """Outline of the heart, `width` units wide, resting on the diaphragm at `floor`; its apex points to x > 0."""
    share = between(rng, 0.28, 0.36)
    right, left = share * width, (1 - share) * width
    top = -0.14 - 0.12 * width
    tall = floor - top
    knots = np.array([
        (-0.09, top), (-0.82 * right, top + 0.3 * tall), (-right, floor - 0.4 * tall), (-0.82 * right, floor - 0.04),
        (-0.2 * right, floor + 0.05), (0.45 * left, floor + 0.06), (0.86 * left, floor),
        (left, floor - between(rng, 0.18, 0.26) * tall), (0.9 * left, floor - between(rng, 0.42, 0.48) * tall),
        (0.58 * left, floor - between(rng, 0.68, 0.76) * tall), (0.13, top),
    ])  # fmt: skip
    outline = spline(knots)
    outline[:, 0] *= width / float(np.ptp(outline[:, 0]))
    return outline


def _mediastinum(rng: np.random.Generator) -> Field:
    knob, waist = between(rng, 0.14, 0.2), between(rng, 0.1, 0.14)
    return spline([
        (-0.1, -1.4), (0.1, -1.4), (0.1, -0.6), (knob, -0.4), (knob, -0.32), (waist, -0.22), (waist + 0.04, -0.1),
        (0.1, 0.9), (-0.1, 0.9), (-waist, 0.0), (-between(rng, 0.11, 0.16), -0.3), (-0.09, -0.6),
    ])  # fmt: skip


def _body(rng: np.random.Generator, width: float) -> Field:
    wall, neck, slope = width + between(rng, 0.1, 0.3), between(rng, 0.17, 0.26), between(rng, -0.9, -0.75)
    arm = between(rng, 1.05, 1.5)
    half = [
        (neck, -1.5), (neck, -1.05), (0.5, slope - 0.06), (0.95, slope + 0.08), (arm, -0.4), (arm + 0.1, 0.1),
        (arm - 0.05, 0.1), (wall + 0.03, -0.3), (wall, 0.0), (wall, 0.6), (wall + 0.02, 1.6),
    ]  # fmt: skip
    return spline(np.array(half + [(-x, y) for x, y in reversed(half)]), steps=4)


def _rib_paths(rng: np.random.Generator, lung: Lung) -> tuple[list[Field], list[Field]]:
    """Centre lines of the posterior and the anterior parts of the ribs of one side."""
    first, pitch = lung.apex + between(rng, 0.02, 0.08), between(rng, 0.135, 0.165)
    drop, fall = between(rng, 0.1, 0.2), between(rng, 0.22, 0.36)
    heights, walls = (lung.apex, lung.apex + 0.12, -0.42, -0.05, 0.35, 1.0), (0.36, 0.66, 0.85, 0.96, 1.0, 1.0)
    back, front = [], []
    for index in range(int(rng.integers(9, 12))):
        start = first + index * pitch
        low = start + drop * (0.6 + 0.09 * index)
        wall = lung.width * (float(np.interp(low, heights, walls)) + 0.015)
        t = np.linspace(0, 1, 9)
        x = 0.07 + (wall - 0.07) * np.sin(0.5 * np.pi * t)
        y = start - 0.035 * np.sin(np.pi * t) + (low - start) * (1 - np.cos(0.5 * np.pi * t)) ** 0.9
        back.append(np.stack([lung.sign * x, y], axis=1).astype(np.float32))
        if 0 < index < 8:
            end = between(rng, 0.24, 0.36) * lung.width + 0.02 * index
            x = end + (wall - end) * np.cos(0.5 * np.pi * t)
            y = low + fall * (0.75 + 0.05 * index) * np.sin(0.5 * np.pi * t) ** 1.2
            front.append(np.stack([lung.sign * x, y], axis=1).astype(np.float32))
    return back, front


def _ribs(chest: Chest, rng: np.random.Generator) -> None:
    """Tubes: brighter at their edges, steeper and fainter in front."""
    strength, width = between(rng, 0.06, 0.15), between(rng, 0.05, 0.066)
    layers: tuple[list[Stroke], list[Stroke]] = ([], [])
    for lung in chest.lungs.values():
        for layer, paths in zip(layers, _rib_paths(rng, lung), strict=True):
            for path in paths:
                layer += [Stroke(path, width), Stroke(path, 0.62 * width, 0.68)]
    back, front = (chest.film.lines(layer, 0.6) for layer in layers)
    chest.tissue += strength * (back + between(rng, 0.4, 0.75) * front)
    chest.add_mask("ribs", (back > 0.4) | (front > 0.4))


def _vessels(rng: np.random.Generator, film: Film, lungs: dict[str, Lung]) -> Field:
    """Hilar vessels that branch and thin out, more of them below."""
    strokes: list[Stroke] = []
    for lung in lungs.values():
        hilum = np.array([lung.sign * between(rng, 0.13, 0.18), between(rng, -0.14, -0.02)])
        for _ in range(int(rng.integers(9, 15))):
            turn = between(rng, -1.25, 1.5) + np.cumsum(rng.normal(0, 0.12, 10))
            run = np.cumsum(between(rng, 0.03, 0.06) * np.stack([lung.sign * np.cos(turn), np.sin(turn)], 1), axis=0)
            path = (hilum + run).astype(np.float32)
            thick = between(rng, 0.018, 0.03)
            strokes += [Stroke(path[6:], 0.25 * thick, 0.35), Stroke(path[3:7], 0.5 * thick, 0.6)]
            strokes.append(Stroke(path[:4], thick, 0.9))
            fork = path[4] + 0.8 * (path[4:] - path[4]) @ _turned(between(rng, 0.5, 0.9) * float(rng.choice([-1, 1])))
            strokes.append(Stroke(fork.astype(np.float32), 0.3 * thick, 0.4))
    return film.lines(strokes, 0.7)


def _turned(angle: float) -> Field:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]], np.float32)


def _girdle(chest: Chest, rng: np.random.Generator, body: Field) -> None:
    """Clavicles, scapulae and the heads of the humeri."""
    film, lift, strength = chest.film, between(rng, -0.05, 0.1), between(rng, 0.1, 0.2)
    strokes, blades = [], []
    for sign in SIDES.values():
        knots = np.array([(0.05, -0.6), (0.2, -0.62), (0.42, -0.7 + lift), (0.68, -0.72 + lift), (0.9, -0.76 + lift)])
        path, thick = spline(knots * [sign, 1], closed=False), between(rng, 0.045, 0.06)
        strokes += [Stroke(path, thick), Stroke(path, 0.6 * thick, 0.72), Stroke(path[:5], 1.35 * thick)]
        out = between(rng, 0.56, 0.86)
        blade = np.array([(out, 0.0), (out + 0.02, -0.62), (out + 0.36, -0.66), (out + 0.14, -0.2)])
        blades.append(film.fill(spline(blade * [sign, 1]), 0.8))
        blades.append(film.lump(rng, (sign * between(rng, 1.0, 1.12), -0.62), (0.12, 0.12), 0.02, 1.0))
    clavicles = film.lines(strokes, 0.6)
    chest.tissue += (strength * clavicles + np.float32(between(rng, 0.03, 0.1)) * union(blades)) * body
    chest.add_mask("clavicles", clavicles > 0.4)


def _midline(chest: Chest, rng: np.random.Generator) -> None:
    """Spine, trachea with main bronchi, and the outline of mediastinum and heart on the lungs."""
    film = chest.film
    near = slice(*np.flatnonzero((np.abs(film.x[:: len(film.x) - 1]) < 0.2).any(axis=0))[[0, -1]])
    across, discs = np.square(np.square(film.x[:, near] / 0.085)), np.cos(film.y[:, near] * between(rng, 40, 52))
    chest.tissue[:, near] += between(rng, 0.03, 0.1) * np.exp(-across) * (1 + 0.25 * discs)
    carina = between(rng, -0.36, -0.28)
    pipe = spline([(0.0, -1.5), (between(rng, -0.02, 0.02), -0.8), (-0.01, carina)], closed=False)
    bronchi = [np.array([(-0.01, carina), (sign * 0.17, carina + 0.13)], np.float32) for sign in SIDES.values()]
    tree = [Stroke(pipe, 0.085), *(Stroke(path, 0.05, 0.7) for path in bronchi)]
    chest.tissue -= between(rng, 0.06, 0.16) * film.lines(tree, 1.2)


def draw_chest(rng: np.random.Generator, film: Film, ratio: float) -> Chest:
    """A healthy chest but for its heart, whose width is `ratio` of the inner width of the thorax."""
    width, apex, base = between(rng, 0.66, 0.8), between(rng, -0.88, -0.76), between(rng, 0.44, 0.7)
    lungs = {side: _lung(rng, side, width, apex, base) for side in SIDES}
    edges = np.concatenate([lung.outline[:, 0] for lung in lungs.values()])
    outline = _heart(rng, lungs["left"].dome + 0.06, ratio * float(np.ptp(edges)))
    heart, middle = film.fill(outline, 0.8), film.fill(_mediastinum(rng), 1.5)
    body, size = film.fill(_body(rng, width), 1.0), len(film.x)
    inside = {side: film.fill(lung.outline, 0.7) for side, lung in lungs.items()}
    both = union(list(inside.values()))
    opaque = np.maximum(heart * np.float32(between(rng, 0.72, 0.9)), middle * np.float32(between(rng, 0.75, 0.95)))
    texture = 1 + np.float32(between(rng, 0.03, 0.06)) * fractal(rng, size, 8, 4)
    tissue = body * (1 + np.float32(0.05) * noise(rng, size, 3)) + np.float32(between(rng, 0.0, 0.12)) * heart
    coverage: dict[str, Field] = {side: cover * (1 - heart) for side, cover in inside.items()}
    air = both * (1 - opaque) * texture * _depth(lungs, film)
    vessels = _vessels(rng, film, lungs) * both * (1 - 0.5 * heart)
    chest = Chest(film, lungs, coverage, heart, ratio, air, tissue, vessels)
    for side, cover in chest.coverage.items():
        chest.add_mask(f"{side} lung", cover > 0.5)
    chest.add_mask("heart", heart > 0.5)
    _midline(chest, rng)
    _ribs(chest, rng)
    _girdle(chest, rng, body)
    if chance(rng, 0.4):
        _breasts(chest, rng)
    _below(chest, rng)
    return chest


def _depth(lungs: dict[str, Lung], film: Film) -> Field:
    """Lungs are thickest in their middle."""
    lung = lungs["left"]
    across = np.abs(film.x) / lung.width - 0.55
    down = (film.y - lung.apex) / (lung.base - lung.apex) - 0.55
    depth: Field = np.clip(1.08 - 0.7 * across**2 - 0.5 * down**2, 0.6, 1.1).astype(np.float32)
    return depth


def _breasts(chest: Chest, rng: np.random.Generator) -> None:
    size, y, strength = between(rng, 0.28, 0.42), between(rng, 0.2, 0.4), between(rng, 0.05, 0.14)
    for sign in SIDES.values():
        shadow = chest.film.lump(rng, (sign * between(rng, 0.45, 0.55), y), (size, 0.85 * size), 0.02, 2.0)
        chest.tissue += strength * shadow * np.clip(0.6 + 1.5 * (chest.film.y - y), 0.15, 1)


def _below(chest: Chest, rng: np.random.Generator) -> None:
    """Stomach bubble and bowel gas under the left diaphragm."""
    if not chance(rng, 0.5):
        return
    left = chest.lungs["left"]
    place = (between(rng, 0.25, 0.45), left.dome + between(rng, 0.14, 0.2))
    bubble = chest.film.lump(rng, place, (between(rng, 0.08, 0.16), between(rng, 0.05, 0.09)), 0.05, 1.5)
    chest.tissue -= between(rng, 0.1, 0.35) * bubble * (1 - union(list(chest.coverage.values())))
