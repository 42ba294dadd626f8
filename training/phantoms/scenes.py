"""Photographs of things that are not medical: piles of objects, views of land and sky, discs, heads, silhouettes.

Every function takes a generator and a size, and returns colours of about [0, 1] as float32 (size, size, 3). The
statistics of natural images follow the dead-leaves model (Lee, Mumford and Huang, 2001): objects of all sizes that
hide each other.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.documents import write
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import blob, fractal, grain, make_view, noise, union
from mmedagent.training.phantoms.textures import blades, clouds, grid, lit, mixed, natural_hue, rough, tone, wood


def over(ground: Field, shape: Field, paint: Field) -> Field:
    """Blend a colour (3,) or picture (H, W, 3) in by a coverage (H, W)."""
    result: Field = ground + shape[..., None] * (paint - ground)
    return result


def _outline(rng: np.random.Generator, place: Field, reach: float, shape: int) -> list[float]:
    """A polygon about a place: a disc, a box, a sliver or a jagged shape."""
    if shape == 1:
        turns, radii = np.array([0.25, 0.75, 1.25, 1.75]) * np.pi, np.full(4, reach)
    else:
        count = 24 if shape == 0 else int(rng.integers(3, 9))
        turns = np.sort(rng.uniform(0, 2 * np.pi, count)) if shape else np.linspace(0, 2 * np.pi, count)
        radii = reach * (rng.uniform(0.4, 1, count) if shape else np.ones(count))
    points = np.stack([np.cos(turns), np.sin(turns)], axis=1) * radii[:, None] * np.array([1, between(rng, 0.3, 1)])
    tilt = between(rng, 0, np.pi)
    turned = points @ np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    flat: list[float] = (turned + place).ravel().tolist()
    return flat


def leaves(rng: np.random.Generator, size: int) -> Field:
    """Dead leaves: objects of all sizes over each other, each with its own colour, shading and texture."""
    count, least = int(rng.integers(20, 255)), size * between(rng, 0.01, 0.06)
    picture = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(picture)
    reach = np.minimum(least / np.sqrt(rng.random(count) + 1e-3), size * between(rng, 0.2, 0.6))
    shapes = rng.integers(0, 4, count) if chance(rng, 0.5) else np.full(count, int(rng.integers(0, 4)))
    for index, place in enumerate(rng.uniform(0, size, (count, 2))):
        pen.polygon(_outline(rng, place, float(reach[index]), int(shapes[index])), fill=index + 1)
    labels = np.asarray(picture)
    hue, spread = natural_hue(rng), float(rng.choice([0.03, 0.15, 1.0]))
    palette = np.stack([tone(rng, hue + spread * float(rng.normal())) for _ in range(256)])
    rows, columns = grid(size)
    slopes = rng.normal(0, between(rng, 0, 0.6), (2, 256)).astype(np.float32)
    texture = np.float32(between(rng, 0, 0.25)) * rng.random(256).astype(np.float32)
    shade = 1 + slopes[0][labels] * (rows - 0.5) + slopes[1][labels] * (columns - 0.5)
    shade = shade + texture[labels] * fractal(rng, size, between(rng, 6, 40), 3, 0.8)
    values = palette[labels] * np.clip(shade, 0.1, 2)[..., None]
    return values if chance(rng, 0.6) else ndimage.gaussian_filter(values, (between(rng, 0.5, 2.5),) * 2 + (0,))


def land(rng: np.random.Generator, size: int) -> Field:
    """Sky, ridges one behind the other, ground or water; houses or trees on the horizon."""
    rows, columns = grid(size)
    sky = mixed(rng, rows + between(rng, 0, 0.6) * np.clip(fractal(rng, size, 3, 5, 0.6), 0, 2))
    if chance(rng, 0.3):
        sun = np.hypot(rows - between(rng, 0.1, 0.4), columns - between(rng, 0.1, 0.9))
        sky = over(sky, np.clip(between(rng, 0.03, 0.1) / (sun + 1e-3) - 0.4, 0, 1), np.ones(3, np.float32))
    values, level = sky, between(rng, 0.25, 0.7)
    hue = natural_hue(rng)
    for depth in range(int(rng.integers(1, 5))):
        ridge = level + between(rng, 0.0, 0.12) * fractal(rng, size, between(rng, 2, 9), 5, 0.55)[0]
        ground = tone(rng, hue) * np.clip(1 + 0.2 * fractal(rng, size, 10, 4, 0.8), 0, 2)[..., None]
        values = over(values, (rows > ridge[None]).astype(np.float32), ground)
        level += between(rng, 0.05, 0.2) * (1 - 0.1 * depth)
    return _built(rng, values, level) if chance(rng, 0.5) else values


def _built(rng: np.random.Generator, values: Field, level: float) -> Field:
    """Houses with windows, masts or trunks standing on the ground."""
    size = values.shape[0]
    picture = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 9))):
        x, foot, width = between(rng, 0, 1), level + between(rng, -0.2, 0.2), between(rng, 0.01, 0.25)
        top = foot - between(rng, 0.1, 0.6)
        wall, pane = ((255 * tone(rng)).astype(int).tolist() for _ in range(2))
        pen.rectangle([x * size, top * size, (x + width) * size, max(foot, top) * size], fill=tuple(wall))
        across, down = int(rng.integers(1, 6)), int(rng.integers(1, 8))
        if width < 0.06:
            continue
        for i in range(across * down):
            left = x + width * (0.1 + (i % across) * 0.9 / across)
            up = top + (foot - top) * (0.08 + (i // across) * 0.9 / down)
            end = (left + width * 0.5 / across, up + (foot - top) * 0.5 / down)
            pen.rectangle([left * size, up * size, end[0] * size, end[1] * size], fill=tuple(pane))
    return np.asarray(picture, np.float32) / np.float32(255)


def backdrop(rng: np.random.Generator, size: int) -> Field:
    """What lies behind an object: out of focus, a table, a wall, or black."""
    style = rng.random()
    if style < 0.3:
        return mixed(rng, 0.5 + between(rng, 0, 0.5) * noise(rng, size, between(rng, 1.5, 4)))
    if style < 0.5:
        return mixed(rng, 0.5 + between(rng, 0, 0.1) * grain(rng, size, 2)) * np.float32(between(rng, 0.05, 1))
    if style < 0.75:
        return ndimage.gaussian_filter(leaves(rng, size), (size * between(rng, 0.01, 0.04),) * 2 + (0,))
    maker = (wood, rough, clouds, blades)[int(rng.integers(4))]
    return maker(rng, size)


def coins(rng: np.random.Generator, size: int) -> Field:
    """Coins, buttons, plates, wheels: discs with rims and a relief, in rows or scattered on a table."""
    values, count = backdrop(rng, size), int(rng.integers(1, 6))
    rows, columns = grid(size)
    hue, saturation = natural_hue(rng), between(rng, 0, 0.5)
    ordered, reach = chance(rng, 0.5), between(rng, 0.25, 0.48) / count
    relief = fractal(rng, size, between(rng, 8, 30), 3, 0.8)
    for index in range(count * count):
        spot = np.array([index // count + 0.5, index % count + 0.5]) / count if ordered else rng.uniform(0, 1, 2)
        radius = reach * between(rng, 0.7, 1.05)
        top, left = np.maximum(((spot - 1.3 * radius) * size).astype(int), 0)
        area = (
            slice(top, int((spot[0] + 1.3 * radius) * size) + 1),
            slice(left, int((spot[1] + 1.3 * radius) * size) + 1),
        )
        r = np.hypot(rows[area] - spot[0], (columns[area] - spot[1]) * between(rng, 0.9, 1.1)) / radius
        if min(r.shape) < 4:
            continue
        figure = (r < 0.75) * np.clip(relief[area] * 2, -1, 1) + np.exp(-(((r - 0.93) / 0.05) ** 2))
        face = tone(rng, hue, saturation) * lit(rng, ndimage.gaussian_filter(figure, 0.7), 0.35)[..., None]
        drop = np.clip((1.12 - np.hypot(r, 0)) * 6, 0, 1) * between(rng, 0, 0.6)
        values[area] = over(values[area] * (1 - drop[..., None]), np.clip((1 - r) * radius * size / 1.5, 0, 1), face)
    return values


def clock(rng: np.random.Generator, size: int) -> Field:
    """A dial with marks, figures and hands; sometimes blurred by motion."""
    values = backdrop(rng, size)
    picture = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    middle, reach = rng.uniform(0.35, 0.65, 2) * size, between(rng, 0.25, 0.55) * size
    pair = [(255 * np.clip(tone(rng, saturation=0.2), 0, 1)).astype(int).tolist() for _ in range(3)]
    rim, face, mark = (tuple(colour) for colour in pair)
    for share, fill in ((1.0, rim), (between(rng, 0.8, 0.95), face)):
        pen.ellipse([*(middle - share * reach).tolist(), *(middle + share * reach).tolist()], fill=fill)
    marks = int(rng.choice([12, 12, 24, 60, 100]))
    for index in range(marks):
        turn = np.array([np.cos(2 * np.pi * index / marks), np.sin(2 * np.pi * index / marks)])
        inner = 0.7 if index * 12 % marks == 0 else 0.76
        pen.line(
            [*(middle + inner * reach * turn).tolist(), *(middle + 0.8 * reach * turn).tolist()], fill=mark, width=2
        )
        if marks == 12 and chance(rng, 0.8):
            write(pen, tuple((middle + 0.6 * reach * turn - 0.06 * reach).tolist()), str(index + 1), 0.14 * reach, mark)
    for length in (0.4, 0.6, 0.7):
        turn = rng.normal(size=2)
        end = middle + length * reach * turn / (np.hypot(*turn) + 1e-6)
        pen.line([*middle.tolist(), *end.tolist()], fill=mark, width=max(1, round(reach * (0.09 - 0.1 * length))))
    drawn = np.asarray(picture, np.float32) / 255
    if chance(rng, 0.4):
        drawn = ndimage.uniform_filter(drawn, (1, 1 + int(size * between(rng, 0.01, 0.12)), 1))
    return drawn


def creature(rng: np.random.Generator, size: int) -> Field:
    """A head with eyes, ears or hair, nose and mouth on a blurred ground: a portrait, a pet, a doll."""
    view = make_view(rng, size, (0, 0), (between(rng, 0.7, 1.4),) * 2, tilt=0.5, warp=0.03)
    values, skin = backdrop(rng, size), tone(rng, between(rng, 0.02, 0.12), between(rng, 0, 0.7))
    coat = 1 + between(rng, 0, 0.25) * noise(rng, size, between(rng, 40, 120), stretch=float(np.exp(rng.normal(0, 1))))
    coat = coat + between(rng, 0, 0.4) * np.sin(8 * view.x + 3 * fractal(rng, size, 3, 2)) * (rng.random() < 0.4)
    round_light = np.clip(1.15 - 0.5 * (view.x - between(rng, -0.5, 0.5)) ** 2 - 0.4 * view.y**2, 0.2, 1.3)
    body = blob(view, rng, (0, 1.2), (between(rng, 0.6, 1), 0.6), lumps=0.05, edge=2)
    values = over(values, body, mixed(rng, 0.5 + 0.3 * noise(rng, size, 6)) * round_light[..., None])
    width, ears = between(rng, 0.4, 0.6), between(rng, 0.25, 0.6)
    shapes = [blob(view, rng, (0, 0), (width, between(rng, 0.5, 0.75)), lumps=0.04, edge=2)]
    if chance(rng, 0.5):
        shapes += [blob(view, rng, (side * width * 0.8, -0.6), (0.14, ears), side * 0.4, 0.1) for side in (-1, 1)]
    else:
        hair = blob(view, rng, (0, -0.15), (width * 1.25, 0.75), lumps=0.1, edge=3)
        values = over(values, hair, tone(rng) * np.clip(coat, 0.2, 2)[..., None])
    values = over(values, union(shapes), skin * (np.clip(coat, 0.2, 2) * round_light)[..., None])
    dark, light = tone(rng) * 0.4, np.full(3, between(rng, 0.6, 1), np.float32)
    for side in (-1, 1):
        place, open_by = (side * 0.2, between(rng, -0.15, -0.1)), between(rng, 0.3, 1)
        values = over(values, blob(view, rng, place, (0.11, 0.09 * open_by), lumps=0.02), light)
        values = over(values, blob(view, rng, place, (0.05, 0.05), lumps=0.0), dark)
    for place, radii in (((0, 0.1), (0.08, 0.05)), ((0, 0.3), (0.18, between(rng, 0.02, 0.06)))):
        values = over(values, 0.8 * blob(view, rng, place, radii, lumps=0.1, edge=3), skin * between(rng, 0.2, 0.8))
    return values


def things(rng: np.random.Generator, size: int) -> Field:
    """A few solid things, each a lump or a few lumps with highlights and a shadow, on a table or a wall."""
    view = make_view(rng, size, (0, 0), (1, 1), tilt=0.5, warp=between(rng, 0, 0.04))
    values = backdrop(rng, size)
    for _ in range(int(rng.integers(1, 7))):
        place, longest = rng.uniform(-0.8, 0.8, 2), between(rng, 0.1, 0.7)
        radii, angle = (longest, longest * between(rng, 0.3, 1)), between(rng, 0, 3.1)
        spot = (float(place[0]), float(place[1]))
        values = (
            values * (1 - 0.5 * blob(view, rng, (spot[0] + 0.05, spot[1] + 0.06), radii, angle, 0.02, 12))[..., None]
        )
        shape = blob(view, rng, spot, radii, angle, float(rng.choice([0.0, 0.05, 0.2])), edge=between(rng, 1, 3))
        round_light = (
            1 - 0.6 * ((view.x - spot[0] + 0.4 * longest) ** 2 + (view.y - spot[1] + 0.4 * longest) ** 2) / longest**2
        )
        shine = np.exp(
            -(((view.x - spot[0] + 0.3 * longest) ** 2 + (view.y - spot[1] + 0.3 * longest) ** 2) * 40 / longest**2)
        )
        texture = between(rng, 0, 0.2) * fractal(rng, size, between(rng, 4, 40), 3, 0.8)
        face = (
            mixed(rng, 0.5 + texture) * np.clip(round_light, 0.15, 1.2)[..., None]
            + between(rng, 0, 0.7) * shine[..., None]
        )
        values = over(values, shape, face)
    return values


def night(rng: np.random.Generator, size: int) -> Field:
    """Points and spirals of light on black: stars, lamps, fireworks, a moon."""
    spots = np.zeros((size, size, 3), np.float32)
    count = int(rng.integers(20, 900))
    rows, columns = rng.integers(0, size, (2, count))
    glow = (rng.pareto(1.2, (count, 1)) * (1 - between(rng, 0, 0.5) * rng.random((count, 3)))).astype(np.float32)
    spots[rows, columns] = np.minimum(glow, 30) * between(rng, 2, 8)
    values = ndimage.gaussian_filter(spots, (between(rng, 0.5, 2.5),) * 2 + (0,)) + between(rng, 0, 0.08)
    y, x = grid(size)
    for _ in range(int(rng.integers(0, 7))):
        dy, dx = y - between(rng, 0, 1), x - between(rng, 0, 1)
        tilt = between(rng, 0, 3.1)
        u, v = np.cos(tilt) * dx + np.sin(tilt) * dy, (np.cos(tilt) * dy - np.sin(tilt) * dx) * between(rng, 1, 3)
        r, reach = np.hypot(u, v), between(rng, 0.01, 0.12)
        arms = 1 + between(rng, 0, 0.8) * np.cos(2 * np.arctan2(v, u) + 8 * np.log(r / reach + 0.1))
        values = values + (np.exp(-r / reach) * arms)[..., None] * tone(rng)
    if chance(rng, 0.25):
        values = over(
            values, np.clip((between(rng, 0.1, 0.6) - np.hypot(y - 0.5, x - 0.5)) * size / 3, 0, 1), rough(rng, size)
        )
    return values


def silhouette(rng: np.random.Generator, size: int) -> Field:
    """A few lumps joined to one figure, flat or nearly so, on a flat ground."""
    view = make_view(rng, size, (0, 0), (1, 1), tilt=1.5, warp=0.05)
    parts, place = [], np.zeros(2)
    for _ in range(int(rng.integers(1, 9))):
        radii = (between(rng, 0.1, 0.5), between(rng, 0.05, 0.3))
        parts.append(blob(view, rng, (float(place[0]), float(place[1])), radii, between(rng, 0, 3.1), 0.15))
        place = np.clip(place + rng.normal(0, 0.3, 2), -0.7, 0.7)
    ground, figure = (
        np.full(3, value, np.float32) for value in rng.permutation([between(rng, 0, 0.2), between(rng, 0.8, 1)])
    )
    if chance(rng, 0.5):
        figure = tone(rng)
    return over(np.broadcast_to(ground, (size, size, 3)).astype(np.float32), union(parts), figure)


def stairs(rng: np.random.Generator, size: int) -> Field:
    """Straight edges in perspective: steps, shelves, rails, a road, panes of a facade."""
    rows, columns = grid(size)
    angle, vanish = between(rng, 0, np.pi), between(rng, 0, 0.9)
    u = np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5)
    v = np.cos(angle) * (rows - 0.5) - np.sin(angle) * (columns - 0.5)
    scale = 1 + vanish * u * 1.3
    steps, rails = v / scale * between(rng, 4, 30), u / scale * between(rng, 1, 12)
    levels = rng.random((2, 64)).astype(np.float32)
    share = (
        levels[0][np.floor(steps).astype(int) % 64] + between(rng, 0, 1) * levels[1][np.floor(rails).astype(int) % 64]
    )
    share = share + between(rng, 0, 0.5) * (steps % 1) + between(rng, 0, 0.1) * fractal(rng, size, 10, 4, 0.8)
    return mixed(rng, share * 0.7)
