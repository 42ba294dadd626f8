"""How an ultrasound scan is seen: the geometry of the probe, and echoes along its beams.

Tissue is given as the strength of its echoes and the loss along the way. Both are resampled to beams, where shadows,
enhancement and speckle arise as they do in a scanner: scatterers of random phase, blurred by a pulse that is short
along the beam and wide across it, then envelope and log compression (Burckhardt, Speckle in ultrasound B-mode
scans, 1978).
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from mmedagent.training.phantoms.base import Field, Mask
from mmedagent.training.phantoms.finish import between, chance
from mmedagent.training.phantoms.shapes import Scene, noise

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of the picture."""


class Probe(NamedTuple):
    """Geometry of a scan: who sees what at which depth.

    Attributes:
        shape: "sector", "curved", "linear", "trapezoid" or "full".
        seen: bool (H, W), the pixels inside the scan.
        depth: float (H, W), 0 at the probe and 1 at the far end of the beams.
        lateral: float (H, W) in [-1, 1] across the beams.
        rows, columns: float (D, L), the pixel position of sample D of beam L.
    """

    shape: str
    seen: Mask
    depth: Field
    lateral: Field
    rows: Field
    columns: Field


class _Fan(NamedTuple):
    """Beams in units of their length: from a circle of radius `inner`, `spread` rad to each side; or from a straight
    face of half width `face` (when `inner` is negative), leaning outwards by `spread` and all together by `steer`."""

    inner: float
    spread: float
    face: float
    steer: float

    @property
    def start(self) -> float:
        return self.inner * float(np.cos(self.spread)) if self.inner >= 0 else 0.0

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height."""
        if self.inner >= 0:
            return 2 * (1 + self.inner) * float(np.sin(min(self.spread, np.pi / 2))), 1 + self.inner - self.start
        return 2 * (self.face + float(np.tan(self.spread)) + abs(float(np.tan(self.steer)))), 1.0

    def to_beam(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Depth and lateral place of points."""
        if self.inner >= 0:
            return np.hypot(x, y) - np.float32(self.inner), np.arctan2(x, y) / np.float32(self.spread)
        half = self.face + y * np.float32(np.tan(self.spread))
        return y, (x - y * np.float32(np.tan(self.steer))) / np.maximum(half, np.float32(0.02))

    def to_plane(self, depth: Field, lateral: Field) -> tuple[Field, Field]:
        """x and y of places on beams."""
        if self.inner >= 0:
            radius, turn = depth + self.inner, lateral * self.spread
            return radius * np.sin(turn), radius * np.cos(turn)
        return lateral * (self.face + depth * np.tan(self.spread)) + depth * np.tan(self.steer), depth


def _fan(rng: np.random.Generator, shape: str, aspect: float) -> _Fan:
    if shape == "sector":
        return _Fan(between(rng, 0.0, 0.05), between(rng, 0.5, 0.85), 0.0, 0.0)
    if shape == "curved":
        return _Fan(between(rng, 0.15, 0.9), between(rng, 0.4, 0.75), 0.0, 0.0)
    if shape == "full":
        return _Fan(-1.0, 0.0, aspect / 2, 0.0)
    face = between(rng, 0.22, 0.9) if chance(rng, 0.7) else between(rng, 0.9, 1.6)
    spread = between(rng, 0.1, 0.35) if shape == "trapezoid" else 0.0
    return _Fan(-1.0, spread, face, between(rng, -0.25, 0.25) if shape == "linear" and chance(rng, 0.12) else 0.0)


def make_probe(rng: np.random.Generator, size: int, shape: str, box: Box) -> Probe:
    """A scan of that shape that about fills the box, squeezed by up to 2.5 as a square picture makes it."""
    if shape == "full":
        box = (0.0, 0.0, 1.0, 1.0)
    left, top, right, bottom = box
    fan = _fan(rng, shape, float(np.exp(rng.uniform(-0.5, 0.9))))
    width, height = fan.extent
    fitting = (width / height) * (bottom - top) / (right - left)
    aspect = fitting if shape == "full" else float(np.clip(fitting * np.exp(rng.normal(0, 0.15)), 0.6, 2.5))
    scale = min((right - left) * aspect / width, (bottom - top) / height)
    if shape not in ("full", "sector") and chance(rng, 0.25):
        # Enlarged on the screen: the far corners are cut off.
        scale *= between(rng, 1.05, 1.35)
    middle = (left + right) / 2
    steps = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x = (steps[None] - np.float32(middle)) * np.float32(aspect / scale)
    y = (steps[:, None] - np.float32(top)) / np.float32(scale) + np.float32(fan.start)
    depth, lateral = fan.to_beam(*np.broadcast_arrays(x, y))
    seen = (depth >= 0) & (depth <= 1) & (np.abs(lateral) <= 1) & (steps <= right) & (steps >= left)
    seen &= (steps[:, None] <= bottom + 0.005) & (steps[:, None] >= top - 0.005)
    if shape == "full":
        seen = np.ones((size, size), np.bool_)
    along = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, max(24, int(0.55 * size)), dtype=np.float32)[None]
    px, py = fan.to_plane(along, across)
    columns = (px * scale / aspect + middle) * size - 0.5
    rows = ((py - fan.start) * scale + top) * size - 0.5
    rows, columns = np.broadcast_arrays(rows, columns)
    return Probe(shape, seen, np.clip(depth, 0, 1), np.clip(lateral, -1, 1), rows, columns)


