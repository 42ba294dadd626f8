"""What the segmentation network learns from: single objects of the pool, with prompts for them, made on the device."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmedagent.networks.sam_refine import tight_boxes
from mmedagent.training.feed import Batch
from mmedagent.training.pool import Object, Row, main_pieces
from mmedagent.training.variation import Frames, Geometry, vary

SKIPPED = frozenset({"vessels", "retinal vessels", "colour flow", "stroma", "body", "head"})
"""Structures that a box does not single out: nets and grounds that span the image."""

LEAST_COVERAGE = 4.0
"""Pixels of the mask at half the image's size below which a prompt does not count."""

INWARDS, OUTWARDS = 0.06, 0.15
"""How far an edge of a box may move, as a share of the box's side."""
NEAR = Geometry(zoom=(0.45, 1.1), stretch=0.1, turn=0.25)


class Sample(NamedTuple):
    """A batch of b images with n / b prompts each.

    Attributes:
        images: float32 (b, 3, S, S), each scaled to [0, 1] from its own range.
        masks: float32 (n, S, S) coverage of each object.
        coverage: float32 (n, S/2, S/2), the same on the grid of SAM's masks.
        boxes: float32 (n, 4) jittered boxes, normalised xyxy.
        points: float32 (n, 3, 3) x, y normalised and label: two points inside, one outside.
        weights: float32 (n,), 0 for a prompt whose object is not in the view.
    """

    images: Tensor
    masks: Tensor
    coverage: Tensor
    boxes: Tensor
    points: Tensor
    weights: Tensor


def choose(row: Row, rng: np.random.Generator, prompts: int) -> list[Object]:
    """Objects to prompt for: every structure in turn, larger pieces rather than small ones; some twice if few."""
    queues: dict[int, list[Object]] = {}
    for one in main_pieces(row.objects):
        if one.alone and row.names[one.structure] not in SKIPPED:
            queues.setdefault(one.structure, []).append(one)
    chosen: list[Object] = []
    for turn in range(3):
        for pieces in rng.permutation(np.array(list(queues), np.int64)):
            rest = queues[int(pieces)]
            if turn < 1 or rng.random() < 0.5:
                weights = np.array([one.area for one in rest]) ** 0.5
                chosen.append(rest[int(rng.choice(len(rest), p=weights / weights.sum()))])
    return [chosen[place % len(chosen)] for place in range(prompts)] if chosen else []


def sample_of(batch: Batch, device: torch.device, prompts: int, inwards: float = INWARDS) -> Sample:
    """Views of the images, each prompted for `prompts` objects in boxes whose edges move inwards by up to `inwards`."""
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    images, bits = batch.to(device)
    count, size = len(images), images.shape[-1]
    picked = [choose(row, rng, prompts) for row in batch.rows]
    whole = Object(0, (0, 0, size, size), 0, alone=True)
    objects = [one for chosen in picked for one in (chosen or [whole] * prompts)]
    real = torch.tensor([bool(chosen) for chosen in picked], device=device).repeat_interleave(prompts)
    masks = object_masks(bits, objects, prompts)
    flips = torch.rand(2, count, device=device) < 0.5
    view = Frames.draw(NEAR, flips[0], flips[1])
    seen = vary(view.apply(images), 0.7)
    inverted = torch.rand(count, 1, 1, 1, device=device) < 0.08
    seen = torch.where(inverted, 1 - seen, seen)
    low, high = seen.amin(dim=(1, 2, 3), keepdim=True), seen.amax(dim=(1, 2, 3), keepdim=True)
    fine = view.apply(masks.view(count, prompts, size, size)).view(-1, 1, size, size)
    coverage = functional.avg_pool2d(fine, 2)[:, 0]
    boxes, area = tight_boxes(coverage > 0.5)
    weights = (real & (area >= LEAST_COVERAGE)).float()
    prepared = (seen - low) / (high - low).clamp(min=1e-6)
    return Sample(prepared, fine[:, 0], coverage, jitter(boxes, inwards), clicks(coverage), weights)


def object_masks(bits: Tensor, objects: list[Object], prompts: int) -> Tensor:
    """float32 (n, S, S): the bits of each object's structure inside its box."""
    device, size = bits.device, bits.shape[-1]
    place = torch.tensor([one.structure for one in objects], device=device, dtype=torch.int32)
    box = torch.tensor([one.box for one in objects], device=device)
    axis = torch.arange(size, device=device)
    inside_x = (axis >= box[:, :1]) & (axis < box[:, 2:3])
    inside_y = (axis >= box[:, 1:2]) & (axis < box[:, 3:])
    structure = (bits.repeat_interleave(prompts, dim=0) >> place[:, None, None]) & 1
    return structure.float() * (inside_y[:, :, None] & inside_x[:, None, :])


def jitter(boxes: Tensor, inwards: float = INWARDS, outwards: float = OUTWARDS) -> Tensor:
    """Move each edge by up to these shares of the side, most boxes by less, within the image."""
    side = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    direction = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=boxes.device)
    draw = torch.empty_like(boxes).uniform_(-inwards, outwards) * torch.rand(len(boxes), 1, device=boxes.device)
    moved = (boxes + direction * side * draw).clamp(0, 1)
    return torch.where(((moved[:, 2:] - moved[:, :2]) > 0.004).all(dim=1, keepdim=True), moved, boxes)


def clicks(coverage: Tensor) -> Tensor:
    """Two random points inside and one outside each object, (n, 3, 3): x, y, label."""
    count, side = len(coverage), coverage.shape[-1]
    points = []
    for label, where in ((1.0, coverage), (1.0, coverage), (0.0, 1 - coverage)):
        pick = ((where > 0.5) * torch.rand_like(where)).flatten(1).argmax(dim=1)
        x, y = (pick % side + 0.5) / side, (pick // side + 0.5) / side
        points.append(torch.stack([x, y, torch.full((count,), label, device=coverage.device)], dim=1))
    return torch.stack(points, dim=1)
