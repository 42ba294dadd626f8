"""Architectures of healthy tissue: glands, crypts, squamous layers, fat, lymphoid tissue, muscle, liver, kidney, lung.

Every function fills a slide.
"""

from collections.abc import Callable

import numpy as np

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.histology_slide import Gland, Nuclei, Slide, lattice, make_gland, make_nuclei
from mmedagent.training.phantoms.shapes import fractal, noise

Architecture = Callable[[Slide], None]


def stroma(slide: Slide, dense: float = 2.2, area: Mask | None = None) -> None:
    """Collagen in wavy bundles with slender nuclei along them."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    stripes, angle = slide.waves(cell * between(rng, 0.8, 2.5), between(rng, 0.2, 1.2))
    loose = between(rng, 0.1, 0.4)
    bundles = 0.5 + between(rng, 0.05, 0.25) * stripes + loose * fractal(rng, size, between(rng, 5, 14), 3, 0.7)
    slide.fibre = np.clip(bundles, 0.02, 1.1)
    if area is not None:
        slide.fibre = slide.fibre * area
    spots = slide.scatter(cell * dense * between(rng, 0.7, 1.4), area)
    index = np.clip(spots.astype(int), 0, size - 1)
    slide.place(make_nuclei(rng, 0.85 * cell, 0.35), spots, np.pi - angle[index[:, 0], index[:, 1]])
    slide.mark("stroma", slide.fibre > 0.08)


def lymphocytes(slide: Slide, area: Mask, spread: float = 0.8) -> None:
    """Small round dark nuclei, densely."""
    small = make_nuclei(slide.rng, 0.55 * slide.cell, 0.95, dark=1.2)
    slide.place(small, slide.scatter(spread * slide.cell, area))


def set_gland(slide: Slide, gland: Gland, nuclei: Nuclei, lumen: float, rows: int, tone: float, mucin: float) -> None:
    """Epithelium around a lumen, nuclei in `rows` from the base, with pale mucin in a share of the cells."""
    rng, cell = slide.rng, slide.cell
    window, level = gland.level(slide.size)
    if level.size == 0:
        return
    inside, hollow = level < 1, level < lumen
    for part in (slide.nuclear, slide.fibre):
        part[window][inside] = 0
    wave = 1 + 0.2 * rng.standard_normal()
    slide.body[window][inside] = tone * wave * (0.8 + 0.3 * level[inside])
    around = 2 * np.pi * float(np.mean(gland.radii))
    count = max(6, int(around / (cell * 0.75)))
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.4 / count, count)
    thick = (1 - lumen) * float(np.mean(gland.radii))
    if mucin > 0 and thick > 0.8 * cell:
        vacuoles = gland.outline(turns[rng.random(count) < mucin], 1 - 0.62 * (1 - lumen))
        paint_discs(slide, vacuoles, 0.3 * cell, 0.12)
    for row in range(rows):
        depth = 1 - (1 - lumen) * (0.22 + row * min(0.8 / max(rows, 1), 0.62 * cell / max(thick, 1)))
        slide.place(nuclei, gland.outline(turns + row * np.pi / count, depth), -turns - gland.angle + np.pi)
    for part in (slide.nuclear, slide.body):
        part[window][hollow] *= 0.06
    slide.mark("glands", inside, window)
    if hollow.sum() > 20:
        slide.mark("lumen", hollow, window)


def paint_discs(slide: Slide, spots: Field, radius: float, left: float) -> None:
    """Wash out discs around spots."""
    side = max(1, round(radius))
    rows, columns = np.mgrid[-side : side + 1, -side : side + 1]
    offsets = np.argwhere(np.hypot(rows, columns) <= radius) - side
    places = np.clip((spots[:, None] + offsets[None]).reshape(-1, 2).astype(int), 0, slide.size - 1)
    slide.body[places[:, 0], places[:, 1]] *= np.float32(left)


def crypts(slide: Slide) -> None:
    """Regular glands of one size, as in the colon or the stomach: round in cross-section or long side by side."""
    rng, cell = slide.rng, slide.cell
    stroma(slide, between(rng, 1.0, 1.8))
    pitch, slim, tilt = cell * between(rng, 6, 10), float(rng.choice([0.9, 0.9, 0.45])), between(rng, 0, 3.1)
    nuclei = make_nuclei(rng, 0.8 * cell, 0.55)
    mucin, lumen, tone = between(rng, 0, 0.9), between(rng, 0.12, 0.4), between(rng, 0.45, 0.8)
    for spot in lattice(rng, slide.size, pitch, 0.12):
        longest = pitch * between(rng, 0.37, 0.44)
        gland = make_gland(rng, (float(spot[0]), float(spot[1])), longest, slim * between(rng, 0.85, 1.1), 0.03, tilt)
        set_gland(slide, gland, nuclei, lumen, 1, tone, mucin)


def ducts(slide: Slide) -> None:
    """A few benign ducts or acini of different sizes in loose tissue."""
    rng, cell = slide.rng, slide.cell
    stroma(slide, between(rng, 1.5, 3))
    nuclei = make_nuclei(rng, 0.75 * cell, between(rng, 0.6, 0.9))
    taken: list[Gland] = []
    tone, rows = between(rng, 0.4, 0.8), int(rng.integers(1, 3))
    for _ in range(int(rng.integers(4, 24))):
        longest, centre = between(rng, 2.5, 8) * cell, (between(rng, 0, slide.size), between(rng, 0, slide.size))
        gaps = (np.hypot(centre[0] - g.centre[0], centre[1] - g.centre[1]) - max(g.radii) for g in taken)
        if any(gap < 1.3 * longest for gap in gaps):
            continue
        taken.append(make_gland(rng, centre, longest, between(rng, 0.55, 1), 0.06, between(rng, 0, 3.1)))
        lumen = max(0.1, 1 - (0.9 + 0.6 * rows) * cell / longest)
        set_gland(slide, taken[-1], nuclei, min(lumen, 0.75), rows, tone, 0.0)


def squamous(slide: Slide) -> None:
    """Layers of flat cells: keratin on top, a dark row at the base, papillae of stroma between."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    stroma(slide)
    rows = np.arange(size, dtype=np.float32)[:, None] / np.float32(size)
    papillae = between(rng, 0.03, 0.12) * np.sin(np.linspace(0, between(rng, 8, 50), size) + 3 * noise(rng, size, 3)[0])
    base = between(rng, 0.55, 0.9) + papillae + 0.05 * noise(rng, size, 4)[0]
    top = between(rng, 0.05, 0.3) + 0.03 * noise(rng, size, 4)[0]
    share = (rows - top[None]) / np.maximum(base - top, 0.1)[None]
    layer = (share > 0) & (share < 1)
    slide.nuclear[share < 1] = 0
    slide.fibre[share < 1] = 0
    spots = slide.scatter(cell * 1.35, layer)
    index = np.clip(spots.astype(int), 0, size - 1)
    deep = share[index[:, 0], index[:, 1]]
    tone = between(rng, 0.5, 0.8)
    slide.body = np.where(layer, np.float32(tone), slide.body)
    if cell > 9 and len(spots) > 3:
        slide.body += layer * 0.35 * np.exp(-((slide.walls(spots) / 1.2) ** 2))
    flat, plump = make_nuclei(rng, 0.75 * cell, 0.35), make_nuclei(rng, 0.75 * cell, 0.85)
    slide.place(flat, spots[deep < 0.35], np.zeros(int((deep < 0.35).sum())))
    slide.place(plump, spots[deep >= 0.35])
    slide.place(plump, slide.scatter(0.8 * cell, (share > 0.82) & (share < 1)))
    keratin = (share <= 0) & (share > -between(rng, 0.1, 0.5))
    slide.body[keratin] = (0.9 + 0.4 * np.sin(rows * size * 2.2 / max(cell * 0.3, 1.5) + 2 * noise(rng, size, 5)))[
        keratin
    ]
    slide.mark("epithelium", layer)
    slide.masks["stroma"] &= share >= 1
    if keratin.sum() > 50:
        slide.mark("keratin", keratin)
    slide.clear((share <= 0) & ~keratin)


