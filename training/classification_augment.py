"""What happens to an image between the scanner and the chat: crops, resizing, windowing, noise, files, colour casts.

Every image is drawn through these at each pass, so that the network cannot rely on the exact look of phantoms.
"""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Picture = Image.Image


class View(NamedTuple):
    """An augmented image, uint8 (size, size, 3), and whether so little is left that only its modality is sure."""

    image: NDArray[np.uint8]
    close: bool


def augment(rng: np.random.Generator, image: NDArray[np.uint8], size: int, modality: str) -> View:
    """A random view of an RGB image (H, W, 3), `size` x `size` pixels."""
    close = rng.random() < 0.25
    if modality == "CT" and _chance(rng, 0.4):
        image = starve(rng, image)
    picture = _crop(rng, Image.fromarray(image), 0.4 if close else 0.85)
    picture = _turn(rng, picture)
    picture = _resample(rng, picture, size)
    picture = _blur_or_file(rng, picture)
    values: NDArray[np.float32] = np.asarray(picture, np.float32) / np.float32(255)
    values = _colour(rng, _tone(rng, values))
    if rng.random() < 0.3:
        coarse = values.shape[:2] + ((3,) if rng.random() < 0.2 else (1,))
        values = values + np.float32(rng.exponential(0.03)) * rng.standard_normal(coarse, dtype=np.float32)
    return View((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8), close)


def starve(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Photon starvation in CT: streaky noise where the body is widest, shown through a narrow window.

    Few photons pass along the long axis, so the noise forms streaks along the rows; windowing comes after
    reconstruction, so what the window saturates stays black or white.
    Source: Barrett and Keat, Artifacts in CT: Recognition and Avoidance (RadioGraphics 2004).
    """
    height, width = image.shape[:2]
    length = int(rng.integers(3, 24))
    grains = rng.standard_normal((height, width // length + 2), dtype=np.float32)
    streaks = np.asarray(Image.fromarray(grains).resize((width, height), Image.Resampling.BILINEAR))
    fine = rng.standard_normal((height, width), dtype=np.float32)
    place, reach = rng.uniform(0, height), rng.uniform(0.15, 0.8) * height
    where = np.exp(-(((np.arange(height, dtype=np.float32) - place) / reach) ** 2))[:, None]
    noise = where * np.float32(rng.uniform(0.02, 0.16)) * (streaks + np.float32(rng.uniform(0, 0.5)) * fine)
    values = image.astype(np.float32) / 255
    # Zero is air and stays so.
    values = np.where(values > 0.02, values + noise[..., None], values)
    if _chance(rng, 0.6):
        low = np.float32(rng.uniform(0, 0.35))
        values = (values - low) / np.float32(rng.uniform(0.25, 0.75))
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _crop(rng: np.random.Generator, picture: Picture, least: float) -> Picture:
    """Cut out a part whose area is `least` to 1 of the image; the sides differ by up to 1.6 and are squashed later."""
    width, height = picture.size
    share, ratio = float(rng.uniform(least, 1)) ** 0.5, float(np.exp(rng.uniform(-0.24, 0.24)))
    wide, high = min(width, round(width * share * ratio)), min(height, round(height * share / ratio))
    left, top = int(rng.integers(width - wide + 1)), int(rng.integers(height - high + 1))
    picture = picture.crop((left, top, left + wide, top + high))
    if not _chance(rng, 0.1):
        return picture
    # A viewer's margin: the image in the middle of a larger dark canvas.
    shade = int(rng.choice([0, 0, 0, int(rng.integers(0, 256))]))
    canvas = Image.new("RGB", (round(wide * rng.uniform(1, 1.6)), round(high * rng.uniform(1, 1.6))), (shade,) * 3)
    canvas.paste(picture, (int(rng.integers(canvas.width - wide + 1)), int(rng.integers(canvas.height - high + 1))))
    return canvas


def _turn(rng: np.random.Generator, picture: Picture) -> Picture:
    if _chance(rng, 0.5):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if _chance(rng, 0.15):
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if _chance(rng, 0.05):
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    if _chance(rng, 0.25):
        picture = picture.rotate(float(rng.normal(0, 8)), Image.Resampling.BILINEAR)
    return picture


def _resample(rng: np.random.Generator, picture: Picture, size: int) -> Picture:
    """Sometimes through a much smaller image, as of an early scanner or a thumbnail, then to the final size."""
    if _chance(rng, 0.25):
        small = int(rng.integers(40, 128))
        picture = picture.resize((small, small), Image.Resampling.BICUBIC)
    method = Image.Resampling.BICUBIC if _chance(rng, 0.7) else Image.Resampling.BILINEAR
    return picture.resize((size, size), method)


def _blur_or_file(rng: np.random.Generator, picture: Picture) -> Picture:
    if _chance(rng, 0.2):
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.6))))
    elif _chance(rng, 0.15):
        picture = picture.filter(ImageFilter.UnsharpMask(float(rng.uniform(1, 3)), int(rng.integers(50, 200)), 0))
    if _chance(rng, 0.3):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(25, 95)))
        with Image.open(file) as stored:
            picture = stored.convert("RGB")
    return picture


def _tone(rng: np.random.Generator, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gamma, contrast and brightness, rarely a stretch to the full range, a narrow window or an inversion."""
    if _chance(rng, 0.6):
        values = values ** np.float32(np.exp(rng.normal(0, 0.35)))
    if _chance(rng, 0.4):
        values = values * np.float32(rng.uniform(0.55, 1.3)) + np.float32(rng.normal(0, 0.05))
    if _chance(rng, 0.15):
        low, high = np.percentile(values, [float(rng.uniform(0, 3)), float(rng.uniform(95, 100))])
        values = (values - np.float32(low)) / np.float32(max(high - low, 0.05))
    if _chance(rng, 0.15):
        # A narrower window, as viewers set it: what is bright saturates.
        low = np.float32(rng.uniform(0, 0.3))
        values = (values - low) / np.float32(rng.uniform(0.35, 0.8))
    values = np.clip(values, 0, 1)
    return 1 - values if _chance(rng, 0.02) else values


def _colour(rng: np.random.Generator, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A colour cast and a change of saturation; colour images are sometimes stored in grey."""
    grey = values.mean(axis=2, keepdims=True)
    coloured = bool(np.abs(values - grey).mean() > 0.02)
    if coloured and _chance(rng, 0.6):
        values = grey + (values - grey) * np.float32(rng.uniform(0.4, 1.5))
        values = values * np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    if coloured and _chance(rng, 0.05):
        values = np.repeat(values[..., 1:2], 3, axis=2)
    if not coloured and _chance(rng, 0.06):
        values = values * rng.uniform(0.75, 1.0, 3).astype(np.float32)
    return np.clip(values, 0, 1)
