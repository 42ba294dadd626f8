"""Clinical photographs: gross specimens on a board or a cloth, cut open or whole, and skin with a spot.

Every colour is drawn from what such photographs show: flesh from pale pink to brown, fat yellow, blood dark red;
boards blue, green, white or black.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Phantom
from mmedagent.training.phantoms.documents import write
from mmedagent.training.phantoms.finish import between, chance, colour, compress
from mmedagent.training.phantoms.shapes import (
    Point,
    Scene,
    Stroke,
    blob,
    curves,
    fractal,
    grain,
    make_view,
    noise,
    resize,
    union,
)
from mmedagent.training.phantoms.textures import grid, lit

_FLESH = (
    (0.62, 0.25, 0.2),
    (0.72, 0.42, 0.35),
    (0.45, 0.2, 0.15),
    (0.78, 0.6, 0.5),
    (0.5, 0.34, 0.26),
    (0.68, 0.5, 0.45),
)
_FAT = (0.86, 0.72, 0.4)
_BLOOD = (0.3, 0.05, 0.05)
_BOARDS = (
    (0.12, 0.3, 0.6),
    (0.2, 0.45, 0.72),
    (0.1, 0.4, 0.35),
    (0.55, 0.7, 0.75),
    (0.88, 0.88, 0.86),
    (0.05, 0.05, 0.06),
)
_SKINS = (
    (0.9, 0.72, 0.62),
    (0.85, 0.62, 0.5),
    (0.75, 0.53, 0.4),
    (0.6, 0.4, 0.28),
    (0.4, 0.26, 0.18),
    (0.92, 0.78, 0.72),
)


_PIGMENTS = (
    (0.35, 0.2, 0.13), (0.2, 0.12, 0.1), (0.5, 0.3, 0.2), (0.15, 0.12, 0.14), (0.7, 0.25, 0.22), (0.75, 0.35, 0.33),
)  # fmt: skip


class _Picture:
    """A scene whose colours are kept beside its masks."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.scene = Scene(make_view(rng, size, (0, 0), (1, 1), tilt=1.0, warp=0.05), 0.0)
        self.rgb: Field = np.zeros((size, size, 3), np.float32)

    def paint(self, shape: Field, tint: Field, name: str | None = None, inside: bool = True) -> None:
        """Blend a colour (3,) or picture (H, W, 3) in, and add the shape to the mask of `name`."""
        self.rgb = self.rgb + shape[..., None] * (tint - self.rgb)
        if name is not None:
            self.scene.paint(shape, 0.0, name, inside=inside)

    def near(self, choice: tuple[tuple[float, ...], ...]) -> Field:
        """One of the colours, a little lighter or darker and a little off in hue."""
        picked = np.asarray(choice[int(self.rng.integers(len(choice)))], np.float32)
        change = np.exp(self.rng.normal(0, 0.15) + self.rng.normal(0, 0.06, 3))
        jittered: Field = np.clip(picked * change, 0, 1).astype(np.float32)
        return jittered

    def marbled(self, first: Field, second: Field, cells: float, amount: float) -> Field:
        """Two colours mixed by noise, (H, W, 3)."""
        share = np.clip(0.5 + amount * fractal(self.rng, self.size, cells, 4, 0.7), 0, 1)[..., None]
        mix: Field = first + share * (second - first)
        return mix


def _board(picture: _Picture) -> None:
    rng, size = picture.rng, picture.size
    base = picture.near(_BOARDS)
    picture.rgb = np.broadcast_to(base, (size, size, 3)).astype(np.float32)
    if chance(rng, 0.4):
        rows, columns = grid(size)
        pitch = between(rng, 60, 300)
        weave = 0.03 * (np.sin(pitch * rows) + np.sin(pitch * columns)) + 0.06 * fractal(rng, size, 3, 4, 0.6)
        picture.rgb = picture.rgb * (1 + weave)[..., None]
    if chance(rng, 0.3):
        stain = np.clip(fractal(rng, size, 3, 4) - between(rng, 0.8, 1.6), 0, 1)
        picture.paint(stain * 0.6, np.asarray(_BLOOD, np.float32))
    if chance(rng, 0.3):
        picture.rgb = picture.rgb * np.clip(1 + 0.3 * noise(rng, size, 2), 0.3, 1.5)[..., None]


