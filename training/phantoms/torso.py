"""Axial anatomy of the trunk, painted with any table of tissue values (CT numbers or MR signal).

Image left is the patient's right and the front is up, as radiologists view axial slices. The trunk spans about
[-0.95, 0.95] x [-0.65, 0.65].
"""

from collections.abc import Mapping

import numpy as np

from mmedagent.training.phantoms.base import Field
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Point, Scene, Stroke, blob, curves, noise, union

Tissue = Mapping[str, float]
SPINE: Point = (0.0, 0.27)


def textured(rng: np.random.Generator, scene: Scene, value: float, spread: float, cells: float = 24) -> Field:
    """`value` with smooth variation of standard deviation `spread`."""
    return np.float32(value) + np.float32(spread) * noise(rng, scene.view.shape[0], cells)


def wall(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> None:
    """Skin, subcutaneous fat, the muscle wall and the fat inside it."""
    view = scene.view
    depth = between(rng, 0.015, 0.16)
    width, height = between(rng, 0.85, 0.97), between(rng, 0.55, 0.72)
    lumps = between(rng, 0.0, 0.025)
    for inset, name, label in (
        (0.0, "muscle", "body"), (0.014, "fat", None), (depth + 0.014, "muscle", None),
        (depth + between(rng, 0.06, 0.1), "fat", None),
    ):  # fmt: skip
        shape = blob(view, rng, (0.0, 0.0), (width - inset, height - inset), lumps=lumps * (inset == 0))
        scene.paint(shape, textured(rng, scene, tissue[name], tissue["spread"]), label, inside=True)
    for side in (-1, 1):
        back = blob(view, rng, (0.19 * side, 0.45), (0.17, 0.11), angle=0.3 * side, lumps=0.12)
        scene.paint(back, textured(rng, scene, tissue["muscle"], tissue["spread"] * 2), None, inside=True)


def vertebra(scene: Scene, rng: np.random.Generator, tissue: Tissue, centre: Point, scale: float) -> None:
    """Vertebral body, arch, processes and canal; cortical rim around a spongy core."""
    view, (cx, cy) = scene.view, centre

    def part(x: float, y: float, a: float, b: float, angle: float = 0.0, edge: float = 1.5) -> Field:
        place = (cx + x * scale, cy + y * scale)
        return blob(view, rng, place, (a * scale, b * scale), angle, lumps=0.06, edge=edge)

    spread = between(rng, 0.16, 0.26)
    droop = between(rng, -0.25, 0.35)
    parts = [part(0, 0, 0.17, between(rng, 0.125, 0.16)), part(0, 0.4, 0.032, between(rng, 0.08, 0.15))]
    for side in (-1, 1):
        parts += [
            part(0.105 * side, 0.13, 0.035, 0.09),
            part(0.075 * side, 0.27, 0.1, 0.035, angle=-0.55 * side),
            part(spread * side, 0.2, 0.12, 0.036, angle=droop * side),
        ]
    rim = between(rng, 0.6, 1.0)
    cortex = rim * tissue["bone"] + (1 - rim) * tissue["marrow"]
    spongy = textured(rng, scene, tissue["marrow"], abs(tissue["bone"] - tissue["marrow"]) * 0.08, 70)
    scene.paint(union(parts), cortex, "vertebra")
    scene.paint(part(0, 0, 0.15, 0.115, edge=3), spongy, None, inside=True)
    canal = part(0, 0.19, 0.08, 0.065)
    scene.paint(canal, tissue["fat"] if chance(rng, 0.3) else tissue["fluid"], "spinal canal")
    scene.paint(part(0, 0.19, 0.05, 0.042), tissue["cord"], "spinal cord", inside=True)


def ribs(scene: Scene, rng: np.random.Generator, tissue: Tissue, reach: Point = (0.8, 0.52)) -> None:
    """Short oblique sections of ribs around the chest wall."""
    for turn in np.linspace(0.1, 2 * np.pi, int(rng.integers(7, 15)), endpoint=False) + between(rng, 0, 0.5):
        place = (reach[0] * float(np.cos(turn)), reach[1] * float(np.sin(turn)))
        along = float(np.arctan2(reach[1] * np.cos(turn), -reach[0] * np.sin(turn)))
        radii = (between(rng, 0.05, 0.12), between(rng, 0.02, 0.032))
        scene.paint(blob(scene.view, rng, place, radii, along, lumps=0.05), tissue["bone"], "ribs")
        inner = blob(scene.view, rng, place, (radii[0] * 0.8, radii[1] * 0.5), along, lumps=0.0, edge=2)
        scene.paint(inner, tissue["marrow"], None, inside=True)


def _kidney(scene: Scene, rng: np.random.Generator, tissue: Tissue, side: int, name: str) -> None:
    place = (side * between(rng, 0.36, 0.48), between(rng, 0.16, 0.27))
    radii = (between(rng, 0.1, 0.14), between(rng, 0.13, 0.18))
    angle = between(rng, 0.1, 0.5) * side
    outline = blob(scene.view, rng, place, radii, angle, lumps=0.06)
    scene.paint(outline, tissue["cortex"], name)
    medulla = blob(scene.view, rng, place, (radii[0] * 0.65, radii[1] * 0.7), angle, lumps=0.12, edge=2.5)
    scene.paint(medulla, tissue["kidney"], None, inside=True)
    hilum = (place[0] - side * radii[0] * 0.5, place[1] - radii[1] * 0.1)
    sinus = blob(scene.view, rng, hilum, (radii[0] * 0.55, radii[1] * 0.35), angle, lumps=0.2)
    scene.paint(sinus, tissue["fat"], None, inside=not chance(rng, 0.3))


def _bowel(scene: Scene, rng: np.random.Generator, tissue: Tissue, count: int) -> None:
    for _ in range(count):
        place = (between(rng, -0.6, 0.6), between(rng, -0.38, 0.12))
        radii = (between(rng, 0.06, 0.13), between(rng, 0.05, 0.09))
        angle = between(rng, 0, 3.1)
        scene.paint(blob(scene.view, rng, place, radii, angle, lumps=0.12), tissue["bowel"], "bowel")
        filling = tissue[str(rng.choice(["gas", "fluid", "contrast"]))]
        core = (radii[0] * 0.75, radii[1] * 0.7)
        scene.paint(blob(scene.view, rng, place, core, angle, lumps=0.15), filling, None, inside=True)


def _lesions(scene: Scene, rng: np.random.Generator, tissue: Tissue, organ: str) -> list[str]:
    mask = scene.masks().get(organ)
    if mask is None or mask.sum() < 300:
        return []
    rows, columns = np.nonzero(mask)
    for _ in range(int(rng.integers(1, 4))):
        pick = int(rng.integers(len(rows)))
        place = (float(scene.view.x[rows[pick], columns[pick]]), float(scene.view.y[rows[pick], columns[pick]]))
        size = between(rng, 0.03, 0.12)
        shape = blob(scene.view, rng, place, (size, size * between(rng, 0.7, 1)), between(rng, 0, 3), lumps=0.12)
        shape = shape * mask
        scene.paint(shape, textured(rng, scene, tissue["lesion"], tissue["spread"]), f"{organ} lesion", inside=True)
        if chance(rng, 0.3):
            core = blob(scene.view, rng, place, (size * 0.5, size * 0.4), 0.0, lumps=0.2) * mask
            scene.paint(core, tissue["fluid"], None, inside=True)
    return [f"{organ} lesion"]


def _upper_organs(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> None:
    """Liver with its vessels, stomach, spleen and gallbladder."""
    view, spread = scene.view, tissue["spread"]
    right = blob(view, rng, (-0.42, between(rng, -0.12, 0.05)), (between(rng, 0.26, 0.4), between(rng, 0.25, 0.38)))
    left = blob(view, rng, (-0.1, -0.25), (between(rng, 0.15, 0.42), between(rng, 0.08, 0.17)), 0.1, lumps=0.12)
    scene.paint(union([right, left]), textured(rng, scene, tissue["liver"], spread), "liver")
    for _ in range(int(rng.integers(2, 9))):
        place = (between(rng, -0.65, -0.15), between(rng, -0.3, 0.2))
        radii = (between(rng, 0.01, 0.06), between(rng, 0.008, 0.016))
        vein = blob(view, rng, place, radii, between(rng, 0, 3.1), lumps=0.1) * scene.masks().get("liver", right)
        scene.paint(vein, tissue["vein"], None, inside=True)
    if chance(rng, 0.7):
        stomach = blob(view, rng, (0.33, -0.2), (between(rng, 0.16, 0.3), between(rng, 0.1, 0.2)), 0.3, lumps=0.12)
        scene.paint(stomach, tissue[str(rng.choice(["fluid", "bowel", "contrast"]))], "stomach")
        scene.paint(stomach * (view.y < between(rng, -0.35, -0.2)), tissue["gas"], None, inside=True)
    if chance(rng, 0.8):
        spleen = blob(view, rng, (between(rng, 0.55, 0.66), 0.05), (0.13, between(rng, 0.17, 0.28)), 0.25)
        scene.paint(spleen, textured(rng, scene, tissue["spleen"], spread), "spleen")
    if chance(rng, 0.5):
        place = (between(rng, -0.4, -0.15), between(rng, -0.3, -0.15))
        gallbladder = blob(view, rng, place, (between(rng, 0.06, 0.13), between(rng, 0.05, 0.09)), 0.9)
        scene.paint(gallbladder, tissue["fluid"], "gallbladder")


def abdomen(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """Upper to lower abdomen; organs come and go with the level. Returns the findings."""
    view, spread = scene.view, tissue["spread"]
    wall(scene, rng, tissue)
    upper, middle = chance(rng, 0.7), chance(rng, 0.75)
    _bowel(scene, rng, tissue, int(rng.integers(0, 5)) if upper else int(rng.integers(5, 14)))
    if upper:
        _upper_organs(scene, rng, tissue)
    if chance(rng, 0.6):
        pancreas = blob(view, rng, (0.1, -0.04), (between(rng, 0.18, 0.28), 0.05), between(rng, -0.6, 0.1), lumps=0.18)
        scene.paint(pancreas, textured(rng, scene, tissue["pancreas"], spread * 2, 40), "pancreas")
    if middle:
        for side, name in ((-1, "right kidney"), (1, "left kidney")):
            if chance(rng, 0.93):
                _kidney(scene, rng, tissue, side, name)
    for side in (-1, 1):
        psoas = blob(view, rng, (0.17 * side, 0.29), (0.07, between(rng, 0.07, 0.11)), -0.2 * side)
        scene.paint(psoas, textured(rng, scene, tissue["muscle"], spread), "psoas")
    vertebra(scene, rng, tissue, SPINE, between(rng, 0.85, 1.1))
    if upper and chance(rng, 0.7):
        ribs(scene, rng, tissue, (0.78, 0.5))
    size = between(rng, 0.04, 0.065)
    scene.paint(blob(view, rng, (0.05, 0.07), (size, size), lumps=0.03), tissue["vessel"], "aorta")
    scene.paint(blob(view, rng, (-0.11, 0.06), (0.065, 0.05), lumps=0.08), tissue["vein"], "vena cava")
    findings: list[str] = []
    for organ, odds in (("liver", 0.35), ("right kidney", 0.15), ("left kidney", 0.15), ("spleen", 0.08)):
        if chance(rng, odds):
            findings += _lesions(scene, rng, tissue, organ)
    return tuple(sorted(findings))


def _lung_vessels(scene: Scene, rng: np.random.Generator) -> Field:
    """Short vessel sections, thicker near the hilum."""
    strokes = []
    for _ in range(int(rng.integers(25, 90))):
        x, y = float(rng.choice([-1, 1])) * between(rng, 0.12, 0.7), between(rng, -0.4, 0.4)
        width = 0.008 + 0.05 * max(0.0, 0.5 - abs(abs(x) - 0.1)) * between(rng, 0.2, 1)
        turn, length = between(rng, 0, 3.1), width * between(rng, 0.5, 4)
        ends = [(x, y), (x + length * float(np.cos(turn)), y + length * float(np.sin(turn)))]
        strokes.append(Stroke(np.asarray(ends, np.float32), width, between(rng, 0.5, 1)))
    return curves(scene.view, strokes)


def thorax(scene: Scene, rng: np.random.Generator, tissue: Tissue) -> tuple[str, ...]:
    """Lungs, mediastinum, heart, great vessels and chest wall. Returns the findings."""
    view = scene.view
    wall(scene, rng, tissue)
    findings: list[str] = []
    lungs = []
    for side, name in ((-1, "right lung"), (1, "left lung")):
        place = (side * between(rng, 0.4, 0.47), between(rng, -0.06, 0.03))
        lung = blob(view, rng, place, (between(rng, 0.3, 0.37), between(rng, 0.37, 0.47)), 0.08 * side)
        scene.paint(lung, textured(rng, scene, tissue["lung"], tissue["spread"] * 4, 8), name)
        lungs.append(lung)
    inside_lungs = union(lungs)
    scene.paint(_lung_vessels(scene, rng) * inside_lungs, tissue["muscle"], None, inside=True)
    low = chance(rng, 0.6)
    heart_size = (between(rng, 0.22, 0.36), between(rng, 0.18, 0.27)) if low else (0.17, 0.2)
    heart = blob(view, rng, (between(rng, 0.0, 0.15), -0.12), heart_size, 0.4, lumps=0.1)
    scene.paint(heart, textured(rng, scene, tissue["heart"], tissue["spread"] * 2, 10), "heart" if low else None)
    scene.paint(blob(view, rng, (0.1, 0.12), (0.06, 0.06), lumps=0.03), tissue["vessel"], "aorta")
    scene.paint(blob(view, rng, (-0.01, 0.06), (0.045, 0.045), lumps=0.1), tissue["muscle"], None)
    if not low:
        scene.paint(blob(view, rng, (0.0, 0.0), (0.045, 0.05), lumps=0.05), tissue["gas"], "trachea")
    if chance(rng, 0.3):
        size = between(rng, 0.025, 0.1)
        place = (float(rng.choice([-1, 1])) * between(rng, 0.35, 0.55), between(rng, -0.25, 0.25))
        nodule = blob(view, rng, place, (size, size * between(rng, 0.7, 1)), 0.0, lumps=0.14)
        scene.paint(nodule, tissue["muscle"], "lung nodule", inside=True)
        findings.append("lung nodule")
    if chance(rng, 0.2):
        fluid = lungs[int(rng.integers(2))] * np.clip((view.y - between(rng, 0.15, 0.32)) * 40, 0, 1)
        scene.paint(fluid.astype(np.float32), tissue["fluid"], "pleural effusion")
        findings.append("pleural effusion")
    vertebra(scene, rng, tissue, SPINE, between(rng, 0.9, 1.15))
    ribs(scene, rng, tissue)
    if chance(rng, 0.6):
        sternum = blob(view, rng, (0.0, -0.5), (between(rng, 0.05, 0.12), 0.03), lumps=0.05)
        scene.paint(sternum, 0.5 * (tissue["bone"] + tissue["marrow"]), "sternum")
    return tuple(sorted(findings))


def table(scene: Scene, rng: np.random.Generator, value: float) -> None:
    """The patient table: a thin curved line below the body."""
    view = scene.view
    depth, curve = between(rng, 0.7, 0.95), between(rng, 0.0, 0.25)
    distance = np.abs(view.y - (depth - curve * view.x**2))
    width = between(rng, 0.01, 0.03)
    line = np.clip((width - distance) / view.step[1] + 0.5, 0, 1) * (np.abs(view.x) < between(rng, 0.6, 1.2))
    outside = scene.masks().get("body")
    scene.paint(line.astype(np.float32) * (1 if outside is None else ~outside), value, None, inside=True)


def field_of_view(scene: Scene, rng: np.random.Generator, value: float) -> None:
    """Everything outside the circle of reconstruction becomes the padding value."""
    reach = between(rng, 1.0, 1.25)
    rows, columns = np.ogrid[-1 : 1 : scene.view.shape[0] * 1j, -1 : 1 : scene.view.shape[1] * 1j]
    scene.paint((rows**2 + columns**2 > reach**2).astype(np.float32), value, None)
