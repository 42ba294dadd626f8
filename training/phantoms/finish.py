"""Acquisition and display effects shared by the kinds: noise, blur, resampling, grey scale, burnt-in marks."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Pixels
from mmedagent.training.phantoms.shapes import grain, noise, resize

_LETTERS = list("ABCDEFGHIKLMNOPRSTVXYZ0123456789:./-")


def chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def degrade(rng: np.random.Generator, values: Field, strength: float = 1.0) -> Field:
    """Random blur or loss of resolution, then sensor noise, on values of about [0, 1]."""
    size = values.shape[0]
    draw = rng.random()
    if draw < 0.3:
        values = ndimage.gaussian_filter(values, between(rng, 0.4, 1.2))
    elif draw < 0.5:
        side = round(size * between(rng, 0.35, 0.8))
        values = resize(resize(values, (side, side), smooth=False), (size, size))
    amount = strength * float(rng.exponential(0.018))
    return values + np.float32(min(amount, 0.09 * strength)) * grain(rng, size, between(rng, 1, 2.5))


def sharpness(values: Field, share: float) -> Field:
    """Smooth with the kernel (share, 1, share) along both axes, as a detector or a reconstruction does."""
    result: Field = values * np.float32(1 / (1 + 2 * share) ** 2)
    for lines in (result, result.T):
        whole = lines.copy()
        whole *= np.float32(share)
        lines[1:] += whole[:-1]
        lines[:-1] += whole[1:]
        lines[0] += whole[0]
        lines[-1] += whole[-1]
    return result


def shade(rng: np.random.Generator, values: Field, strength: float) -> Field:
    """Multiply by a slow random field, as of a receive coil or uneven light."""
    result: Field = values * np.exp(np.float32(strength) * noise(rng, values.shape[0], between(rng, 1, 2.5)))
    return result


def display(rng: np.random.Generator, values: Field, gamma: float = 0.25) -> Pixels:
    """Values of about [0, 1] to uint8 through a random gamma of log-spread `gamma` and a slight change of range."""
    low, high = between(rng, -0.04, 0.04), between(rng, 0.94, 1.06)
    scaled = np.clip((values - low) / (high - low), 0, 1) ** np.float32(np.exp(rng.normal(0, gamma)))
    result: Pixels = (scaled * 255 + 0.5).astype(np.uint8)
    return result


def colour(values: Field) -> Pixels:
    """Values of [0, 1], (H, W, 3), to uint8."""
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def compress(rng: np.random.Generator, image: Pixels, probability: float = 0.2) -> Pixels:
    """Sometimes pass the image through coarse quantisation, as of a lossy file."""
    if not chance(rng, probability):
        return image
    step = int(rng.integers(2, 7))
    return (image // step * step).astype(np.uint8)


def words(rng: np.random.Generator, image: Pixels, count: int, area: tuple[float, float, float, float]) -> Pixels:
    """Burn `count` random words into the normalised area (x1, y1, x2, y2), as scanners and viewers do."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    ink = int(rng.integers(150, 256))
    for _ in range(count):
        text = "".join(rng.choice(_LETTERS, int(rng.integers(2, 12))))
        place = (between(rng, area[0], area[2]) * width, between(rng, area[1], area[3]) * height)
        pen.text(place, text, fill=ink if picture.mode == "L" else (ink, ink, ink))
    return np.asarray(picture)