def _ruler(picture: _Picture) -> None:
    """A scale along one side, with a label now and then."""
    rng, size = picture.rng, picture.size
    drawn = Image.fromarray(colour(picture.rgb))
    pen = ImageDraw.Draw(drawn)
    upright, place, thick = chance(rng, 0.3), between(rng, 0.02, 0.9) * size, between(rng, 0.04, 0.1) * size
    back, mark = ((235, 235, 230), (20, 20, 20)) if chance(rng, 0.7) else ((20, 20, 20), (240, 240, 240))
    start, end = between(rng, 0, 0.3) * size, between(rng, 0.6, 1) * size
    box = (place, start, place + thick, end) if upright else (start, place, end, place + thick)
    pen.rectangle(box, fill=back)
    pitch = between(rng, 0.01, 0.03) * size
    for index, step in enumerate(np.arange(start, end, pitch)):
        long = thick * (0.6 if index % 10 == 0 else 0.4 if index % 5 == 0 else 0.25)
        pen.line((place, step, place + long, step) if upright else (step, place, step, place + long), fill=mark)
        if index % 10 == 0:
            write(
                pen,
                (place + long, step) if upright else (step + 1, place + long * 0.7),
                str(index // 10),
                thick * 0.4,
                mark,
            )
    if chance(rng, 0.3):
        x, y = between(rng, 0, 0.7) * size, between(rng, 0.0, 0.85) * size
        pen.rectangle((x, y, x + 0.25 * size, y + 0.1 * size), fill=back)
        write(pen, (x + 3, y + 2), f"{rng.integers(10, 99)}-{rng.integers(100, 9999)}", 0.06 * size, mark)
    picture.rgb = np.asarray(drawn, np.float32) / np.float32(255)


def _flesh(picture: _Picture, cut: bool) -> Field:
    """Colours of a specimen: a lumpy wet surface, or a cut face."""
    rng, size = picture.rng, picture.size
    first, second = picture.near(_FLESH), picture.near(_FLESH)
    if chance(rng, 0.35):
        second = picture.near((_FAT,))
    surface = picture.marbled(first, second, between(rng, 2, 12), between(rng, 0.15, 0.6))
    surface = surface * (1 + 0.08 * fractal(rng, size, 30, 3, 0.9))[..., None]
    relief = fractal(rng, size, between(rng, 3, 14), 4, between(rng, 0.4, 0.7))
    shade = lit(rng, relief, between(rng, 0.02, 0.1) if cut else between(rng, 0.1, 0.35))
    surface = surface * shade[..., None]
    wet = np.clip((shade - between(rng, 1.25, 1.6)) * 3, 0, 1) * between(rng, 0, 1)
    moist: Field = surface + wet[..., None] * (1 - surface)
    return moist


def _lesions(picture: _Picture, body: Field, middle: Point, reach: float) -> None:
    """One or a few pale, yellow, brown or bloody nodules within the specimen, with necrosis or a rim."""
    rng, size = picture.rng, picture.size
    shapes = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
        place = (middle[0] + reach * between(rng, -0.4, 0.4), middle[1] + reach * between(rng, -0.4, 0.4))
        longest = reach * between(rng, 0.15, 0.45)
        radii = (longest, longest * between(rng, 0.6, 1))
        shapes.append(blob(picture.scene.view, rng, place, radii, between(rng, 0, 3.1), between(rng, 0.03, 0.2), 2.5))
    shape = union(shapes) * (body > 0.5)
    tones = ((0.9, 0.85, 0.75), (0.85, 0.75, 0.5), (0.35, 0.12, 0.1), (0.95, 0.92, 0.85), (0.15, 0.1, 0.1))
    pale, patch = picture.near(tones), picture.near((*_FLESH, _BLOOD, _FAT))
    face = picture.marbled(pale, patch, between(rng, 4, 14), between(rng, 0.1, 0.4))
    halo = ndimage.gaussian_filter(shape, size * 0.015)
    picture.paint(np.clip(halo - shape, 0, 1) * between(rng, 0, 1), picture.near((_BLOOD, *_FLESH)))
    picture.paint(shape * between(rng, 0.75, 1), face * (1 + 0.06 * grain(rng, size, 2))[..., None])
    picture.scene.paint(shape, 0.0, "lesion", inside=True)


def _specimen(picture: _Picture) -> None:
    """An organ or a piece of one, whole or cut, alone or in slices."""
    rng, size = picture.rng, picture.size
    _board(picture)
    ruled = chance(rng, 0.5)
    if ruled:
        _ruler(picture)
    pieces, cut = int(rng.choice([1, 1, 1, 2, 3])), chance(rng, 0.5)
    reach = between(rng, 0.45, 1.3) / pieces**0.6
    surface = _flesh(picture, cut)
    for index in range(pieces):
        offset = (index - (pieces - 1) / 2) * 1.7 / pieces
        middle = (offset + between(rng, -0.1, 0.1), between(rng, -0.15, 0.15))
        radii, angle = (reach * between(rng, 0.6, 1), reach * between(rng, 0.3, 1)), between(rng, 0, 3.1)
        lumps = between(rng, 0.03, 0.16)
        body = blob(picture.scene.view, rng, middle, radii, angle, lumps, edge=2)
        drop = ndimage.shift(body[::4, ::4], rng.normal(0, size * 0.004, 2), order=0, mode="nearest")
        drop = resize(ndimage.gaussian_filter(drop, size * 0.005), (size, size), smooth=False)
        picture.rgb = picture.rgb * (1 - between(rng, 0.2, 0.7) * drop)[..., None]
        deep = resize(ndimage.gaussian_filter(body[::2, ::2], size * 0.01), (size, size), smooth=False)
        picture.paint(body, surface * np.clip(0.2 + 0.9 * deep, 0, 1)[..., None], "specimen")
        if cut and chance(rng, 0.7):
            rim = np.clip(body * 1.3 - deep, 0, 1) * (body > 0.5)
            picture.paint(rim * between(rng, 0.3, 1.0), picture.near((_FAT, _BLOOD, *_FLESH)))
        if chance(rng, 0.55):
            _lesions(picture, body, middle, min(radii))


def _hairs(picture: _Picture) -> None:
    rng = picture.rng
    strokes = []
    for _ in range(int(rng.integers(2, 40))):
        start, turn = rng.uniform(-1.1, 1.1, 2), between(rng, 0, 6.3)
        turns = turn + between(rng, -0.1, 0.1) * np.arange(12)
        path = start + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1) * between(rng, 0.02, 0.1), axis=0)
        strokes.append(Stroke(path.astype(np.float32), between(rng, 0.006, 0.02), between(rng, 0.5, 1)))
    picture.paint(
        curves(picture.scene.view, strokes) * between(rng, 0.4, 0.95),
        picture.near(((0.1, 0.07, 0.05), (0.4, 0.28, 0.15))),
    )


