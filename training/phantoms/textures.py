"""Close-up photographs of surfaces that are not medical: brick, wood, grass, gravel, cloth, water, fur, plain noise.

Every function takes a generator and a size, and returns colours of about [0, 1] as float32 (size, size, 3).
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import fractal, grain, noise


def natural_hue(rng: np.random.Generator) -> float:
    """A hue in [0, 1]: brown and skin, leaf green, sky blue, or any."""
    low, high = ((0.02, 0.14), (0.18, 0.38), (0.52, 0.65), (0.0, 1.0))[int(rng.choice(4, p=(0.4, 0.17, 0.18, 0.25)))]
    return between(rng, low, high)


def tone(rng: np.random.Generator, hue: float | None = None, saturation: float | None = None) -> Field:
    """A random colour (3,) in [0, 1], sometimes of a given hue and saturation."""
    hue = natural_hue(rng) if hue is None else hue
    saturation = between(rng, 0, 1) ** 2 if saturation is None else saturation
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, between(rng, 0.1, 1) ** 0.7), np.float32)


def mixed(rng: np.random.Generator, share: Field) -> Field:
    """Two or three random related colours mixed by a field of about [0, 1]."""
    hue, spread = natural_hue(rng), between(rng, 0, 0.2)
    first, second = (tone(rng, hue + spread * float(rng.normal())) for _ in range(2))
    result: Field = first + np.clip(share, -0.3, 1.3)[..., None] * (second - first)
    return result


def lit(rng: np.random.Generator, height: Field, strength: float) -> Field:
    """Shading of a relief lit from a random side: about 1 on flat ground."""
    angle = between(rng, 0, 2 * np.pi)
    slope: Field = np.float32(np.cos(angle)) * np.asarray(np.gradient(height, axis=1))
    slope += np.float32(np.sin(angle)) * np.asarray(np.gradient(height, axis=0))
    shade: Field = np.clip(1 + np.float32(strength / (float(slope.std()) + 1e-6)) * slope, 0.05, 2.2)
    return shade


def grid(size: int) -> tuple[Field, Field]:
    """Rows and columns in [0, 1], each (size, size)."""
    steps = np.linspace(0, 1, size, dtype=np.float32)
    return np.broadcast_to(steps[:, None], (size, size)), np.broadcast_to(steps[None], (size, size))


def clouds(rng: np.random.Generator, size: int) -> Field:
    """Noise with the falling spectrum of natural scenes, in one colour or in three."""
    decay, cells = between(rng, 0.4, 0.95), between(rng, 1.5, 8)
    if chance(rng, 0.5):
        return mixed(rng, 0.5 + 0.35 * fractal(rng, size, cells, 6, decay))
    planes = np.stack([fractal(rng, size, cells, 6, decay) for _ in range(3)], axis=-1)
    mix = rng.dirichlet((0.6, 0.6, 0.6), 3).astype(np.float32)
    result: Field = 0.5 + between(rng, 0.1, 0.45) * (planes @ mix.T)
    return result


def brick(rng: np.random.Generator, size: int) -> Field:
    """Courses of bricks, tiles or cobbles with mortar between."""
    rows, columns = grid(size)
    warp = between(rng, 0, 0.012)
    rows, columns = rows + warp * noise(rng, size, 4), columns + warp * noise(rng, size, 4)
    courses, ratio = between(rng, 3, 16), between(rng, 1, 3.5)
    course = np.floor(rows * courses)
    along = columns * courses / ratio + np.where(course % 2 == 0, 0.0, between(rng, 0, 0.5))
    share = rng.random((41, 41)).astype(np.float32)[course.astype(int) % 41, np.floor(along).astype(int) % 41]
    down, across = np.abs(rows * courses % 1 - 0.5), np.abs(along % 1 - 0.5) * ratio - (ratio - 1) / 2
    joint = np.clip((0.5 - np.maximum(down, across)) * between(rng, 8, 25), 0, 1)
    surface = fractal(rng, size, between(rng, 8, 40), 3, 0.8)
    body = mixed(rng, share + 0.3 * surface)
    wall = tone(rng, saturation=between(rng, 0, 0.3)) * (1 - joint[..., None]) + body * joint[..., None]
    lighted: Field = wall * lit(rng, joint + 0.15 * surface, between(rng, 0.05, 0.3))[..., None]
    return lighted


def wood(rng: np.random.Generator, size: int) -> Field:
    """Wood grain, sand ripples, bark or marble: bent stripes."""
    rows, columns = grid(size)
    angle = between(rng, 0, np.pi)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    bent = along + between(rng, 0.02, 0.25) * fractal(rng, size, between(rng, 1, 4), 3, 0.5)
    stripes = np.sin(bent * between(rng, 15, 140)) * between(rng, 0.1, 0.5)
    fine = noise(rng, size, between(rng, 40, size), stretch=float(np.exp(rng.normal(0, 1.5))))
    share = 0.5 + stripes + between(rng, 0.05, 0.3) * fine
    return mixed(rng, share) * lit(rng, share, between(rng, 0, 0.25))[..., None]


def blades(rng: np.random.Generator, size: int) -> Field:
    """Many short strokes: grass, straw, hair, fur, needles."""
    hue, spread = natural_hue(rng), between(rng, 0, 0.08)
    ground = (255 * np.clip(tone(rng, hue), 0, 1) * 0.4).astype(int)
    picture = Image.new("RGB", (size, size), tuple(ground.tolist()))
    pen = ImageDraw.Draw(picture)
    count, length = int(rng.integers(500, 1600)), size * between(rng, 0.03, 0.2)
    flow, chaos = noise(rng, 32, 3) * between(rng, 0, 1.5) + between(rng, 0, np.pi), between(rng, 0.05, 1.2)
    palette = [tuple((255 * tone(rng, hue + spread * float(rng.normal()))).astype(int).tolist()) for _ in range(24)]
    starts, picks = rng.uniform(0, size, (count, 2)), rng.integers(0, 24, count)
    turns = flow[(starts[:, 1] / size * 31).astype(int), (starts[:, 0] / size * 31).astype(int)]
    turns = turns + rng.normal(0, chaos, count)
    ends = starts + length * rng.uniform(0.4, 1, (count, 1)) * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    width = max(1, round(size * float(rng.choice([0.003, 0.006, 0.012]))))
    for line, pick in zip(np.hstack([starts, ends]).tolist(), picks, strict=True):
        pen.line(line, fill=palette[pick], width=width)
    values = np.asarray(picture, np.float32) / 255
    uneven: Field = values * np.clip(1 + 0.25 * fractal(rng, size, 4, 4, 0.7), 0.3, 2)[..., None]
    return uneven


def pebbles(rng: np.random.Generator, size: int) -> Field:
    """Gravel, beans, fruit, pills or bubbles: rounded pieces, lit from one side, over each other."""
    picture = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(picture)
    largest = size * between(rng, 0.02, 0.16)
    count = int(np.clip(2.2 * (size / largest) ** 2, 30, 900))
    places, radii = rng.uniform(0, size, (count, 2)), largest * rng.uniform(0.35, 1, (count, 1))
    ratios = np.concatenate([np.ones((count, 1)), rng.uniform(between(rng, 0.5, 0.95), 1, (count, 1))], axis=1)
    boxes = np.hstack([places - radii * ratios, places + radii * ratios]).tolist()
    for box, label in zip(boxes, rng.integers(1, 255, count).tolist(), strict=True):
        pen.ellipse(box, fill=label, outline=0 if chance(rng, 0.6) else label)
    labels = np.asarray(picture)
    edges = (ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)) | (labels == 0)
    depth = np.sqrt(np.minimum(ndimage.distance_transform_edt(~edges), largest)).astype(np.float32)
    surface = depth / float(depth.max() + 1e-6) + between(rng, 0, 0.15) * fractal(rng, size, 20, 3, 0.8)
    share = rng.random(256).astype(np.float32)[labels] + 0.15 * noise(rng, size, size / 4)
    dark: Field = 0.35 + 0.65 * np.clip(depth / 2, 0, 1)
    dark = dark * lit(rng, ndimage.gaussian_filter(surface, 1), between(rng, 0.1, 0.5))
    return mixed(rng, share) * dark[..., None]


def cloth(rng: np.random.Generator, size: int) -> Field:
    """Woven cloth, wire mesh, checks, corrugated sheet: two crossed waves."""
    rows, columns = grid(size)
    angle, bend = between(rng, 0, np.pi), between(rng, 0, 0.03)
    u = np.cos(angle) * columns + np.sin(angle) * rows + bend * noise(rng, size, 3)
    v = np.cos(angle) * rows - np.sin(angle) * columns + bend * noise(rng, size, 3)
    pitch = between(rng, 20, 260)
    waves = np.sin(u * pitch) * between(rng, 0, 1) + np.sin(v * pitch * between(rng, 0.5, 1.5)) * between(rng, 0, 1)
    if chance(rng, 0.4):
        waves = np.sign(waves)
    folds = lit(rng, fractal(rng, size, between(rng, 1, 4), 3, 0.5), between(rng, 0, 0.35))
    share = 0.5 + between(rng, 0.1, 0.4) * waves + 0.1 * grain(rng, size, between(rng, 1, 3))
    folded: Field = mixed(rng, share) * folds[..., None]
    return folded


def rough(rng: np.random.Generator, size: int) -> Field:
    """Rock, plaster, crumpled paper, craters, waves: a fractal relief under a low light."""
    if chance(rng, 0.4):
        height = -np.abs(fractal(rng, size, between(rng, 2, 12), 5, between(rng, 0.4, 0.7)))
    elif chance(rng, 0.4):
        height = noise(rng, size, between(rng, 10, 60), stretch=float(np.exp(rng.normal(0, 1.3))))
    else:
        height = fractal(rng, size, between(rng, 2, 12), 5, between(rng, 0.4, 0.8))
    base = mixed(rng, 0.5 + between(rng, 0, 0.25) * fractal(rng, size, 3, 4, 0.7))
    return base * lit(rng, height, between(rng, 0.1, 0.6))[..., None]


def static(rng: np.random.Generator, size: int) -> Field:
    """White or coarse noise, grey or in colour, as of a screen without a signal."""
    spread, level = between(rng, 0.05, 0.6), between(rng, 0.2, 0.8)
    if chance(rng, 0.4):
        planes = np.stack([grain(rng, size, between(rng, 1, 4)) for _ in range(3)], axis=-1)
    else:
        planes = np.repeat(grain(rng, size, between(rng, 1, 6))[..., None], 3, axis=-1)
    values: Field = level + spread * planes
    return values