def fat(slide: Slide) -> None:
    """Fat cells: large white holes with thin walls, with strands of stroma."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    stroma(slide, 3)
    lobule = fractal(rng, size, 2.5, 3) > between(rng, -2, -0.2)
    spots = lattice(rng, size, max(8.0, cell * between(rng, 3, 6)), 0.35)
    walls = slide.walls(spots) if len(spots) > 3 else np.zeros((size, size), np.float32)
    holes = lobule & (walls > max(0.7, 0.09 * cell))
    slide.nuclear[lobule] *= walls[lobule] < 2
    slide.clear(holes)
    slide.mark("adipose tissue", lobule)
    slide.masks["stroma"] &= ~lobule


def lymphoid(slide: Slide) -> None:
    """Dense lymphocytes with paler follicle centres and sinuses."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    slide.fibre[:] = between(rng, 0.1, 0.3)
    slide.body[:] = between(rng, 0.1, 0.3)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    follicles = np.zeros((size, size), np.bool_)
    for spot in lattice(rng, size, cell * between(rng, 14, 26), 0.25):
        r = np.hypot(rows - spot[0], columns - spot[1]) * (1 + 0.1 * noise(rng, size, 4))
        follicles |= r < cell * between(rng, 4, 7)
    lymphocytes(slide, ~follicles, between(rng, 0.62, 0.85))
    slide.place(make_nuclei(rng, 0.95 * cell, 0.85, 0.3, 0.75), slide.scatter(1.15 * cell, follicles))
    if follicles.any():
        slide.mark("lymphoid follicle", follicles)


