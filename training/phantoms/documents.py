"""Drawn images that are not medical: charts, pages of text, screens, diagrams, boards, codes, plain colour.

Every function takes a generator and a size, and returns colours of [0, 1] as float32 (size, size, 3).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.textures import mixed, tone

Ink = tuple[int, int, int]
_LETTERS = list("etaoinshrdlucmfwygpbvkETAOINSHRDLCM0123456789")


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def ink(values: Field) -> Ink:
    """A colour (3,) of [0, 1] as PIL takes it."""
    red, green, blue = (int(value) for value in np.clip(values, 0, 1) * 255)
    return red, green, blue


def word(rng: np.random.Generator, longest: int = 10) -> str:
    """Random letters and digits."""
    return "".join(_LETTERS[index] for index in rng.integers(0, len(_LETTERS), int(rng.integers(1, longest + 1))))


def write(pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, height: float, fill: Ink) -> None:
    """Text whose letters are about `height` pixels tall."""
    pen.text(place, text, fill=fill, font=_font(max(6, round(height))))


class Sheet:
    """A page with a theme: paper, ink and a few colours; positions are shares of the side."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        dark = chance(rng, 0.3)
        self.paper = ink(np.full(3, between(rng, 0.0, 0.2) if dark else between(rng, 0.85, 1.0)) * self._cast())
        self.ink = ink(np.full(3, between(rng, 0.7, 1.0) if dark else between(rng, 0.0, 0.35)))
        self.colours: Sequence[Ink] = [ink(tone(rng, saturation=between(rng, 0.3, 1))) for _ in range(6)]
        if chance(rng, 0.3):
            self.colours = [ink(np.full(3, between(rng, 0, 1))) for _ in range(6)]
        self.picture = Image.new("RGB", (size, size), self.paper)
        self.pen = ImageDraw.Draw(self.picture)
        self.stroke = max(1, round(size * between(rng, 0.003, 0.012)))

    def _cast(self) -> Field:
        return 1 - 0.12 * self.rng.random(3) if chance(self.rng, 0.4) else np.ones(3)

    def at(self, points: Field) -> list[float]:
        """(n, 2) shares of the side as a flat list of pixels."""
        flat: list[float] = (np.asarray(points) * self.size).ravel().tolist()
        return flat

    def text(self, x: float, y: float, height: float, longest: int = 10) -> None:
        write(self.pen, (x * self.size, y * self.size), word(self.rng, longest), height * self.size, self.ink)

    def values(self) -> Field:
        return np.asarray(self.picture, np.float32) / np.float32(255)


def _axes(sheet: Sheet) -> tuple[float, float, float, float]:
    """Axes with ticks, labels, a title and perhaps a grid; returns the plot's left, top, right, bottom."""
    rng, pen = sheet.rng, sheet.pen
    left, top, right, bottom = between(rng, 0.06, 0.2), between(rng, 0.05, 0.15), between(rng, 0.85, 0.97), 0.86
    ticks, gridded = int(rng.integers(3, 9)), chance(rng, 0.5)
    faint = ink((np.array(sheet.paper) * 3 + np.array(sheet.ink)) / 4 / 255)
    for share in np.linspace(0, 1, ticks):
        x, y = left + share * (right - left), bottom - share * (bottom - top)
        if gridded:
            pen.line(sheet.at(np.array([[x, top], [x, bottom], [x, bottom]])), fill=faint)
            pen.line(sheet.at(np.array([[left, y], [right, y]])), fill=faint)
        sheet.text(x - 0.02, bottom + 0.015, 0.035, 3)
        sheet.text(0.01, y - 0.02, 0.035, 3)
    if chance(rng, 0.6):
        pen.rectangle(sheet.at(np.array([[left, top], [right, bottom]])), outline=sheet.ink)
    else:
        pen.line(sheet.at(np.array([[left, top], [left, bottom], [right, bottom]])), fill=sheet.ink, width=2)
    sheet.text(between(rng, 0.2, 0.5), 0.0, between(rng, 0.04, 0.07), 18)
    sheet.text(0.4, 0.93, 0.045, 12)
    return left, top, right, bottom


