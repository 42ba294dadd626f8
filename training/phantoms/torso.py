"""The wall of the trunk in axial slices, painted with any table of tissue values (CT numbers or MR signal).

Image left is the patient's right and the front is up, as radiologists view axial slices. Units are about 17 cm: the
trunk of an adult spans [-0.95, 0.95] x [-0.66, 0.66].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.noises import noise
from mmedagent.training.phantoms.patches import Patch, Stroke, both, fill, grown, lines, oval, smooth
from mmedagent.training.phantoms.shapes import Scene
from mmedagent.training.phantoms.views import Point, View

Tissue = Mapping[str, float]
Frames = Sequence[tuple[float, Sequence[Point]]]
"""The points of an outline at several levels."""

SPINE: Point = (0.0, 0.2)
WIDE, DEEP = 0.79, 0.52
"""Half-extents, to the side and to the front, of the cavity that organs are placed in before they are scaled."""
TURNS = np.linspace(0, 2 * np.pi, 64, endpoint=False)
"""Directions of wall outlines: 0 is the patient's left, pi / 2 the back."""


def textured(rng: np.random.Generator, scene: Scene, value: float, spread: float, cells: float = 24) -> Field:
    """`value` with smooth variation of standard deviation `spread`, over the whole image."""
    return np.float32(value) + np.float32(spread) * noise(rng, scene.view.shape[0], cells)


@dataclass(frozen=True)
class Trunk:
    """A scene with the wall of a trunk, ready for organs.

    Attributes:
        cavity: radius of the inner side of the wall in the directions `TURNS`.
        scale: factors from standard to this body's coordinates.
        inner: what lies inside the wall.
    """

    scene: Scene
    rng: np.random.Generator
    tissue: Tissue
    skin: Field
    cavity: Field
    scale: Point
    inner: Patch

    @property
    def view(self) -> View:
        return self.scene.view

    def between(self, low: float, high: float) -> float:
        return between(self.rng, low, high)

    def chance(self, probability: float) -> bool:
        return chance(self.rng, probability)

    def place(self, x: float, y: float) -> Point:
        """A standard place in this body."""
        return x * self.scale[0], y * self.scale[1]

    def wobbly(self, points: Field, amount: float = 0.012) -> Field:
        """The closed smooth outline through standard points, each moved by about `amount`, in this body."""
        moved = points + self.rng.normal(0, amount, points.shape)
        return smooth((moved * np.asarray(self.scale)).astype(np.float32))

    def values(self, patch: Patch, value: float, spread: float = 1.0, cells: float = 24) -> Field:
        """`value` with smooth variation of `spread` times the usual, over the window of a patch."""
        amount = np.float32(spread * self.tissue["spread"])
        return np.float32(value) + amount * noise(self.rng, self.view.shape[0], cells, window=patch.window)

    def paint(
        self, outline: Field, value: float, name: str | None, spread: float = 1.0, gap: float = 0.0, soft: float = 0.0
    ) -> Patch:  # fmt: skip
        """Paint an outline within the cavity, after a rim of fat `gap` wide over what lies there; returns its patch."""
        if gap > 0:
            self.scene.paint(both(fill(self.view, grown(outline, gap)), self.inner), self.tissue["fat"])
        patch = both(fill(self.view, outline, soft=soft), self.inner)
        self.scene.paint(patch, self.values(patch, value, spread), name)
        return patch

    def add(self, patch: Patch, value: float | Field) -> None:
        """Paint a detail that belongs to whatever lies there."""
        self.scene.paint(patch, value, None, inside=True)

    def wall_point(self, turn: float, share: float) -> Point:
        """The place in direction `turn` that lies `share` of the way from the cavity to the skin."""
        angles = np.append(TURNS, 2 * np.pi)
        inner, outer = (float(np.interp(turn % (2 * np.pi), angles, np.append(radii, radii[0])))
                        for radii in (self.cavity, self.skin))  # fmt: skip
        radius = inner + share * (outer - inner)
        return radius * float(np.cos(turn)), radius * float(np.sin(turn))

    def found(self, name: str) -> Mask | None:
        """The mask of a structure so far, if it has been painted."""
        return self.scene.mask(name)


def _around(turn: float, width: float) -> Field:
    """A bump of height 1 in direction `turn`, in the directions `TURNS`."""
    away = np.abs((TURNS - turn + np.pi) % (2 * np.pi) - np.pi)
    bump: Field = np.exp(-((away / width) ** 2))
    return bump


def polar(radii: Field) -> Field:
    """Outline with the given radius in each of the directions `TURNS`."""
    outline: Field = np.stack([radii * np.cos(TURNS), radii * np.sin(TURNS)], axis=1).astype(np.float32)
    return outline


