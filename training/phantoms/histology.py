"""Stained tissue under the microscope: H&E, immunohistochemistry with DAB, and Masson's trichrome, at 5x to 40x.

Colour is light through dye (Beer and Lambert): the optical densities of the dyes add up. Vectors of haematoxylin, eosin
and DAB are those of Ruifrok and Johnston (2001), all jittered from slide to slide.
"""

import numpy as np
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Mask, Phantom, Pixels
from mmedagent.training.phantoms.finish import between, chance, colour, compress
from mmedagent.training.phantoms.histology_slide import Slide
from mmedagent.training.phantoms.histology_tissue import BENIGN, Architecture
from mmedagent.training.phantoms.histology_tumours import MALIGNANT
from mmedagent.training.phantoms.shapes import fractal, grain, noise

STAINS = {"haematoxylin": (0.65, 0.70, 0.29), "eosin": (0.07, 0.99, 0.11), "dab": (0.27, 0.57, 0.78)}
"""Optical density of red, green and blue per unit of dye."""

_IRON, _SCARLET = (0.72, 0.74, 0.52), (0.2, 0.95, 0.42)
_ANILINE = ((0.85, 0.5, 0.14), (0.8, 0.6, 0.2), (0.82, 0.32, 0.45))
"""Masson's trichrome: iron haematoxylin in nuclei, scarlet in cytoplasm, aniline blue or light green in collagen."""

_MALIGNANT_SHARE = 0.34


def _pick(rng: np.random.Generator, choices: tuple[tuple[Architecture, float], ...]) -> Architecture:
    weights = np.array([weight for _, weight in choices])
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][0]


def _antibody(slide: Slide) -> None:
    """Brown product in the cytoplasm, on membranes or in nuclei, of some cells, or nowhere (a negative stain)."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    epithelium = np.zeros((size, size), np.bool_)
    for name in ("glands", "tumour", "squamous cell carcinoma", "epithelium", "hepatocytes"):
        if name in slide.masks:
            epithelium |= slide.masks[name]
    target: Mask = epithelium if epithelium.any() and chance(rng, 0.75) else slide.body + slide.fibre > 0.1
    some = fractal(rng, size, between(rng, 1.5, 8), 3) > between(rng, -2.5, 0.6)
    style, amount = rng.random(), between(rng, 0.4, 1.3)
    if style < 0.45:
        uneven = 0.65 + 0.4 * np.abs(noise(rng, size, min(size / 2, 1.6 * size / cell)))
        slide.brown = amount * uneven * (target & some) * (slide.body + 0.5 * slide.fibre > 0.08)
    elif style < 0.65:
        rims = np.abs(noise(rng, size, min(size / 2, 1.1 * size / cell)))
        slide.brown = amount * 1.2 * np.clip(1 - rims * 2.2, 0, 1) * (target & some)
    elif style < 0.92:
        positive = (noise(rng, size, min(size / 2, 0.8 * size / cell)) > between(rng, -1.5, 0.8)) & some
        slide.brown = amount * 1.3 * slide.nuclear * positive
        slide.nuclear *= np.float32(1) - np.float32(0.7) * positive


def _inks(rng: np.random.Generator, technique: str) -> list[tuple[Field, float]]:
    """Optical densities (3,) and strengths of nuclei, cytoplasm, collagen and antibody."""
    nuclear, eosin, dab = (np.asarray(vector, np.float32) for vector in STAINS.values())
    if technique == "IHC":
        pale = between(rng, 0.02, 0.22)
        return [
            (nuclear, between(rng, 0.4, 1.1)),
            (nuclear, pale),
            (nuclear, pale * 0.8),
            (dab, between(rng, 0.8, 1.4)),
        ]
    if technique == "Masson":
        collagen = np.asarray(_ANILINE[int(rng.choice(3, p=(0.45, 0.35, 0.2)))], np.float32)
        return [
            (np.asarray(_IRON, np.float32), between(rng, 0.8, 1.5)),
            (np.asarray(_SCARLET, np.float32), between(rng, 0.5, 1.1)),
            (collagen, between(rng, 0.7, 1.4)), (dab, 0.0),
        ]  # fmt: skip
    violet = between(rng, 0, 0.35)
    strength = between(rng, 0.35, 0.95)
    rosy = eosin + np.array([0.02, 0, between(rng, 0, 0.25)], np.float32)
    return [
        (nuclear, between(rng, 0.8, 1.6)), ((1 - violet) * eosin + violet * nuclear, strength),
        (rosy, strength * between(rng, 0.5, 1.0)), (dab, 0.0),
    ]  # fmt: skip


def _developed(slide: Slide, technique: str) -> Pixels:
    """The slide in the light of the microscope."""
    rng, size = slide.rng, slide.size
    parts = np.stack([slide.nuclear, slide.body, slide.fibre, slide.brown], axis=-1).astype(np.float32)
    inks = np.stack([strength * vector * np.exp(rng.normal(0, 0.1, 3)) for vector, strength in _inks(rng, technique)])
    density = parts @ inks.astype(np.float32)
    if chance(rng, 0.3):
        density *= np.clip(1 + 0.2 * noise(rng, size, 2), 0.4, 1.8)[..., None]
    blur = max(0.25, between(rng, 0.2, 0.9) * min(1.0, slide.cell / 8))
    density = ndimage.gaussian_filter(density, (blur, blur, 0), truncate=2.5)
    light = np.array([between(rng, 0.88, 1.0) for _ in range(3)], np.float32)
    return colour(light * np.exp(-density) + between(rng, 0.003, 0.025) * grain(rng, size, 1.5)[..., None])


def _torn(slide: Slide) -> None:
    """The edge of the section, and cracks or vessels in it."""
    rng, size = slide.rng, slide.size
    if chance(rng, 0.25):
        slide.clear(fractal(rng, size, between(rng, 1, 3), 3) > between(rng, 0.4, 1.5))
    if chance(rng, 0.1):
        slide.clear(np.abs(fractal(rng, size, between(rng, 2, 5), 4, 0.6)) < between(rng, 0.01, 0.06))


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One microscope field; anatomy is "tissue", technique is "H&E", "IHC" or "Masson"."""
    low, high = ((3.2, 5.5), (5.5, 9), (9, 16), (16, 30))[int(rng.choice(4, p=(0.2, 0.3, 0.32, 0.18)))]
    malignant = chance(rng, _MALIGNANT_SHARE)
    cell = between(rng, low, high) * max(size / 256, 0.5)
    slide = Slide(rng, size, max(cell, 5.0 if malignant else 3.0))
    _pick(rng, MALIGNANT if malignant else BENIGN)(slide)
    technique = str(rng.choice(("H&E", "IHC", "Masson"), p=(0.6, 0.25, 0.15)))
    if technique == "IHC":
        _antibody(slide)
    slide.mark("nuclei", (slide.nuclear > 0.35) | (slide.brown * (slide.nuclear > 0.1) > 0.5))
    _torn(slide)
    masks = {name: mask for name, mask in slide.masks.items() if mask.sum() >= 12}
    found = tuple(sorted(name for name in slide.found if name in masks))
    image = compress(rng, _developed(slide, technique))
    return Phantom(image, "histology", "tissue", masks, found, technique=technique)