def line_chart(rng: np.random.Generator, size: int) -> Field:
    """Curves, points, bars or filled areas on axes, with a legend."""
    sheet = Sheet(rng, size)
    left, top, right, bottom = _axes(sheet)
    for index in range(int(rng.integers(1, 5))):
        count = int(rng.integers(4, 60))
        walk = np.cumsum(rng.normal(0, 1, count)) if chance(rng, 0.6) else rng.normal(0, 1, count)
        walk = (walk - walk.min()) / (np.ptp(walk) + 1e-6) * between(rng, 0.3, 1)
        points = np.stack([np.linspace(left, right, count), bottom - walk * (bottom - top)], axis=1)
        fill = sheet.colours[index]
        if chance(rng, 0.7):
            sheet.pen.line(sheet.at(points), fill=fill, width=sheet.stroke)
        if chance(rng, 0.4):
            for x, y in points * size:
                reach = size * 0.008
                sheet.pen.ellipse([x - reach, y - reach, x + reach, y + reach], fill=fill)
        if chance(rng, 0.6):
            y = top + 0.03 + index * 0.05
            sheet.pen.line(sheet.at(np.array([[right - 0.25, y], [right - 0.17, y]])), fill=fill, width=sheet.stroke)
            sheet.text(right - 0.15, y - 0.02, 0.035)
    return sheet.values()


def bar_chart(rng: np.random.Generator, size: int) -> Field:
    """Upright or lying bars, single, grouped or stacked."""
    sheet = Sheet(rng, size)
    left, top, right, bottom = _axes(sheet)
    count, groups, lying = int(rng.integers(3, 16)), int(rng.integers(1, 4)), chance(rng, 0.3)
    for index in range(count * groups):
        begin = index / (count * groups) + 0.15 / count
        end = (index + 0.8) / (count * groups) + 0.1 / count
        reach = between(rng, 0.05, 1)
        if lying:
            corners = [
                [left, top + begin * (bottom - top)],
                [left + reach * (right - left), top + end * (bottom - top)],
            ]
        else:
            corners = [
                [left + begin * (right - left), bottom - reach * (bottom - top)],
                [left + end * (right - left), bottom],
            ]
        sheet.pen.rectangle(sheet.at(np.clip(corners, 0, 1)), fill=sheet.colours[index % groups])
    return sheet.values()


def scatter_chart(rng: np.random.Generator, size: int) -> Field:
    """A cloud of points with axes, or the points of several groups."""
    sheet = Sheet(rng, size)
    left, top, right, bottom = _axes(sheet)
    for index in range(int(rng.integers(1, 5))):
        middle, spread = rng.uniform(0.2, 0.8, 2), between(rng, 0.03, 0.2)
        cloud = np.clip(middle + rng.normal(0, spread, (int(rng.integers(10, 90)), 2)), 0, 1)
        reach = size * between(rng, 0.004, 0.014)
        for x, y in (np.array([left, top]) + cloud * np.array([right - left, bottom - top])) * size:
            sheet.pen.ellipse([x - reach, y - reach, x + reach, y + reach], fill=sheet.colours[index])
    return sheet.values()


def pie_chart(rng: np.random.Generator, size: int) -> Field:
    """A pie or a ring with labels."""
    sheet = Sheet(rng, size)
    reach = between(rng, 0.25, 0.42)
    box = sheet.at(np.array([[0.5 - reach, 0.52 - reach], [0.5 + reach, 0.52 + reach]]))
    cuts = np.concatenate([[0], np.sort(rng.uniform(0, 360, int(rng.integers(2, 6)))), [360]])
    for index, (start, end) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        sheet.pen.pieslice(box, start, end, fill=sheet.colours[index % 6], outline=sheet.paper)
        turn = np.deg2rad((start + end) / 2)
        sheet.text(0.46 + 0.9 * reach * float(np.cos(turn)), 0.5 + 0.9 * reach * float(np.sin(turn)), 0.045, 6)
    if chance(rng, 0.4):
        hole = reach * between(rng, 0.3, 0.7)
        inner = sheet.at(np.array([[0.5 - hole, 0.52 - hole], [0.5 + hole, 0.52 + hole]]))
        sheet.pen.ellipse(inner, fill=sheet.paper)
    sheet.text(0.2, 0.01, 0.06, 18)
    return sheet.values()