class Body:
    """Tissue under the probe.

    Attributes:
        scene: echo strength as amplitude, about 0.3 for grey tissue, with the masks.
        loss: neper per beam length, above 0 in what casts a shadow and below 0 in fluid.
        found: names of findings.
    """

    def __init__(self, rng: np.random.Generator, scene: Scene) -> None:
        self.rng, self.scene = rng, scene
        self.loss: Field = np.zeros(scene.view.shape, np.float32)
        self.found: list[str] = []

    def block(self, shape: Field, amount: float) -> None:
        """Let the shape take `amount` neper per beam length; negative in fluid."""
        self.loss += shape * np.float32(amount)


class Look(NamedTuple):
    """What the scanner is set to: speckle along and across the beam in samples, grey of tissue, neper from black to
    white, noise, and smoothing after the fact."""

    axial: float
    lateral: float
    level: float
    span: float
    floor: float
    smooth: float


def make_look(rng: np.random.Generator, size: int) -> Look:
    grain = size / 256
    return Look(
        between(rng, 0.5, 1.2) * grain, between(rng, 0.7, 2.4) * grain,
        float(rng.choice((0.1, 0.25, 0.35, 0.45, 0.55, 0.75))), between(rng, 3.2, 6.5),
        float(np.exp(rng.uniform(-7.5, -3.8))), between(rng, 0.4, 1.2) * float(chance(rng, 0.35)),
    )  # fmt: skip


def beams(body: Body, probe: Probe) -> Field:
    """Echo amplitude on the beams, (D, L), after losses on the way."""
    places = np.stack([probe.rows, probe.columns])
    echo: Field = ndimage.map_coordinates(body.scene.value, places, order=1, mode="nearest")
    if body.loss.any():
        loss = ndimage.map_coordinates(body.loss, places[:, ::2, ::2], order=1, mode="nearest")
        fading = np.exp(-np.clip(np.cumsum(loss, axis=0) / len(loss), -1.2, 6))
        echo = echo * fading.repeat(2, axis=0).repeat(2, axis=1)[: echo.shape[0], : echo.shape[1]]
    return np.maximum(echo, 0)


def speckled(rng: np.random.Generator, echo: Field, look: Look) -> Field:
    """Grey values in [0, 1] on the beams, from echo amplitudes (D, L)."""
    depth, count = echo.shape
    along = np.linspace(0, 1, depth, dtype=np.float32)[:, None]
    waves = rng.standard_normal((2, depth, count), dtype=np.float32) * echo
    waves = ndimage.gaussian_filter1d(ndimage.gaussian_filter1d(waves, look.axial, axis=1), look.lateral, axis=2)
    envelope = np.hypot(waves[0], waves[1]) * np.float32(2 * np.sqrt(look.axial * look.lateral))
    gain = np.exp(between(rng, -1.5, 0.6) * along + 0.12 * noise(rng, depth, between(rng, 2, 8))[:, :1])
    contact = np.clip(1.1 - between(rng, 0, 1) * np.clip(noise(rng, count, 7)[:1], 0, 1), 0.15, 1)
    hiss = np.abs(rng.standard_normal(echo.shape, dtype=np.float32)) * np.exp(between(rng, 0, 2.5) * along)
    power = envelope * gain * contact + np.float32(look.floor) * hiss
    usual = np.float32(np.quantile(power[::4, ::4], 0.6) + 1e-4)
    grey: Field = np.float32(look.level) + np.log(np.maximum(power / usual, np.float32(1e-4))) / np.float32(look.span)
    if look.smooth:
        grey = ndimage.gaussian_filter(np.clip(grey, 0, 1), look.smooth)
    return np.clip(grey, 0, 1)


def scan_converted(grey: Field, probe: Probe) -> Field:
    """Values on the beams brought to the picture, 0 outside the scan."""
    depth, count = grey.shape
    places = np.stack([probe.depth * (depth - 1), (probe.lateral + 1) * (0.5 * (count - 1))])
    picture: Field = ndimage.map_coordinates(grey, places, order=1, mode="nearest")
    return np.where(probe.seen, picture, np.float32(0))