def _spot(picture: _Picture, base: Field, body: Field) -> None:
    """Pigmented or red lesions: a mole, a melanoma-like patch of several browns, a scaly red plaque, a rash."""
    rng, size, view = picture.rng, picture.size, picture.scene.view
    lumps, edge = between(rng, 0.02, 0.25), float(np.exp(rng.uniform(0.7, 3)))
    shapes = []
    count = 1 if chance(rng, 0.8) else int(rng.integers(3, 25))
    for _ in range(count):
        place = (rng.uniform(-0.3, 0.3, 2) if count == 1 else rng.uniform(-0.9, 0.9, 2)).tolist()
        longest = between(rng, 0.12, 0.7) / count**0.6
        radii = (longest, longest * between(rng, 0.6, 1))
        shapes.append(blob(view, rng, (place[0], place[1]), radii, between(rng, 0, 3.1), lumps, edge))
    shape = union(shapes) * body
    darkest = base * np.array([0.8, 0.5, 0.5], np.float32)
    first, second = (np.minimum(picture.near(_PIGMENTS), darkest) for _ in range(2))
    face = picture.marbled(first, second, between(rng, 3, 20), between(rng, 0.1, 0.7))
    if chance(rng, 0.3):
        net = np.abs(noise(rng, size, between(rng, 25, 60))) < 0.25
        face = face * (1 - 0.3 * net)[..., None]
    picture.paint(shape * between(rng, 0.7, 1), face)
    picture.scene.paint(shape, 0.0, "skin lesion", inside=True)
    if chance(rng, 0.3):
        crust = np.clip(fractal(rng, size, 12, 3, 0.8) - 0.8, 0, 1) * shape
        picture.paint(crust * 0.8, np.array([0.95, 0.9, 0.8], np.float32))


