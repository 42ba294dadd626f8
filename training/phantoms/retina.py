"""The back of the eye as a map of colours: disc, cup, macula, vessels, choroid, and what diseases leave on it.

Coordinates: the picture of a usual camera spans [-1, 1]; the disc lies to one side of the macula, which is near (0, 0).
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Point, Scene, Stroke, View, blob, curves, fractal, grain, noise

_BLOOD = (0.5, 0.22, 0.3)


def _walk(rng: np.random.Generator, start: Point, heading: float, steps: int, stride: float, bend: float) -> Field:
    """A winding path of `steps` points; `bend` is the steady turn per step in rad."""
    wiggle = np.convolve(rng.normal(0, 0.16, steps + 4), np.ones(5) / 2, mode="valid")[:steps]
    turn = heading + bend * np.arange(steps) + wiggle
    path = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], axis=1) * stride, axis=0)
    walked: Field = (path + np.asarray(start)).astype(np.float32)
    return walked


def _branches(rng: np.random.Generator, trunk: Field, width: float, count: int, depth: int) -> list[Stroke]:
    """Twigs from a vessel, thinner from fork to fork."""
    vessels: list[Stroke] = []
    for joint in rng.integers(2, len(trunk) - 1, count):
        ahead = float(np.arctan2(*(trunk[joint] - trunk[joint - 1])[::-1]))
        lean = float(rng.choice([-1, 1])) * between(rng, 0.35, 0.9)
        place, narrow = (float(trunk[joint, 0]), float(trunk[joint, 1])), width * between(rng, 0.3, 0.65)
        twig = _walk(rng, place, ahead + lean, int(rng.integers(8, 22)), 0.04, between(rng, -0.05, 0.05))
        vessels.append(Stroke(twig, narrow, between(rng, 0.5, 0.9)))
        if depth > 0:
            vessels += _branches(rng, twig, narrow, int(rng.integers(0, 2)), depth - 1)
    return vessels


def arcades(rng: np.random.Generator, disc: Point, side: int) -> tuple[list[Stroke], list[Stroke]]:
    """Arteries and veins: four arcades with branches from the optic disc, bending around the macula."""
    groups: tuple[list[Stroke], list[Stroke]] = ([], [])
    twist = between(rng, 0.6, 1.6)
    for up in (-1, 1):
        for toward, bend in ((1, 0.035), (-1, -0.01)):
            for group, scale in zip(groups, (0.75, 1.05), strict=True):
                heading = np.pi / 2 * up + (-side * toward) * up * between(rng, -0.9, -0.25)
                width = scale * between(rng, 0.02, 0.036)
                turn = twist * bend * up * side * between(rng, 0.5, 1.2)
                trunk = _walk(rng, disc, heading, 40, 0.05, -turn)
                group.append(Stroke(trunk[:22], width, between(rng, 0.7, 1)))
                group.append(Stroke(trunk[21:], 0.7 * width, between(rng, 0.6, 0.9)))
                group.extend(_branches(rng, trunk, width, int(rng.integers(3, 6)), 1))
    return groups


class Retina:
    """Colours (H, W, 3) of about [0, 1] with the masks and findings of the picture.

    Attributes:
        scene: keeps the masks; its values are not used.
        base: the colour of the healthy ground.
        disc, macula: where they are; `half` is the shorter radius of the disc.
    """

    def __init__(self, rng: np.random.Generator, view: View) -> None:
        self.rng, self.view = rng, view
        self.scene = Scene(view, 0.0)
        self.side = int(rng.choice([-1, 1]))
        centred = between(rng, 0.05, 0.3) if chance(rng, 0.15) else between(rng, 0.4, 0.85)
        self.macula: Point = (between(rng, -0.12, 0.12) - self.side * (0.45 if centred < 0.35 else 0), 0.04)
        self.disc: Point = (self.side * centred, between(rng, -0.12, 0.12))
        self.half = between(rng, 0.1, 0.18)
        red = between(rng, 0.55, 0.98)
        self.base = np.array([red, red * between(rng, 0.32, 0.62), red * between(rng, 0.08, 0.36)], np.float32)
        self.yellow = np.array([1.0, between(rng, 0.78, 0.94), between(rng, 0.45, 0.75)], np.float32)
        self.found: list[str] = []
        self.rgb: Field = np.zeros((*view.shape, 3), np.float32)

    def tint(self, shape: Field, target: Field, name: str | None = None, inside: bool = True) -> None:
        """Blend a colour in, and add the shape to the mask of `name`."""
        rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
        if len(rows):
            window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            part = self.rgb[window]
            part += shape[window][..., None] * (target.astype(np.float32) - part)
        if name:
            self.scene.paint(shape, 0.0, name, inside=inside)

    def ground(self) -> None:
        """The choroid through the retina: mottled, sometimes with its own pale or dark vessels."""
        rng, view, size = self.rng, self.view, self.view.shape[0]
        light = 1 - between(rng, 0.05, 0.4) * ((view.x - between(rng, -0.3, 0.3)) ** 2 + view.y**2)
        light = light + between(rng, 0.02, 0.08) * fractal(rng, size, between(rng, 3, 9), 4)
        if chance(rng, 0.35):
            stripes = np.abs(fractal(rng, size, between(rng, 5, 12), 2)) < between(rng, 0.1, 0.3)
            light = light + between(rng, -0.08, 0.14) * ndimage.gaussian_filter(stripes.astype(np.float32), 1)
        self.rgb = self.base * np.clip(light, 0.02, 1.5)[..., None]

    def spot(self) -> None:
        """Macula with its fovea, a darker area with a small reflex in the young."""
        rng, view = self.rng, self.view
        distance = (view.x - self.macula[0]) ** 2 + (view.y - self.macula[1]) ** 2
        spot = np.clip(1.02 * np.exp(-distance / np.float32(between(rng, 0.012, 0.05))) - 0.02, 0, 1)
        self.tint(np.float32(between(rng, 0.25, 0.7)) * spot, self.base * np.array([0.6, 0.45, 0.5], np.float32))
        self.scene.paint((spot > 0.5).astype(np.float32), 0.0, "macula", inside=True)
        self.scene.paint((spot > 0.9).astype(np.float32), 0.0, "fovea", inside=True)
        if chance(rng, 0.25):
            ring = np.exp(-(((np.sqrt(distance) - between(rng, 0.1, 0.2)) / 0.015) ** 2))
            self.tint(ring * between(rng, 0.1, 0.3), np.minimum(self.base * 1.6, 1))

    def head(self) -> None:
        """Optic disc with its cup; a large cup is a finding."""
        rng, view = self.rng, self.view
        radii = (self.half, self.half * between(rng, 1.0, 1.2))
        if chance(rng, 0.25):
            place = (self.disc[0] - self.side * 0.03, self.disc[1])
            crescent = blob(view, rng, place, (radii[0] * 1.25, radii[1] * 1.15), lumps=0.06, edge=4)
            self.tint(crescent * between(rng, 0.3, 0.7), np.minimum(self.base * np.array([1.1, 1.5, 1.6]), 1))
        rim = blob(view, rng, self.disc, radii, lumps=0.03, edge=3)
        rosy = self.yellow * np.array([1, between(rng, 0.8, 1), between(rng, 0.7, 1)])
        self.tint(rim * between(rng, 0.65, 0.95), rosy, "optic disc")
        share = between(rng, 0.25, 0.55) if chance(rng, 0.7) else between(rng, 0.68, 0.85)
        cup = blob(view, rng, self.disc, (radii[0] * share, radii[1] * share), lumps=0.05, edge=4)
        self.tint(cup * between(rng, 0.55, 0.85), np.minimum(self.yellow * np.array([1.15, 1.15, 1.3]), 1), "optic cup")
        if share > 0.65 and cup.any():
            self.found.append("large optic cup")
            self.scene.paint(cup, 0.0, "large optic cup", inside=True)

    def vessels(self) -> None:
        """Veins darker and wider than arteries, which have a bright reflex along them in some pictures."""
        rng = self.rng
        arteries, veins = arcades(rng, self.disc, self.side)
        red = self.base * np.array([between(rng, 0.6, 0.8), 0.3, 0.35], np.float32)
        deep = self.base * np.array([between(rng, 0.45, 0.65), 0.2, 0.3], np.float32)
        both = []
        for strokes, colour in ((veins, deep), (arteries, red)):
            coverage = curves(self.view, sorted(strokes, key=lambda stroke: stroke.width))
            self.tint(coverage * between(rng, 0.6, 0.9), colour)
            both.append(coverage)
        if chance(rng, 0.4):
            reflex = curves(self.view, [Stroke(s.points, s.width * 0.3, s.ink) for s in arteries if s.width > 0.014])
            self.tint(reflex * between(rng, 0.2, 0.5), np.minimum(self.base * 1.5, 1))
        self.scene.paint(np.maximum(both[0], both[1]), 0.0, "vessels", inside=True)

    def scatter(self, places: Sequence[Point], length: tuple[float, float], lumps: float, edge: float) -> Field:
        """Coverage of one rounded spot at each place."""
        rng, shapes = self.rng, np.zeros(self.view.shape, np.float32)
        for place in places:
            reach = between(rng, *length)
            spot = blob(
                self.view, rng, place, (reach, reach * between(rng, 0.55, 1)), between(rng, 0, 3.1), lumps, edge
            )
            np.maximum(shapes, spot, out=shapes)
        return shapes

    def places(self, count: int, reach: float, centre: Point = (0.0, 0.0)) -> list[Point]:
        """Positions within `reach` of a centre."""
        turns, far = self.rng.uniform(0, 2 * np.pi, count), reach * np.sqrt(self.rng.random(count))
        spots = np.stack([centre[0] + far * np.cos(turns), centre[1] + far * np.sin(turns)], axis=1)
        return [(float(x), float(y)) for x, y in spots]

    def add(self, name: str, shape: Field, ink: float, tone: Field) -> None:
        """A lesion that is a finding."""
        if (shape > 0.5).sum() >= 12:
            self.tint(shape * ink, tone, name)
            self.found.append(name)


def exudates(retina: Retina) -> None:
    """Hard exudates: small sharp yellow spots in clusters or a ring about the macula."""
    rng = retina.rng
    places = retina.places(int(rng.integers(5, 25)), between(rng, 0.1, 0.35), retina.macula)
    places += retina.places(int(rng.integers(0, 14)), 0.25, retina.places(1, 0.5)[0])
    tone = np.minimum(retina.yellow * np.array([1.05, 1.05, between(rng, 0.7, 1.0)], np.float32), 1)
    retina.add("exudates", retina.scatter(places, (0.01, 0.04), 0.15, 1.5), between(rng, 0.75, 0.95), tone)


def drusen(retina: Retina) -> None:
    """Soft pale yellow spots about the macula."""
    rng = retina.rng
    places = retina.places(int(rng.integers(12, 60)), between(rng, 0.15, 0.4), retina.macula)
    tone = np.minimum(retina.base * np.array([1.15, 1.5, 1.5], np.float32) + 0.1, 1)
    retina.add("drusen", retina.scatter(places, (0.015, 0.045), 0.1, 4), between(rng, 0.55, 0.85), tone)


def microaneurysms(retina: Retina) -> None:
    """Tiny round red dots."""
    rng = retina.rng
    size = max(0.012, 1.6 * min(retina.view.step))
    dots = retina.scatter(retina.places(int(rng.integers(8, 40)), 0.65), (size, 1.5 * size), 0.0, 1.5)
    retina.add("microaneurysms", dots, between(rng, 0.75, 0.95), retina.base * np.asarray(_BLOOD, np.float32))


def haemorrhages(retina: Retina) -> None:
    """Dark red blots, or flames along the nerve fibres."""
    rng = retina.rng
    shape = retina.scatter(retina.places(int(rng.integers(4, 20)), 0.75), (0.025, 0.08), 0.2, 2)
    retina.add("haemorrhages", shape, between(rng, 0.75, 0.95), retina.base * np.asarray(_BLOOD, np.float32))


def cotton_wool(retina: Retina) -> None:
    """White fluffy patches."""
    rng = retina.rng
    shape = retina.scatter(retina.places(int(rng.integers(2, 8)), 0.6), (0.04, 0.1), 0.25, 8)
    retina.add("cotton wool spots", shape, between(rng, 0.6, 0.85), np.array([0.97, 0.93, 0.85], np.float32))


def scar(retina: Retina) -> None:
    """A pale patch of lost retina with dark pigment clumps at its edge."""
    rng, size = retina.rng, retina.view.shape[0]
    place, reach = retina.places(1, 0.45)[0], between(rng, 0.12, 0.3)
    patch = blob(retina.view, rng, place, (reach, reach * between(rng, 0.6, 1)), between(rng, 0, 3.1), 0.12, 3)
    retina.add("chorioretinal scar", patch, between(rng, 0.6, 0.9), np.minimum(retina.yellow * 0.95, 1))
    clumps = patch * (noise(rng, size, size / 12) > 0.9)
    retina.tint(clumps * 0.85, retina.base * 0.15)


DISEASES = {
    "diabetic": ((microaneurysms, 0.85), (haemorrhages, 0.6), (exudates, 0.55), (cotton_wool, 0.25)),
    "macular": ((drusen, 1.0), (scar, 0.1)),
    "scarred": ((scar, 1.0),),
    "mixed": ((exudates, 0.5), (haemorrhages, 0.5), (drusen, 0.2)),
}
"""Lesions that occur together, and how often each does."""


def close_up(rng: np.random.Generator, view: View) -> tuple[Field, Scene, list[str]]:
    """Grey values of retina without the disc: nerve-fibre grain, some vessels, dots of microaneurysms."""
    size, scene = view.shape[0], Scene(view, between(rng, 0.5, 0.8))
    scene.value += 0.06 * fractal(rng, size, between(rng, 3, 8), 4)
    scene.value += 0.03 * noise(rng, size, 50, stretch=float(np.exp(rng.normal(0, 0.8))))
    dark, turn = between(rng, 0.2, 0.45), between(rng, 0, 2 * np.pi)
    strokes = []
    for _ in range(int(rng.integers(1, 6))):
        offset = between(rng, -0.9, 0.9)
        start = (offset * np.sin(turn) - 1.5 * np.cos(turn), -offset * np.cos(turn) - 1.5 * np.sin(turn))
        trunk = _walk(rng, start, turn + between(rng, -0.3, 0.3), 70, 0.045, between(rng, -0.015, 0.015))
        width = between(rng, 0.02, 0.09)
        strokes.append(Stroke(trunk, width, between(rng, 0.7, 1)))
        strokes += _branches(rng, trunk, width, int(rng.integers(0, 4)), 1)
    strokes.sort(key=lambda stroke: stroke.width)
    scene.paint(curves(view, strokes) * between(rng, 0.5, 1.0), dark, "vessels", inside=True)
    found = []
    if chance(rng, 0.65):
        for _ in range(int(rng.integers(1, 9))):
            reach = between(rng, 0.025, 0.07)
            place = (between(rng, -0.9, 0.9), between(rng, -0.9, 0.9))
            dot = blob(view, rng, place, (reach, reach), 0, 0.06, 3)
            scene.paint(dot * 0.9, dark * 0.8, "microaneurysms", inside=True)
        found.append("microaneurysms")
    values = ndimage.gaussian_filter(scene.value, between(rng, 0.3, 1.2), truncate=2.5)
    return values + 0.03 * grain(rng, size, 2), scene, found