def make_trunk(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, muscle: float = 1.0, back: Point = (0.3, 0.44)
) -> Trunk:  # fmt: skip
    """Paint skin, fat under the skin, the muscles of the wall and the fat inside it.

    `muscle` scales the wall at the front and the sides; `back` is the depth of the muscles of the back and the width
    in radians of the part of the wall that they take.
    """
    width, height, power = between(rng, 0.86, 0.97), between(rng, 0.58, 0.72), between(rng, 2.1, 2.7)
    ellipse = (np.abs(np.cos(TURNS) / width) ** power + np.abs(np.sin(TURNS) / height) ** power) ** (-1 / power)
    bend = sum(rng.normal(0, 0.008) * np.cos(k * TURNS + between(rng, 0, 6.3)) for k in (2, 3, 4, 5))
    skin = ellipse * (1 + bend) * (1 - between(rng, 0.0, 0.07) * _around(np.pi / 2, 0.9))
    skin *= 1 - between(rng, 0.0, 0.03) * _around(np.pi / 2, 0.12)
    side, rear = np.abs(np.cos(TURNS)) ** 2, np.clip(np.sin(TURNS), 0, 1) ** 2
    fat = (0.015 + float(np.clip(rng.gamma(1.8, 0.035), 0, 0.19))) * (
        0.55 + between(rng, 0.1, 0.5) * side + between(rng, 0.2, 0.6) * rear
    )
    front = muscle * between(rng, 0.03, 0.05) * (1 + 0.5 * (_around(-1.25, 0.2) + _around(-1.9, 0.2)))
    behind = back[0] * between(rng, 0.9, 1.1) * _around(np.pi / 2, back[1] * between(rng, 0.9, 1.1))
    outer = skin - fat
    cavity = outer - front - 0.015 * side - behind
    _paint_layers(scene, rng, tissue, (skin, outer, cavity))
    scale = (float(cavity[0] + cavity[32]) / (2 * WIDE), float(cavity[48]) / DEEP)
    return Trunk(scene, rng, tissue, outer, cavity, scale, fill(scene.view, polar(cavity)))


def _paint_layers(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, radii: tuple[Field, Field, Field]
) -> None:  # fmt: skip
    skin, outer, cavity = radii
    view, size = scene.view, scene.view.shape[0]
    body = fill(view, polar(skin))
    scene.paint(body, tissue["skin"], "body", inside=True)
    under = fill(view, polar(skin - 0.012))
    strands = np.clip(noise(rng, size, 22, stretch=0.6, window=under.window) - 1.1, 0, 1)
    scene.paint(under, np.float32(tissue["fat"]) + np.float32(0.25 * (tissue["muscle"] - tissue["fat"])) * strands)
    flesh = fill(view, polar(outer))
    marbled = np.clip(noise(rng, size, 34, window=flesh.window) - between(rng, 0.7, 1.8), 0, 1)
    scene.paint(flesh, np.float32(tissue["muscle"]) + np.float32(0.6 * (tissue["fat"] - tissue["muscle"])) * marbled)
    scene.paint(lines(view, _planes(rng, outer, cavity)), tissue["fat"], None, inside=True)
    scene.paint(fill(view, polar(cavity)), tissue["fat"], None, inside=True)


def _planes(rng: np.random.Generator, outer: Field, cavity: Field) -> list[Stroke]:
    """Planes of fat: between the three layers of the side wall, and around the muscles along the spine."""
    strokes = []
    for share in (0.33, 0.67):
        ring = polar(cavity + share * (outer - cavity))
        strokes += [
            Stroke(ring[span % 64], 0.007, between(rng, 0.3, 0.9)) for span in (np.arange(-9, 5), np.arange(28, 42))
        ]
    ridge = float(outer[16])
    strokes.append(Stroke(np.array([[0, ridge - 0.12], [0, ridge]], np.float32), 0.012, between(rng, 0.3, 1)))
    for side in (-1, 1):
        path = [[0.14 * side, 0.29], [0.22 * side, 0.33], [0.3 * side, 0.42], [0.34 * side, 0.55]]
        strokes.append(Stroke(np.asarray(path, np.float32), 0.01, between(rng, 0.3, 0.9)))
    return strokes


