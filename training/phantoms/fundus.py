"""Retinal photographs: the round field on black, cropped or wide fields, close-ups, red-free and faded pictures."""

import numpy as np

from mmedagent.training.phantoms.base import Field, Phantom, Pixels
from mmedagent.training.phantoms.finish import between, chance, colour, compress, degrade, display, words
from mmedagent.training.phantoms.retina import DISEASES, Retina, close_up
from mmedagent.training.phantoms.shapes import Scene, blob, grain, make_view, noise


def _eye(rng: np.random.Generator, size: int, close: bool) -> Retina:
    """A retina, healthy or with the lesions of one disease."""
    half = between(rng, 0.3, 0.6) if close else between(rng, 0.85, 1.25)
    centre = (between(rng, -0.5, 0.5), between(rng, -0.4, 0.4)) if close else (0.0, 0.0)
    view = make_view(rng, size, centre, (half, half * between(rng, 0.9, 1.12)), warp=0.012)
    retina = Retina(rng, view)
    retina.ground()
    retina.spot()
    retina.head()
    retina.vessels()
    if chance(rng, 0.5):
        disease = DISEASES[str(rng.choice(tuple(DISEASES), p=(0.5, 0.22, 0.1, 0.18)))]
        for lesion, probability in disease:
            if chance(rng, probability):
                lesion(retina)
    return retina


def _aperture(rng: np.random.Generator, rgb: Field, scene: Scene) -> Field:
    """Black outside the camera's round opening, which may be cut, shifted, or small in a wide picture."""
    size = rgb.shape[0]
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    wide = between(rng, 1.0, 1.5) if chance(rng, 0.35) else 1.0
    x = (steps[None] - between(rng, -0.06, 0.06)) * np.float32(wide)
    y = steps[:, None] * np.float32(between(rng, 0.96, 1.04))
    reach, r = between(rng, 0.85, 1.05), np.hypot(x, y)
    opening = np.clip((reach - r) * np.float32(size / between(rng, 3, 10)), 0, 1)
    if chance(rng, 0.35):
        cut = between(rng, 0.65, 0.95)
        opening = opening * (np.abs(y if chance(rng, 0.75) else x) < cut)
    if chance(rng, 0.2):
        notch = blob(scene.view, rng, (0.7 * reach, -0.7 * reach), (0.05, 0.05), lumps=0.0)
        opening = np.maximum(opening, notch)
    scene.paint((1 - opening).astype(np.float32), 0.0, None)
    glow = 1 - between(rng, 0.0, 0.6) * np.clip((r / np.float32(reach) - 0.6) * 2.5, 0, 1)
    if chance(rng, 0.2):
        haze = np.clip((r - between(rng, 0.6, 0.9) + 0.2 * noise(rng, size, 2)) * 3, 0, 1) * between(rng, 0.1, 0.5)
        rgb = rgb + haze[..., None] * (np.array([0.6, 0.65, 0.75], np.float32) - rgb)
    outside = np.float32(0.0 if chance(rng, 0.85) else between(rng, 0.02, 0.08))
    lit: Field = rgb * (opening * glow)[..., None] + outside * (1 - opening)[..., None]
    return lit.astype(np.float32)


def _photographed(rng: np.random.Generator, rgb: Field) -> Pixels:
    """A colour cast, exposure, blur; or the green light alone, in grey."""
    size = rgb.shape[0]
    draw = rng.random()
    if draw < 0.18:
        green = rgb[..., 1] / max(float(np.quantile(rgb[::4, ::4, 1], 0.995)), 0.15)
        return display(rng, degrade(rng, green, 0.6))
    if draw < 0.23:
        return display(rng, degrade(rng, rgb @ np.array([0.5, 0.4, 0.1], np.float32), 0.6))
    cast = np.exp(rng.normal(0, 0.13, 3)).astype(np.float32)
    exposure, tone = np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.22))
    values = np.clip(rgb * cast * np.float32(exposure), 0, 1) ** np.float32(tone)
    if chance(rng, 0.2):
        values = values.mean(axis=2, keepdims=True) * 0.5 + values * 0.5
    lit = rgb[..., :1] > 0.02
    return colour(values + np.float32(between(rng, 0.002, 0.025)) * grain(rng, size, 1.5)[..., None] * lit)


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One retinal photograph; anatomy is "eye", technique "red-free" where the picture is of the green light alone."""
    style = rng.random()
    if style < 0.15:
        view = make_view(rng, size, (0, 0), (between(rng, 0.6, 1.1),) * 2, tilt=1.0, warp=0.03)
        grey, scene, found = close_up(rng, view)
        image = display(rng, degrade(rng, grey))
        if chance(rng, 0.3):
            image = colour(image[..., None] / 255 * np.array([1, between(rng, 0.4, 0.7), between(rng, 0.1, 0.4)]))
    else:
        close = style < 0.33
        retina = _eye(rng, size, close)
        scene, found, rgb = retina.scene, retina.found, np.clip(retina.rgb, 0, 1)
        if not close and chance(rng, 0.93):
            rgb = _aperture(rng, rgb, scene)
        image = _photographed(rng, rgb)
    if chance(rng, 0.08):
        image = words(rng, image, 1, (0, 0.9, 0.6, 0.95))
    masks = scene.masks()
    names = tuple(sorted({name for name in found if name in masks}))
    technique = "red-free" if image.ndim == 2 else ""
    return Phantom(compress(rng, image), "fundus", "eye", masks, names, technique=technique)
