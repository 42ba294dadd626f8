"""Ultrasound: scans of every probe shape, alone or in pairs, with flow, traces over time, and the machine's screen."""

from collections.abc import Callable

import numpy as np

from mmedagent.training.phantoms import ultrasound_parts as parts
from mmedagent.training.phantoms import ultrasound_trunk as trunk
from mmedagent.training.phantoms.base import Field, Mask, Phantom, Pixels
from mmedagent.training.phantoms.finish import between, chance, colour, compress
from mmedagent.training.phantoms.shapes import Scene, make_view
from mmedagent.training.phantoms.ultrasound_scan import (
    Body,
    Box,
    Look,
    Probe,
    beams,
    make_look,
    make_probe,
    scan_converted,
    speckled,
)
from mmedagent.training.phantoms.ultrasound_screen import film, flow, furnish, motion, paste, spectrum, tinted

_PAINTERS: tuple[tuple[Callable[[Body], tuple[str, str]], float], ...] = (
    (trunk.apical, 0.12), (trunk.parasternal, 0.06), (trunk.short_axis, 0.05), (trunk.liver, 0.12),
    (trunk.kidney, 0.08), (trunk.gallbladder, 0.05), (trunk.bladder, 0.04), (trunk.great_vessels, 0.04),
    (parts.carotid, 0.06),
    (parts.thyroid, 0.08), (parts.node, 0.06), (parts.muscle, 0.09), (parts.breast, 0.05), (parts.fetus, 0.05),
    (parts.early_pregnancy, 0.03), (parts.lung, 0.02),
)  # fmt: skip
"""Who paints what lies under the probe, and how often."""

_SHAPES = {
    "heart": ("sector",),
    "abdomen": ("curved", "curved", "curved", "sector", "full", "linear"),
    "pelvis": ("curved", "curved", "sector", "full"),
    "fetus": ("curved", "curved", "sector", "full"),
    "chest": ("curved", "linear", "sector", "full"),
}
_SHALLOW = ("linear", "linear", "trapezoid", "full", "full", "curved")
"""Probes for what lies just below the skin."""
_LUMENS = (
    "left ventricle", "right ventricle", "left atrium", "right atrium", "aorta", "vessels", "carotid artery",
    "inferior vena cava",
)  # fmt: skip


def _box(rng: np.random.Generator) -> Box:
    """Where the scan lies: nearly everywhere, or between wide margins."""
    if chance(rng, 0.5):
        left, top, right, bottom = (between(rng, 0.0, 0.06) for _ in range(4))
    else:
        left, right = between(rng, 0.02, 0.28), between(rng, 0.02, 0.28)
        top, bottom = between(rng, 0.02, 0.15), between(rng, 0.02, 0.2)
    return left, top, 1 - right, 1 - bottom


def _painted(rng: np.random.Generator, size: int, box: Box) -> tuple[Body, str, str]:
    """Tissue whose coordinates fill the box, its body part and view."""
    half = (between(rng, 0.85, 1.1) / (box[2] - box[0]), between(rng, 0.9, 1.05) / (box[3] - box[1]))
    middle = (box[0] + box[2] - 1, box[1] + box[3] - 1)
    centre = (-middle[0] * half[0], -middle[1] * half[1])
    scene = Scene(make_view(rng, size, centre, half, tilt=0.2, warp=between(rng, 0.01, 0.04)), 0.2)
    body = Body(rng, scene)
    weights = np.array([weight for _, weight in _PAINTERS])
    painter = _PAINTERS[int(rng.choice(len(_PAINTERS), p=weights / weights.sum()))][0]
    anatomy, view = painter(body)
    return body, anatomy, view


