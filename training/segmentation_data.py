"""What the segmentation network learns from: objects in phantoms and in abstract scenes, with prompts for them.

Abstract scenes (random textured shapes on random textured grounds) are there so that a box means "the object in
here" on images unlike any phantom.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.utils.data import IterableDataset

from mmedagent.training.phantoms import KINDS, generate
from mmedagent.training.phantoms.base import Field, Mask, Pixels
from mmedagent.training.phantoms.finish import between, chance, colour, degrade, display
from mmedagent.training.phantoms.shapes import Scene, blob, fractal, make_view, noise

ABSTRACT_SHARE = 0.45
REPLAY_SHARE = 0.7
REPLAY_SIZE = 800
LEAST_PIXELS = 12
SKIPPED = frozenset({"vessels"})
"""Structures that a box does not single out: a net that spans the image."""


class Objects(NamedTuple):
    """An image, uint8 (H, W) or (H, W, 3), and the bool (H, W) masks of single connected objects in it."""

    image: Pixels
    masks: list[Mask]


class Sample(NamedTuple):
    """One training image with its prompts.

    Attributes:
        image: float32 (3, S, S) in [0, 1].
        masks: float32 (n, S/2, S/2) coverage of each object.
        boxes: float32 (n, 4) jittered boxes, normalised xyxy.
        points: float32 (n, 3, 3) x, y normalised and label: two points inside, one outside.
    """

    image: torch.Tensor
    masks: torch.Tensor
    boxes: torch.Tensor
    points: torch.Tensor


def components(masks: dict[str, Mask], rng: np.random.Generator, limit: int) -> list[Mask]:
    """Up to `limit` connected pieces of the masks, every structure in turn, large pieces rather than small ones."""
    queues: list[list[Mask]] = []
    for name, mask in masks.items():
        if name in SKIPPED:
            continue
        labels, count = ndimage.label(mask)
        areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        fit = np.flatnonzero(areas >= LEAST_PIXELS)
        if len(fit):
            picks = rng.choice(fit, min(len(fit), 3), replace=False, p=areas[fit] ** 0.5 / (areas[fit] ** 0.5).sum())
            queues.append([labels == index + 1 for index in picks])
    rng.shuffle(queues)
    turns = (queue[turn] for turn in range(3) for queue in queues if turn < len(queue))
    return [mask for mask, _ in zip(turns, range(limit), strict=False)]


def _texture(rng: np.random.Generator, size: int, spread: float) -> Field:
    """A ground of random scale and direction around a random level."""
    level = between(rng, 0.05, 0.95)
    if chance(rng, 0.3):
        return np.full((size, size), level, np.float32)
    pattern = (
        fractal(rng, size, between(rng, 2, 40), 3)
        if chance(rng, 0.5)
        else noise(rng, size, between(rng, 3, 90), stretch=float(np.exp(rng.normal(0, 1))))
    )
    return np.float32(level) + np.float32(spread * rng.exponential(0.6)) * pattern


def abstract(rng: np.random.Generator, size: int) -> Objects:
    """Random objects with random texture, edge and brightness, some with rings, cores or holes."""
    scene = Scene(make_view(rng, size, tilt=1.0, warp=between(rng, 0, 0.12)), 0.0)
    scene.value[:] = _texture(rng, size, 0.15)
    if chance(rng, 0.3):
        scene.paint(blob(scene.view, rng, (0, 0), (0.9, 0.8), lumps=0.06), _texture(rng, size, 0.1), "0")
    for index in range(int(rng.integers(2, 9))):
        place = (between(rng, -0.9, 0.9), between(rng, -0.9, 0.9))
        longest = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
        radii = (longest, longest * between(rng, 0.3, 1))
        angle, lumps = between(rng, 0, 3.1), float(rng.choice([0.0, 0.05, 0.12, 0.25]))
        shape = blob(scene.view, rng, place, radii, angle, lumps, edge=float(np.exp(rng.uniform(0, 2))))
        scene.paint(shape * between(rng, 0.5, 1), _texture(rng, size, 0.12), str(index + 1), inside=chance(rng, 0.2))
        if chance(rng, 0.3):
            share = between(rng, 0.4, 0.85)
            core = blob(scene.view, rng, place, (radii[0] * share, radii[1] * share), angle, lumps)
            scene.paint(core, _texture(rng, size, 0.12), f"core {index}", inside=chance(rng, 0.6))
    values = degrade(rng, scene.value)
    if chance(rng, 0.65):
        image = display(rng, values)
    else:
        other = np.stack([values, _texture(rng, size, 0.05), _texture(rng, size, 0.05)], axis=-1)
        mix = rng.dirichlet((1, 0.4, 0.4), 3).astype(np.float32)
        image = colour(other @ mix.T)
    return Objects(image, components(scene.masks(LEAST_PIXELS), rng, 12))


def from_phantom(kind: str, rng: np.random.Generator, size: int, limit: int = 12) -> Objects:
    """The objects of one phantom."""
    phantom = generate(kind, rng, size)
    return Objects(phantom.image, components(phantom.masks, rng, limit))


def box_of(mask: Mask) -> Field:
    """Tight normalised box (x1, y1, x2, y2) of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    edges = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    return np.asarray(edges, np.float32)