def muscle(slide: Slide) -> None:
    """Muscle cut along or across its fibres, with slender nuclei and thin septa."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    if chance(rng, 0.35):
        spots = lattice(rng, size, cell * between(rng, 2, 4), 0.3)
        walls = slide.walls(spots) if len(spots) > 3 else np.ones((size, size), np.float32)
        fibres = walls > 0.16 * cell
        slide.body = np.where(fibres, np.float32(between(rng, 0.7, 1.0)), 0) * (1 + 0.1 * fractal(rng, size, 30, 2))
        slide.fibre[~fibres] = between(rng, 0.05, 0.4)
        slide.place(make_nuclei(rng, 0.6 * cell, 0.4), slide.scatter(cell * 1.6, walls < 0.35 * cell))
    else:
        stripes, angle = slide.waves(cell * between(rng, 0.9, 2.2), between(rng, 0.05, 0.5))
        fibres = stripes > between(rng, -0.95, -0.7)
        slide.body = np.clip(between(rng, 0.6, 0.9) + between(rng, 0.05, 0.2) * stripes, 0, 1.2) * fibres
        slide.fibre[~fibres] = between(rng, 0.05, 0.5)
        spots = slide.scatter(cell * between(rng, 1.6, 2.6))
        index = np.clip(spots.astype(int), 0, size - 1)
        slide.place(make_nuclei(rng, 1.3 * cell, 0.22), spots, np.pi - angle[index[:, 0], index[:, 1]])
    slide.mark("muscle", fibres)


def liver(slide: Slide) -> None:
    """Plates of polygonal cells with round nuclei, slits between them, portal tracts."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    spots = lattice(rng, size, 1.7 * cell, 0.22)
    slide.body[:] = between(rng, 0.6, 0.9) * (1 + 0.12 * fractal(rng, size, size / (0.8 * cell), 2, 0.8))
    if cell > 6 and len(spots) > 3:
        slide.body += 0.15 * np.exp(-((slide.walls(spots) / 1.2) ** 2))
    slide.place(make_nuclei(rng, 0.75 * cell, 0.95, dark=0.85), spots)
    slits = np.abs(fractal(rng, size, size / (3.2 * cell), 2)) < between(rng, 0.05, 0.16)
    slide.clear(slits, 0.1)
    slide.mark("hepatocytes", ~slits)
    if chance(rng, 0.5):
        tract = fractal(rng, size, 2, 2) > 1.2
        slide.body[tract] = 0
        slide.nuclear[tract] = 0
        slide.fibre[tract] = 0.55
        lymphocytes(slide, tract, 1.3)
        slide.masks["hepatocytes"] &= ~tract
        slide.mark("stroma", tract)