def heat_map(rng: np.random.Generator, size: int) -> Field:
    """A matrix in colours with its scale, as plots of data show it."""
    sheet = Sheet(rng, size)
    rows, columns = rng.integers(3, 24, 2)
    table = rng.random((int(rows), int(columns))).astype(np.float32)
    scale = np.repeat(np.linspace(1, 0, 32, dtype=np.float32)[:, None], 2, axis=1)
    colours = mixed(rng, np.concatenate([table.ravel(), scale.ravel()])[None])[0]
    method = Image.Resampling.NEAREST if chance(rng, 0.6) else Image.Resampling.BICUBIC
    left, top, right, bottom = _axes(sheet)
    for part, shape, x1, x2 in (
        (colours[: table.size], table.shape, left, right - 0.12),
        (colours[table.size :], scale.shape, right - 0.08, right - 0.04),
    ):
        tile = Image.fromarray((np.clip(part.reshape(*shape, 3), 0, 1) * 255).astype(np.uint8))
        tile = tile.resize((max(1, round((x2 - x1) * size)), round((bottom - top) * size)), method)
        sheet.picture.paste(tile, (round(x1 * size), round(top * size)))
    return sheet.values()


def page(rng: np.random.Generator, size: int) -> Field:
    """A printed page: headings, one or two columns of text, perhaps a table or a picture box."""
    sheet = Sheet(rng, size)
    height, columns = between(rng, 0.025, 0.1), int(rng.integers(1, 3))
    y, gap, ragged = between(rng, 0.0, 0.08), between(rng, 1.15, 1.9), between(rng, 0, 0.3)
    if chance(rng, 0.5):
        sheet.text(between(rng, 0.03, 0.3), y, 1.7 * height, 14)
        y += 2.6 * height
    while y < 0.97:
        for column in range(columns):
            x, end = 0.03 + column * 0.5, (column + 1) / columns - 0.03
            if chance(rng, 0.1):
                end -= between(rng, 0.1, 0.6) * (end - x)
            letters = int((end - x - ragged * rng.random() * 0.2) / (0.5 * height))
            line = " ".join(word(rng) for _ in range(max(1, letters // 6)))[: max(1, letters)]
            write(sheet.pen, (x * size, y * size), line, height * size, sheet.ink)
        y += gap * height * (1.8 if chance(rng, 0.1) else 1)
    if chance(rng, 0.25):
        left, top = between(rng, 0, 0.6), between(rng, 0, 0.6)
        box = sheet.at(np.array([[left, top], [left + between(rng, 0.2, 0.4), top + between(rng, 0.15, 0.4)]]))
        sheet.pen.rectangle(box, fill=sheet.colours[0], outline=sheet.ink)
    return sheet.values()


def screen(rng: np.random.Generator, size: int) -> Field:
    """A screenshot: bars, panels, buttons, lists, fields of text."""
    sheet = Sheet(rng, size)
    bar, side = between(rng, 0.05, 0.12), between(rng, 0.0, 0.3)
    sheet.pen.rectangle(sheet.at(np.array([[0, 0], [1, bar]])), fill=sheet.colours[0])
    sheet.pen.rectangle(sheet.at(np.array([[0, bar], [side, 1]])), fill=sheet.colours[1])
    for index in range(int(rng.integers(3, 8))):
        sheet.text(0.02 + 0.14 * index, bar * 0.2, 0.035, 6)
    for index in range(int(rng.integers(3, 12))):
        sheet.text(0.01, bar + 0.03 + index * between(rng, 0.06, 0.075), 0.035, max(1, int(side * 30)))
    for _ in range(int(rng.integers(2, 9))):
        x, y = between(rng, side, 0.8), between(rng, bar, 0.9)
        corner = [min(0.99, x + between(rng, 0.08, 0.6)), min(0.99, y + between(rng, 0.05, 0.4))]
        fill = sheet.colours[int(rng.integers(2, 6))] if chance(rng, 0.5) else sheet.paper
        radius = size * between(rng, 0, 0.03)
        sheet.pen.rounded_rectangle(sheet.at(np.array([[x, y], corner])), radius, fill=fill, outline=sheet.ink)
        for line in range(int(rng.integers(0, 4))):
            sheet.text(x + 0.01, y + 0.01 + 0.05 * line, 0.035, 16)
    return sheet.values()


def diagram(rng: np.random.Generator, size: int) -> Field:
    """Boxes and arrows, or a graph of dots and lines."""
    sheet = Sheet(rng, size)
    places = rng.uniform(0.08, 0.92, (int(rng.integers(3, 12)), 2))
    for _ in range(len(places) + 3):
        first, second = places[rng.integers(0, len(places), 2)]
        bend = np.array([first, [first[0], second[1]], second]) if chance(rng, 0.5) else np.array([first, second])
        sheet.pen.line(sheet.at(bend), fill=sheet.ink, width=sheet.stroke)
    round_ones = chance(rng, 0.4)
    for index, place in enumerate(places):
        half = np.array([between(rng, 0.04, 0.14), between(rng, 0.03, 0.08)])
        box = sheet.at(np.clip(np.array([place - half, place + half]), 0, 1))
        fill = sheet.colours[index % 6] if chance(rng, 0.6) else sheet.paper
        draw = sheet.pen.ellipse if round_ones else sheet.pen.rectangle
        draw(box, fill=fill, outline=sheet.ink)
        sheet.text(float(place[0] - half[0]) + 0.01, float(place[1]) - 0.02, 0.04, 7)
    return sheet.values()


def board(rng: np.random.Generator, size: int) -> Field:
    """A chequered board, stripes, rings, or the black and white squares of a code."""
    sheet, style = Sheet(rng, size), int(rng.integers(4))
    count = int(rng.integers(2, 14)) if style == 0 else int(rng.integers(17, 42))
    rows, columns = np.mgrid[0:count, 0:count]
    if style == 0:
        cells = (rows + columns) % 2
    elif style == 1:
        cells = (rows if chance(rng, 0.5) else columns) * int(rng.integers(1, 4)) % int(rng.integers(2, 5)) > 0
    elif style == 2:
        cells = np.hypot(rows - count / 2, columns - count / 2) / between(rng, 1.5, 4) % 2 < 1
    else:
        cells = rng.random((count, count)) < 0.5
        for top, left in ((0, 0), (0, count - 7), (count - 7, 0)):
            ring = np.maximum(np.abs(np.arange(7) - 3)[:, None], np.abs(np.arange(7) - 3))
            cells[top : top + 7, left : left + 7] = ring != 2
    pair = np.array([sheet.paper, sheet.ink if chance(rng, 0.7) else sheet.colours[0]], np.uint8)
    margin = round(size * between(rng, 0, 0.12)) if style == 3 else 0
    tile = Image.fromarray(pair[cells.astype(int)]).resize((size - 2 * margin,) * 2, Image.Resampling.NEAREST)
    sheet.picture.paste(tile, (margin, margin))
    return sheet.values()


def plain(rng: np.random.Generator, size: int) -> Field:
    """One colour, or a slow change between two."""
    angle = between(rng, 0, 2 * np.pi)
    rows, columns = np.meshgrid(*[np.linspace(-0.5, 0.5, size, dtype=np.float32)] * 2, indexing="ij")
    slope = between(rng, 0, 1) if chance(rng, 0.6) else 0.0
    share = np.cos(angle) * columns + np.sin(angle) * rows if chance(rng, 0.7) else np.hypot(rows, columns)
    return mixed(rng, 0.5 + slope * share)