def jitter(box: Field, rng: np.random.Generator, most: float = 0.15) -> Field:
    """Move each edge by up to `most` of the side, more often outwards, within the image."""
    side = np.tile(box[2:] - box[:2], 2)
    outwards = np.array([-1, -1, 1, 1], np.float32)
    moved = box + outwards * side * rng.uniform(-0.4 * most, most, 4) * rng.random()
    return np.clip(moved, 0, 1).astype(np.float32)


def augment(objects: Objects, rng: np.random.Generator) -> Objects:
    """Random crop, mirror and quarter turn; rarely a negative."""
    image, masks = objects
    size = image.shape[0]
    if chance(rng, 0.4):
        side = round(size * between(rng, 0.45, 0.95))
        top, left = (int(rng.integers(0, size - side + 1)) for _ in range(2))
        area = (slice(top, top + side), slice(left, left + side))
        image = np.asarray(Image.fromarray(image[area]).resize((size, size), Image.Resampling.BILINEAR))
        near = Image.Resampling.NEAREST
        masks = [np.asarray(Image.fromarray(mask[area]).resize((size, size), near)) for mask in masks]
    turns, mirror = int(rng.integers(4)), chance(rng, 0.5)
    image = np.rot90(image[:, ::-1] if mirror else image, turns)
    masks = [np.rot90(mask[:, ::-1] if mirror else mask, turns) for mask in masks]
    if chance(rng, 0.08):
        image = 255 - image
    if image.ndim == 3 and chance(rng, 0.2):
        image = image.mean(axis=2).astype(np.uint8)
    return Objects(image, [mask for mask in masks if mask.sum() >= LEAST_PIXELS])


def _clicks(mask: Mask, rng: np.random.Generator) -> Field:
    """Two points inside and one outside, (3, 3): x, y, label."""
    points = []
    for label, where in ((1, mask), (1, mask), (0, ~mask)):
        rows, columns = np.nonzero(where)
        pick = int(rng.integers(len(rows))) if len(rows) else 0
        place = (columns[pick] + 0.5, rows[pick] + 0.5) if len(rows) else (0.5, 0.5)
        points.append((place[0] / mask.shape[1], place[1] / mask.shape[0], label))
    return np.asarray(points, np.float32)


def to_sample(objects: Objects, rng: np.random.Generator, prompts: int) -> Sample:
    """Scale the image as MedSAM does and prompt `prompts` objects, some twice if there are fewer."""
    image = objects.image if objects.image.ndim == 3 else np.repeat(objects.image[..., None], 3, axis=2)
    values = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)
    low, high = values.min(), values.max()
    order = np.resize(rng.permutation(len(objects.masks)), prompts)
    masks = [objects.masks[index] for index in order]
    size = image.shape[0] // 2
    coverage = np.stack([mask.reshape(size, 2, size, 2).mean(axis=(1, 3)) for mask in masks]).astype(np.float32)
    return Sample(
        (values - low) / (high - low).clamp(min=1e-8),
        torch.from_numpy(coverage),
        torch.from_numpy(np.stack([jitter(box_of(mask), rng) for mask in masks])),
        torch.from_numpy(np.stack([_clicks(mask, rng) for mask in masks])),
    )


class Stream(IterableDataset[Sample]):
    """Endless samples; a scene is seen about three times, each time augmented and prompted anew, to save drawing."""

    def __init__(self, seed: int, size: int, prompts: int) -> None:
        self.seed, self.size, self.prompts = seed, size, prompts

    def __iter__(self) -> Iterator[Sample]:
        worker = torch.utils.data.get_worker_info()
        torch.set_num_threads(1)
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        past: list[Objects] = []
        while True:
            if len(past) >= REPLAY_SIZE // 8 and chance(rng, REPLAY_SHARE):
                objects = past[int(rng.integers(len(past)))]
            else:
                objects = self._draw(rng)
                past.append(objects)
                if len(past) > REPLAY_SIZE:
                    past.pop(int(rng.integers(len(past))))
            changed = augment(objects, rng)
            if changed.masks:
                yield to_sample(changed, rng, self.prompts)

    def _draw(self, rng: np.random.Generator) -> Objects:
        if chance(rng, ABSTRACT_SHARE):
            return abstract(rng, self.size)
        return from_phantom(str(rng.choice(KINDS, p=(0.27, 0.23, 0.12, 0.13, 0.08, 0.12, 0.05))), rng, self.size)