class _Frame:
    """The picture as it grows: grey or RGB values, masks, findings."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.grey: Field = np.zeros((size, size), np.float32)
        self.masks: dict[str, Mask] = {}
        self.found: set[str] = set()

    def add(self, body: Body, probe: Probe, echo: Field, look: Look) -> None:
        """Show a scan and what is in it."""
        self.grey = np.maximum(self.grey, scan_converted(speckled(self.rng, echo, look), probe))
        for name, mask in body.scene.masks().items():
            inside = mask & probe.seen
            self.masks[name] = self.masks[name] | inside if name in self.masks else inside
        self.found |= set(body.found)


def _layout(rng: np.random.Generator) -> tuple[str, list[Box], Box | None]:
    """How the screen is shared out: boxes of scans, and the box of a trace over time."""
    draw = rng.random()
    if draw < 0.08:
        low, high = between(rng, 0.0, 0.15), between(rng, 0.85, 1.0)
        return "dual", [(0.0, low, 0.495, high), (0.505, low, 1.0, high)], None
    if draw < 0.17:
        split = between(rng, 0.3, 0.6)
        side = (between(rng, 0.1, 0.3), 0.02, between(rng, 0.7, 0.9), split)
        return (
            str(rng.choice(["spectrum", "motion"])),
            [side],
            (between(rng, 0, 0.08), split + 0.03, 1.0, between(rng, 0.93, 1)),
        )
    return "single", [_box(rng)], None


def _shape(rng: np.random.Generator, anatomy: str, layout: str) -> str:
    shape = str(rng.choice(_SHAPES.get(anatomy, _SHALLOW)))
    return "linear" if shape == "full" and layout != "single" else shape


def _coloured(rng: np.random.Generator, frame: _Frame, body: Body, probe: Probe) -> Field:
    """RGB with a tint or with flow."""
    rgb = tinted(rng, frame.grey) if chance(rng, 0.3) else np.repeat(frame.grey[..., None], 3, axis=2)
    if not chance(rng, 0.25):
        return rgb
    lumens = [frame.masks[name] for name in _LUMENS if name in frame.masks]
    nothing = np.zeros(frame.grey.shape, np.bool_)
    rgb, moving = flow(rng, rgb, body.scene.view, probe, np.logical_or.reduce(lumens) if lumens else nothing)
    frame.masks["colour flow"] = moving
    return rgb


def _finished(rng: np.random.Generator, rgb: Field, bare: bool) -> Pixels:
    """Pixels with the furniture of the machine, grey again where nothing is coloured."""
    busy = between(rng, 0, 0.3) if bare else float(rng.choice([0.0, 0.4, 0.8, 1.0], p=(0.2, 0.3, 0.3, 0.2)))
    image = furnish(rng, colour(rgb), busy)
    grey = np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 1], image[..., 2])
    return image[..., 0].copy() if grey and chance(rng, 0.7) else image


def generate(rng: np.random.Generator, size: int = 256) -> Phantom:
    """One ultrasound picture; anatomy is the body part under the probe."""
    layout, boxes, trace = _layout(rng)
    frame, look = _Frame(rng, size), make_look(rng, size)
    anatomy, view, shape = "", "", ""
    for box in boxes:
        body, part, seen = _painted(rng, size, box)
        shape = shape or _shape(rng, part, layout)
        probe = make_probe(rng, size, shape, box)
        echo = beams(body, probe)
        frame.add(body, probe, echo, look)
        anatomy, view = anatomy or part, seen if not anatomy or (part, seen) == (anatomy, view) else ""
    if chance(rng, 0.15):
        frame.grey = film(rng, frame.grey)
    rgb = _coloured(rng, frame, body, probe)
    if trace is not None:
        beam = echo[:, int(rng.integers(echo.shape[1] // 3, 2 * echo.shape[1] // 3))]
        paste(rgb, motion(rng, beam, look, size) if layout == "motion" else spectrum(rng, size), trace)
    image = compress(rng, _finished(rng, rgb, shape == "full"))
    masks = {name: mask for name, mask in frame.masks.items() if mask.sum() >= 12}
    found = tuple(sorted(name for name in frame.found if name in masks))
    return Phantom(image, "ultrasound", anatomy, masks, found, view=view)