def _skin(picture: _Picture) -> None:
    """Skin filling the picture, or a limb before a cloth; with a spot in most, hairs, a lens ring or a ruler."""
    rng, size, view = picture.rng, picture.size, picture.scene.view
    base = picture.near(_SKINS)
    creases = noise(rng, size, between(rng, 20, 90), stretch=float(np.exp(rng.normal(0, 0.8))))
    surface = picture.marbled(base, base * np.array([1.0, 0.85, 0.82], np.float32), between(rng, 2, 8), 0.3)
    surface = surface * lit(rng, 0.3 * creases + fractal(rng, size, 20, 3, 0.8), between(rng, 0.01, 0.07))[..., None]
    _board(picture)
    body = np.ones((size, size), np.float32)
    if chance(rng, 0.25):
        body = blob(view, rng, (0, 0), (2.2, between(rng, 0.5, 0.9)), 0.0, 0.05, edge=3)
        surface = surface * np.clip(1.1 - 0.5 * (view.y / 0.9) ** 2, 0.3, 1.1)[..., None]
    picture.paint(body, surface, "skin")
    if chance(rng, 0.75):
        _spot(picture, base, body)
    if chance(rng, 0.5):
        _hairs(picture)
    if chance(rng, 0.25):
        _ruler(picture)
    if chance(rng, 0.2):
        rows, columns = grid(size)
        ring = np.clip((between(rng, 0.45, 0.6) - np.hypot(rows - 0.5, columns - 0.5)) * size / 6, 0, 1)
        picture.rgb = picture.rgb * ring[..., None]


def _taken(rng: np.random.Generator, rgb: Field) -> Field:
    """What the camera adds: a cast, uneven light, blur, noise."""
    rgb = rgb * np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    rgb = rgb * np.clip(1 + between(rng, 0, 0.15) * noise(rng, rgb.shape[0], 2), 0.4, 1.5)[..., None]
    if chance(rng, 0.4):
        rgb = ndimage.gaussian_filter(rgb, (between(rng, 0.4, 1.2),) * 2 + (0,), truncate=2.5)
    rgb = np.clip(rgb, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    return rgb + np.float32(rng.exponential(0.012)) * grain(rng, rgb.shape[0], between(rng, 1, 2))[..., None]


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One clinical photograph; anatomy is "specimen" or "skin"."""
    picture = _Picture(rng, size)
    anatomy = "specimen" if chance(rng, 0.55) else "skin"
    if anatomy == "specimen":
        _specimen(picture)
    else:
        _skin(picture)
    image = compress(rng, colour(_taken(rng, picture.rgb)))
    masks = picture.scene.masks()
    found = tuple(name for name in ("lesion", "skin lesion") if name in masks)
    return Phantom(image, "photograph", anatomy, masks, found)
