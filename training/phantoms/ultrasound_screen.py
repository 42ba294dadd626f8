"""What the screen of an ultrasound machine shows around and over a scan: flow, traces, scales, text, menus."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Mask, Pixels
from mmedagent.training.phantoms.documents import write
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import View, blob, fractal, noise, union
from mmedagent.training.phantoms.ultrasound_scan import Box, Look, Probe, speckled

_TINTS = (
    (1.0, 0.86, 0.66), (1.0, 0.78, 0.5), (0.75, 0.86, 1.0), (0.6, 0.75, 1.0), (0.8, 1.0, 0.85), (0.95, 0.9, 0.75),
    (1.0, 0.92, 0.85), (0.85, 0.8, 1.0),
)  # fmt: skip
_TEXTS = (
    "MI 1.2", "TIS 0.4", "TIB 0.6", "Gain 52", "DR 70", "Gn 48%", "Frq 4.0 MHz", "FR 34 Hz", "D 14.0 cm", "2D", "C 50",
    "P Low", "HGen", "Res", "Map 3", "PRF 1.4k", "WF 60", "Col 72%", "12:04:31", "3.5C", "L12-5", "C5-1", "S5-1",
    "Abdomen",
    "Thyroid", "OB", "Echo", "Small Parts", "1 D 2.31 cm", "2 D 1.07 cm", "Freeze", "LT", "RT", "SAG", "TRV", "LONG",
    "88 bpm",
)  # fmt: skip


def tinted(rng: np.random.Generator, grey: Field) -> Field:
    """A grey map in colour, (H, W, 3)."""
    tint = np.asarray(_TINTS[int(rng.integers(len(_TINTS)))], np.float32)
    power = 1 + (1 - tint) * between(rng, 0.3, 1.5)
    values: Field = grey[..., None] ** power * (tint + (1 - tint) * grey[..., None] * between(rng, 0, 1))
    return values


def flow(rng: np.random.Generator, rgb: Field, view: View, probe: Probe, lumen: Mask) -> tuple[Field, Mask]:
    """Colour or power Doppler within a drawn window, in the lumen if there is one; returns the mask of the flow."""
    size = view.shape[0]
    inside = np.argwhere(lumen & probe.seen)
    spot = inside[int(rng.integers(len(inside)))] if len(inside) else np.argwhere(probe.seen).mean(axis=0)
    place = (float(view.x[int(spot[0]), int(spot[1])]), float(view.y[int(spot[0]), int(spot[1])]))
    half = (between(rng, 0.15, 0.6), between(rng, 0.15, 0.5))
    window = (np.abs(view.x - place[0]) < half[0]) & (np.abs(view.y - place[1]) < half[1]) & probe.seen
    if len(inside) and chance(rng, 0.8):
        shape = lumen
    else:
        spread = (between(rng, 0.02, 0.15), between(rng, 0.02, 0.08))
        shape = union([
            blob(view, rng, (place[0] + half[0] * dx, place[1] + half[1] * dy), spread, between(rng, 0, 3.1), lumps=0.3)
            for dx, dy in rng.uniform(-0.8, 0.8, (int(rng.integers(2, 9)), 2))
        ]) > 0.5  # fmt: skip
    moving: Mask = shape & window & (fractal(rng, size, 14, 3) > between(rng, -1.8, -0.2))
    speed = np.clip(0.5 + 0.35 * fractal(rng, size, between(rng, 4, 14), 2), 0, 1)[..., None]
    warm = np.stack([0.45 + 0.55 * speed, 0.85 * speed**1.5, 0.1 * speed], axis=-1)[..., 0, :]
    if chance(rng, 0.25):
        tint = np.stack([0.5 + 0.5 * speed, 0.2 + 0.6 * speed**2, 0.05 + 0.3 * speed**3], axis=-1)[..., 0, :]
    else:
        cold = warm[..., ::-1]
        tint = np.where(fractal(rng, size, 3, 2)[..., None] > between(rng, -0.6, 2.0), cold, warm)
        if chance(rng, 0.3):
            mosaic = (fractal(rng, size, 16, 2) > 1.0)[..., None]
            tint = np.where(mosaic, np.array([0.3, 0.9, 0.5], np.float32), tint)
    rgb = np.where(moving[..., None], tint, rgb)
    edge = window & ~ndimage.binary_erosion(window, iterations=1)
    return (np.where(edge[..., None], np.float32(0.8), rgb) if chance(rng, 0.85) else rgb), moving


def motion(rng: np.random.Generator, column: Field, look: Look, size: int) -> Field:
    """M-mode: one beam over time, its structures moving with the heart; (size, 2 size) grey."""
    depth, time = len(column), np.arange(2 * size, dtype=np.float32)
    beat = np.sin(time * between(rng, 3, 9) * 2 * np.pi / (2 * size) + 0.4 * np.sin(time * 0.05)) ** 3
    sway = np.interp(np.linspace(0, 1, depth), np.linspace(0, 1, 6), rng.normal(0, between(rng, 0.01, 0.06), 6)) * depth
    moved = np.clip(np.arange(depth)[:, None] + sway[:, None] * beat, 0, depth - 1).astype(int)
    return speckled(rng, column[moved], look)


def spectrum(rng: np.random.Generator, size: int) -> Field:
    """Pulsed Doppler: speeds over time about a base line; (size, 2 size) grey."""
    time = np.arange(2 * size, dtype=np.float32) / np.float32(2 * size)
    phase = (time * between(rng, 2, 9) + between(rng, 0, 1)) % 1
    sharp = between(rng, 3, 9)
    wave = np.exp(-((phase - 0.15) ** 2) * sharp * 12) + between(rng, 0, 0.6) * np.exp(-((phase - 0.6) ** 2) * 40)
    top = between(rng, 0.35, 0.9) * (wave + between(rng, 0, 0.4)) / 1.4
    base, sign = between(rng, 0.3, 0.8), float(rng.choice([-1, 1]))
    height = sign * (np.float32(base) - np.linspace(0, 1, size, dtype=np.float32)[:, None])
    reach = np.maximum(top * (base if sign > 0 else 1 - base), 0.01)
    share = height / reach[None]
    hollow = between(rng, 0, 0.9)
    body = (
        np.where((share > 0) & (share < 1), (1 - hollow) + hollow * share**2, 0)
        + np.exp(-((share - 1) ** 2) * 200) * 0.3
    )
    grains = rng.exponential(1, (size, 2 * size)).astype(np.float32)
    values: Field = np.clip(
        between(rng, 0.5, 1.2) * body * np.sqrt(grains) + 0.06 * grains * (rng.random() < 0.5), 0, 1
    )
    values[max(0, int(base * size) - 1) : int(base * size) + 1] = 0.7
    return values.astype(np.float32)


def paste(rgb: Field, strip: Field, box: Box) -> None:
    """Scale a grey strip into the box, in place."""
    size = rgb.shape[0]
    left, top, right, bottom = (round(edge * size) for edge in box)
    if right - left < 4 or bottom - top < 4:
        return
    tile = Image.fromarray(strip).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    rgb[top:bottom, left:right] = np.asarray(tile)[..., None]


class Screen:
    """A pen over the picture with the inks of the machine."""

    def __init__(self, rng: np.random.Generator, image: Pixels) -> None:
        self.rng, self.size = rng, image.shape[0]
        self.picture = Image.fromarray(image)
        self.pen = ImageDraw.Draw(self.picture)
        bright = int(rng.integers(130, 256))
        colours = (
            (bright, bright, bright),
            (bright, bright, 60),
            (90, bright, 90),
            (120, 170, bright),
            (bright, 150, 60),
        )
        self.ink = colours[int(rng.choice(5, p=(0.6, 0.12, 0.08, 0.12, 0.08)))]

    def scale(self) -> None:
        """The bar of grey values, with a colour bar now and then."""
        rng, size = self.rng, self.size
        x, start, length = (
            int(size * float(rng.choice([0.02, 0.95]))),
            between(rng, 0.05, 0.4) * size,
            between(rng, 0.1, 0.4) * size,
        )
        thick, coloured = max(2, size // 40), chance(rng, 0.3)
        for row in range(int(length)):
            share = 1 - row / length
            level = int(255 * share)
            fill = (level, level, level)
            if coloured:
                fill = (255, int(460 * (share - 0.5)), 0) if share > 0.5 else (0, int(400 * (0.5 - share)), 255)
            self.pen.line([(x, start + row), (x + thick, start + row)], fill=fill)

    def ruler(self) -> None:
        """Depth marks down one side."""
        rng, size = self.rng, self.size
        x, pitch = size * float(rng.choice([0.01, 0.03, 0.9, 0.97])), between(rng, 0.03, 0.12) * size
        dots = chance(rng, 0.4)
        for index in range(int(size / pitch)):
            length = 1 if dots else (6 if index % 5 == 0 else 3)
            self.pen.line([(x, index * pitch), (x + length, index * pitch)], fill=self.ink)
            if index % 5 == 0 and chance(rng, 0.5):
                write(self.pen, (x - 0.03 * size, index * pitch), str(index), 0.035 * size, self.ink)

    def electrocardiogram(self) -> None:
        rng, size = self.rng, self.size
        time = np.linspace(0, between(rng, 2, 7), 160)
        phase = time % 1
        wave = np.exp(-((phase - 0.4) ** 2) * 4000) - 0.2 * np.exp(-((phase - 0.46) ** 2) * 3000)
        wave += 0.15 * np.exp(-((phase - 0.25) ** 2) * 400) + 0.25 * np.exp(-((phase - 0.7) ** 2) * 200)
        height = size * (between(rng, 0.85, 0.97) - between(rng, 0.03, 0.1) * wave)
        points = np.stack([np.linspace(0.02, 0.98, 160) * size, height], axis=1).ravel().tolist()
        fill = (60, 230, 80) if chance(rng, 0.7) else (230, 220, 60)
        self.pen.line(points, fill=fill)

    def calipers(self) -> None:
        """Two crosses joined by dots."""
        rng, size = self.rng, self.size
        ends = rng.uniform(0.25, 0.75, (2, 2)) * size
        reach = max(2.0, size * 0.015)
        for x, y in ends.tolist():
            self.pen.line([x - reach, y, x + reach, y], fill=self.ink)
            self.pen.line([x, y - reach, x, y + reach], fill=self.ink)
        for share in np.linspace(0, 1, int(rng.integers(6, 24))):
            x, y = (ends[0] + share * (ends[1] - ends[0])).tolist()
            self.pen.point((x, y), fill=self.ink)

    def texts(self, count: int, area: Box, height: float) -> None:
        """Lines of settings, one below the other."""
        rng, size = self.rng, self.size
        x, y = between(rng, area[0], area[2]) * size, between(rng, area[1], area[3]) * size
        for index in range(count):
            text = _TEXTS[int(rng.integers(len(_TEXTS)))]
            write(self.pen, (x, y + index * 1.25 * height * size), text, height * size, self.ink)

    def menu(self) -> None:
        """A grey panel with buttons along one side."""
        rng, size = self.rng, self.size
        base = int(rng.integers(25, 150))
        wide = between(rng, 0.08, 0.2)
        left = 0.0 if chance(rng, 0.5) else 1 - wide
        if chance(rng, 0.35):
            self.pen.rectangle([0, 0, size, wide * 0.6 * size], fill=(base, base, min(255, base + 15)))
            return
        self.pen.rectangle([left * size, 0, (left + wide) * size, size], fill=(base, base, min(255, base + 15)))
        for index in range(int(rng.integers(3, 12))):
            y = (0.03 + 0.085 * index) * size
            shade = min(255, base + int(rng.integers(-20, 60)))
            self.pen.rectangle(
                [left * size + 2, y, (left + wide) * size - 2, y + 0.06 * size], fill=(shade,) * 3, outline=(0, 0, 0)
            )
            write(self.pen, (left * size + 4, y + 1), _TEXTS[int(rng.integers(len(_TEXTS)))], 0.035 * size, self.ink)

    def marker(self) -> None:
        """The sign that shows which side of the probe is which, and the focus."""
        rng, size = self.rng, self.size
        x, y, reach = between(rng, 0.1, 0.9) * size, between(rng, 0.01, 0.12) * size, 0.015 * size
        if chance(rng, 0.5):
            self.pen.ellipse([x - reach, y - reach, x + reach, y + reach], outline=self.ink)
        else:
            write(self.pen, (x, y), str(rng.choice(["P", "V", "M", "S", "G", "E"])), 0.06 * size, self.ink)


def furnish(rng: np.random.Generator, image: Pixels, amount: float) -> Pixels:
    """Furniture of a machine over an RGB image; `amount` in [0, 1] is how likely each part is."""
    screen = Screen(rng, image)
    if chance(rng, 0.25 * amount):
        screen.menu()
    for part, share in ((screen.scale, 0.6), (screen.ruler, 0.7), (screen.calipers, 0.25), (screen.marker, 0.6)):
        if chance(rng, share * amount):
            part()
    if chance(rng, 0.2 * amount):
        screen.electrocardiogram()
    height = between(rng, 0.025, 0.05)
    for area in ((0, 0, 0.7, 0.03), (0.0, 0.05, 0.02, 0.5), (0.78, 0.02, 0.85, 0.5), (0.02, 0.8, 0.7, 0.94)):
        if chance(rng, 0.6 * amount):
            screen.texts(int(rng.integers(1, 3 if area[2] > 0.6 and area[0] < 0.1 else 8)), area, height)
    return np.asarray(screen.picture)


def film(rng: np.random.Generator, grey: Field) -> Field:
    """Loss of an old or copied picture: video lines, blur, uneven print."""
    size = grey.shape[0]
    if chance(rng, 0.5):
        grey = ndimage.gaussian_filter(grey, between(rng, 0.4, 1.1))
    if chance(rng, 0.3):
        grey = grey * (1 - between(rng, 0.05, 0.2) * (np.arange(size) % 2)[:, None])
    uneven: Field = grey * np.clip(1 + 0.15 * noise(rng, size, 2), 0, 2)
    return uneven
