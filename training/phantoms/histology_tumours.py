"""Architectures of malignant tumours.

They show what pathologists look for: crowded, irregular, fused glands with layered dark nuclei; nests of uneven cells
with whorls of keratin; sheets of large uneven cells without any order. Every function fills a slide.
"""

import numpy as np
from scipy import ndimage

from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.histology_slide import Slide, lattice, make_gland, make_nuclei
from mmedagent.training.phantoms.histology_tissue import Architecture, lymphocytes, set_gland, stroma
from mmedagent.training.phantoms.shapes import fractal, noise


def adenocarcinoma(slide: Slide) -> None:
    """Crowded, irregular, fused glands with layered uneven nuclei, debris in the lumen, in reactive stroma."""
    rng, cell = slide.rng, slide.cell
    stroma(slide, between(rng, 1.4, 2.2))
    if chance(rng, 0.5):
        lymphocytes(slide, fractal(rng, slide.size, 4, 3) > between(rng, 0.6, 1.2), 0.9)
    nuclei = make_nuclei(rng, between(rng, 1.0, 1.25) * cell, between(rng, 0.5, 0.8), between(rng, 0.5, 1))
    pitch, tone = cell * between(rng, 5.5, 9), between(rng, 0.5, 0.9)
    slide.masks["glands"] = np.zeros((slide.size, slide.size), np.bool_)
    for spot in lattice(rng, slide.size, pitch, 0.4):
        if chance(rng, 0.12):
            continue
        longest = pitch * between(rng, 0.35, 0.75)
        spot_at = (float(spot[0]), float(spot[1]))
        gland = make_gland(rng, spot_at, longest, between(rng, 0.45, 1), between(rng, 0.1, 0.24), between(rng, 0, 3.1))
        set_gland(slide, gland, nuclei, between(rng, 0.12, 0.5), int(rng.integers(2, 4)), tone, 0.0)
    holes = slide.masks["glands"] & (noise(rng, slide.size, slide.size / (1.6 * cell)) > between(rng, 1.1, 1.8))
    slide.body[holes] *= 0.1
    slide.nuclear[holes] *= 0.1
    if chance(rng, 0.4) and "lumen" in slide.masks:
        debris = slide.masks["lumen"] & (noise(rng, slide.size, slide.size / cell) > 0.3)
        slide.body[debris] += 0.5
        slide.nuclear[debris & (noise(rng, slide.size, slide.size / (0.5 * cell)) > 0.9)] = 0.7
    slide.masks["adenocarcinoma"] = slide.masks["glands"].copy()
    slide.found.append("adenocarcinoma")


def squamous_carcinoma(slide: Slide) -> None:
    """Nests of uneven pink cells in stroma, with whorls of keratin."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    stroma(slide, between(rng, 1.4, 2.4))
    field = fractal(rng, size, max(2.0, size / (cell * between(rng, 8, 14))), 2)
    if chance(rng, 0.5):
        lymphocytes(slide, field < between(rng, -1.2, -0.6), 0.9)
    nests = field > between(rng, -0.3, 0.3)
    slide.fibre[nests] = 0
    slide.nuclear[nests] = 0
    slide.body[nests] = between(rng, 0.65, 1.0)
    spots = slide.scatter(cell * between(rng, 1.0, 1.25), nests)
    if cell > 9 and len(spots) > 3:
        slide.body -= nests * 0.4 * np.exp(-((slide.walls(spots) / 1.3) ** 2))
    slide.place(make_nuclei(rng, between(rng, 0.95, 1.25) * cell, 0.75, between(rng, 0.6, 1)), spots)
    depth = ndimage.distance_transform_edt(nests)
    centres = np.argwhere(depth > 2.2 * cell)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    for _ in range(int(rng.integers(1, 5)) if len(centres) else 0):
        row, column = centres[int(rng.integers(len(centres)))]
        r = np.hypot(rows - row, columns - column) * (1 + 0.12 * noise(rng, size, 6))
        pearl = (r < cell * between(rng, 1.5, 3)) & nests
        slide.body[pearl] = (1.15 + 0.35 * np.sin(r * 2 * np.pi / max(0.45 * cell, 2.5)))[pearl]
        slide.nuclear[pearl] *= 0.12
        slide.mark("keratin", pearl)
    slide.masks["stroma"] &= ~nests
    slide.masks["squamous cell carcinoma"] = nests
    slide.found.append("squamous cell carcinoma")


def sheets(slide: Slide) -> None:
    """A solid tumour: large uneven cells side by side, up to an edge or everywhere."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    stroma(slide, between(rng, 1.6, 3))
    area = fractal(rng, size, between(rng, 1.5, 4), 3) > between(rng, -1.6, 0.4)
    slide.fibre[area] *= 0.15
    slide.nuclear[area] = 0
    slide.body[area] = (between(rng, 0.3, 0.8) * (1 + 0.15 * noise(rng, size, size / cell)))[area]
    atypia = between(rng, 0.45, 1)
    nuclei = make_nuclei(rng, between(rng, 1.0, 1.3) * cell, between(rng, 0.65, 0.9), atypia, between(rng, 0.8, 1.2))
    slide.place(nuclei, slide.scatter(cell * between(rng, 0.95, 1.3), area))
    if chance(rng, 0.3):
        dead = area & (fractal(rng, size, 3, 2) > 1.1)
        slide.nuclear[dead] *= 0.25
        slide.body[dead] = 0.75 + 0.2 * noise(rng, size, size / (0.6 * cell))[dead]
        slide.mark("necrosis", dead)
    slide.masks["stroma"] &= ~area
    slide.masks["tumour"] = area
    slide.found.append("tumour")


MALIGNANT: tuple[tuple[Architecture, float], ...] = ((adenocarcinoma, 0.42), (squamous_carcinoma, 0.26), (sheets, 0.32))