def kidney(slide: Slide) -> None:
    """Tubules side by side, with glomeruli in their white spaces."""
    rng, cell = slide.rng, slide.cell
    stroma(slide, 3)
    nuclei = make_nuclei(rng, 0.7 * cell, 0.95)
    pitch, tone = cell * between(rng, 4, 6), between(rng, 0.5, 0.9)
    for spot in lattice(rng, slide.size, pitch, 0.2):
        place = (float(spot[0]), float(spot[1]))
        gland = make_gland(
            rng, place, pitch * between(rng, 0.42, 0.52), between(rng, 0.7, 1), 0.04, between(rng, 0, 3.1)
        )
        set_gland(slide, gland, nuclei, between(rng, 0.25, 0.5), 1, tone, 0.0)
    for spot in lattice(rng, slide.size, pitch * 5, 0.4)[:6]:
        ball = make_gland(rng, (float(spot[0]), float(spot[1])), pitch * 1.3, between(rng, 0.85, 1), 0.04, 0.0)
        window, level = ball.level(slide.size)
        if level.size:
            area = np.zeros((slide.size, slide.size), np.bool_)
            area[window] = level < 1.15
            slide.clear(area)
            area[window] = level < 1
            slide.body[area] = 0.5
            slide.place(make_nuclei(rng, 0.6 * cell, 0.8), slide.scatter(0.85 * cell, area))
            slide.mark("glomerulus", area)


def alveoli(slide: Slide) -> None:
    """Lung or thyroid: large spaces, empty or full of colloid, with thin walls of cells."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    spots = lattice(rng, size, cell * between(rng, 6, 12), 0.35)
    walls = slide.walls(spots) if len(spots) > 3 else np.zeros((size, size), np.float32)
    walls = walls + between(rng, 0.2, 0.6) * cell * fractal(rng, size, size / (5 * cell), 3, 0.7)
    septa = walls < cell * between(rng, 0.5, 1.1)
    slide.fibre[septa] = between(rng, 0.3, 0.6)
    slide.body[septa] = between(rng, 0.1, 0.4)
    slide.place(make_nuclei(rng, 0.75 * cell, 0.8), slide.scatter(1.05 * cell, septa))
    if chance(rng, 0.4):
        colloid = ~septa & (walls > between(rng, 0, 1.3) * cell)
        slide.body[colloid] = between(rng, 0.4, 0.9)
        slide.mark("colloid", colloid)
    else:
        slide.clear(~septa)
    slide.mark("septa", septa)


def neuropil(slide: Slide) -> None:
    """Brain: a fine pink felt with few round nuclei."""
    rng, size, cell = slide.rng, slide.size, slide.cell
    slide.body[:] = between(rng, 0.3, 0.7) * (1 + 0.25 * fractal(rng, size, size / (0.6 * cell), 3, 0.9))
    slide.place(make_nuclei(rng, 0.7 * cell, 0.9), slide.scatter(cell * between(rng, 1.8, 3.2)))
    slide.place(make_nuclei(rng, 1.0 * cell, 0.8, 0.3, 0.7), slide.scatter(cell * between(rng, 3, 6)))


BENIGN: tuple[tuple[Architecture, float], ...] = (
    (crypts, 0.2), (ducts, 0.16), (stroma, 0.08), (squamous, 0.11), (fat, 0.08), (lymphoid, 0.07), (muscle, 0.1),
    (liver, 0.06), (kidney, 0.05), (alveoli, 0.06), (neuropil, 0.03),
)  # fmt: skip