def vertebra(
    scene: Scene, rng: np.random.Generator, tissue: Tissue, centre: Point, scale: float, disc: bool = False
) -> None:  # fmt: skip
    """Vertebral body, arch, processes and canal; a cortical rim around a spongy core, or a disc."""
    view, (cx, cy) = scene.view, centre

    def part(x: float, y: float, a: float, b: float, angle: float = 0.0, lumps: float = 0.05) -> Field:
        return oval(rng, (cx + x * scale, cy + y * scale), (a * scale, b * scale), angle, lumps)

    spread, droop, tall = between(rng, 0.16, 0.24), between(rng, -0.2, 0.35), between(rng, 0.11, 0.135)
    body = part(0, 0, 0.16, tall, lumps=0.03)
    spine = between(rng, 0.08, 0.14)
    parts = [part(0, 0.3 + spine, 0.028, spine)]
    for side in (-1, 1):
        parts += [
            part(0.1 * side, 0.13, 0.032, 0.085), part(0.075 * side, 0.265, 0.095, 0.03, angle=-0.6 * side),
            part(spread * side, 0.2, 0.11, 0.028, angle=droop * side), part(0.12 * side, 0.22, 0.045, 0.05),
        ]  # fmt: skip
    scene.paint(fill(view, body, *parts), tissue["bone"] * between(rng, 0.7, 1.0), "vertebra")
    core = fill(view, grown(body, -between(rng, 0.01, 0.016) * scale), soft=0.7)
    sponge = np.float32(0.05 * abs(tissue["bone"] - tissue["marrow"])) * noise(
        rng, view.shape[0], min(75, 40 / scale), window=core.window
    )
    scene.paint(core, tissue["disc"] if disc else np.float32(tissue["marrow"]) + sponge, None, inside=True)
    middle = fill(view, *(part(0.115 * side, 0.215, 0.028, 0.04) for side in (-1, 1)), soft=0.6)
    scene.paint(middle, 0.6 * tissue["marrow"] + 0.4 * tissue["bone"], None, inside=True)
    scene.paint(fill(view, part(0, 0.185, 0.085, 0.062)), tissue["fat"], "spinal canal")
    scene.paint(fill(view, part(0, 0.18, 0.07, 0.05)), tissue["fluid"] * 0.6 + tissue["cord"] * 0.4, None, inside=True)
    scene.paint(fill(view, part(0, 0.18, 0.045, 0.034)), tissue["cord"], "spinal cord", inside=True)


def ribs(trunk: Trunk, low: float = 0.55) -> None:
    """Oblique sections of ribs in the wall, from beside the spine to `low` rad from the front on both sides."""
    rng, view = trunk.rng, trunk.view
    outlines: list[Field] = []
    cores: list[Field] = []
    for side in (-1, 1):
        for turn in np.arange(0.5 + between(rng, 0, 0.3), np.pi - low, between(rng, 0.36, 0.55)):
            direction = np.pi / 2 - side * turn
            place = trunk.wall_point(direction, between(rng, 0.25, 0.45))
            near = trunk.wall_point(direction + 0.05, 0.35)
            far = trunk.wall_point(direction - 0.05, 0.35)
            along = float(np.arctan2(near[1] - far[1], near[0] - far[0]))
            length, thick = between(rng, 0.045, 0.12), between(rng, 0.018, 0.026)
            outlines.append(oval(rng, place, (length, thick), along + between(rng, -0.08, 0.08), 0.04))
            cores.append(oval(rng, place, (length - 0.012, thick * 0.5), along, 0.02))
    if outlines:
        trunk.scene.paint(fill(view, *outlines), trunk.tissue["bone"] * 0.8, "ribs")
        trunk.add(fill(view, *cores, soft=0.5), trunk.tissue["marrow"])


def table(scene: Scene, rng: np.random.Generator, value: float) -> None:
    """The patient table: two thin curved lines below the body, outside it."""
    depth, curve, across = between(rng, 0.68, 0.9), between(rng, 0.0, 0.25), np.linspace(-1, 1, 24)
    reach, thick = between(rng, 0.6, 1.2), between(rng, 0.01, 0.025)
    strokes = []
    for drop in (0.0, between(rng, 0.05, 0.2)):
        path = np.stack([across * reach, depth + drop - curve * (across * reach) ** 2], axis=1)
        strokes.append(Stroke(path.astype(np.float32), thick))
    line, body = lines(scene.view, strokes), scene.mask("body")
    cover = line.cover if body is None else line.cover * ~body[line.window]
    scene.paint(Patch(line.window, cover), value, None, inside=True)


def field_of_view(scene: Scene, rng: np.random.Generator, value: float) -> None:
    """Everything outside the circle of reconstruction becomes the padding value."""
    reach = between(rng, 1.0, 1.25)
    rows, columns = np.ogrid[-1 : 1 : scene.view.shape[0] * 1j, -1 : 1 : scene.view.shape[1] * 1j]
    scene.hide((rows**2 + columns**2 > reach**2).astype(np.float32), value)


def at_level(frames: Frames, level: float) -> Field:
    """Points of an outline between the levels at which it is given, (n, 2)."""
    levels = [frame for frame, _ in frames]
    points = np.asarray([shape for _, shape in frames], np.float32)
    place = float(np.clip(np.interp(level, levels, np.arange(len(levels))), 0, len(levels) - 1))
    low = min(int(place), max(len(levels) - 2, 0))
    share = place - low
    blended: Field = points[low] * (1 - share) + points[min(low + 1, len(levels) - 1)] * share
    return blended
