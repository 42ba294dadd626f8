"""The objective of the grounding network: set prediction with focal loss on tokens, plus two dense helpers.

Hungarian matching, focal, L1 and GIoU as in Grounding DINO (Liu et al. 2023, section 3.5). From random weights and
within minutes that alone hardly starts, so the proposals are also trained at fixed places (the cells around the middle
of each object on the level that fits its size, as in FCOS, Tian et al. 2019), and the finest feature map predicts the
mask of every prompt: the dense pretraining of the trunk, in the same run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from mmedagent.networks.grounding import to_corners
from mmedagent.training.dice import dice_loss
from mmedagent.training.grounding_data import Sample

CLASS_COST, BOX_COST, GIOU_COST = 2.0, 5.0, 2.0
STRIDES = (16, 32)
"""Of the feature levels that the encoder sees."""

OUT_OF_REACH = -20.0
"""The logit of tokens that are padding."""

CELLS_OF_AN_OBJECT = 4.0
"""An object trains the proposals of the level on which its longer side spans about this many cells."""


@dataclass(frozen=True)
class Predictions:
    """What the network says of n images.

    Attributes:
        logits: of each decoder layer, (n, queries, t).
        boxes: of each decoder layer, cxcywh (n, queries, 4).
        cell_logits: of every cell of all levels, (n, cells, t).
        cell_boxes: of every cell, (n, cells, 4).
        dense: (n, t, S/16, S/16), mask logits of each token.
    """

    logits: list[Tensor]
    boxes: list[Tensor]
    cell_logits: Tensor
    cell_boxes: Tensor
    dense: Tensor


def loss_of(predicted: Predictions, sample: Sample, set_weight: float) -> dict[str, Tensor]:
    """The parts whose sum is the loss; `set_weight` grows from 0 while the dense helpers lay the ground."""
    total = sample.real.sum().clamp(min=1).float()
    parts = {"dense": _dense(predicted.dense, sample), "cells": _cells(predicted, sample)}
    if set_weight > 0:
        parts["set"] = set_weight * _set(predicted, sample, total).sum()
    return parts


def _dense(logits: Tensor, sample: Sample) -> Tensor:
    """Cross-entropy and Dice of the prompts' masks on the finest feature map, over tokens that belong to a prompt."""
    image, token = (sample.owners >= 0).nonzero(as_tuple=True)
    truth = sample.regions[image, sample.owners[image, token]]
    guess = logits[image, token]
    entropy = functional.binary_cross_entropy_with_logits(guess, truth, reduction="none").mean()
    return 2 * entropy + dice_loss(guess.sigmoid(), truth).mean()


def _cells(predicted: Predictions, sample: Sample) -> Tensor:
    """Quality focal loss of all cells on tokens, and boxes of the cells in the middle of objects.

    A cell is to score the overlap that its box has, so that of a cluster the best box comes first (Li et al. 2020,
    Generalized Focal Loss, arXiv 2006.04388).
    """
    size = sample.images.shape[-1]
    centres, steps = _grid(size, sample.images.device)
    distance = (centres[None, None] - sample.boxes[:, :, None, :2]).abs()
    longest = sample.boxes[..., 2:].amax(dim=-1) * size
    wanted = (longest / CELLS_OF_AN_OBJECT).clamp(min=STRIDES[0], max=STRIDES[-1]).log2().round().exp2()
    level = (steps[None, None] * size).round() == wanted[..., None]
    middle = (distance < 1.01 * steps[None, None, :, None]).all(dim=-1)
    inside = (distance < 0.5 * sample.boxes[:, :, None, 2:].clamp(min=1.0 / size)).all(dim=-1)
    nearest = distance.sum(dim=-1) <= distance.sum(dim=-1).masked_fill(~level, 9).amin(dim=-1, keepdim=True)
    chosen = level & middle & (inside | nearest) & sample.real[..., None]
    image, which, cell = chosen.nonzero(as_tuple=True)
    found, truth = predicted.cell_boxes[image, cell], sample.boxes[image, which]
    quality = chosen.float()
    quality[image, which, cell] = iou(to_corners(found.detach()), to_corners(truth))
    target = torch.einsum("nmc,nmt->nct", quality, sample.tokens.float()).clamp(max=1)
    valid = sample.mask[:, None].expand_as(target)
    logits = predicted.cell_logits[..., : target.shape[-1]].masked_fill(~valid, 0)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = entropy * (target - logits.detach().sigmoid()) ** 2
    total: Tensor = ((focal * valid).sum() + _boxes(found, truth).sum()) / chosen.sum().clamp(min=1)
    return total


def _boxes(found: Tensor, truth: Tensor) -> Tensor:
    """5 L1 + 2 (1 - GIoU) of paired cxcywh boxes (k, 4), one value a pair."""
    overlap = giou(to_corners(found), to_corners(truth))
    return BOX_COST * (found - truth).abs().sum(dim=-1) + GIOU_COST * (1 - overlap)


def _grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres (cells, 2) and cell sizes (cells,) of all levels, as fractions of the image."""
    centres, steps = [], []
    for stride in STRIDES:
        side = size // stride
        axis = (torch.arange(side, device=device) + 0.5) / side
        rows, columns = torch.meshgrid(axis, axis, indexing="ij")
        centres.append(torch.stack([columns, rows], dim=-1).view(-1, 2))
        steps.append(torch.full((side * side,), 1 / side, device=device))
    return torch.cat(centres), torch.cat(steps)


def _set(predicted: Predictions, sample: Sample, total: Tensor) -> Tensor:
    """The matched losses of all decoder layers, (layers,)."""
    width = sample.tokens.shape[-1]
    valid = sample.mask[:, None].expand(-1, predicted.logits[0].shape[1], -1)
    layers = [logits[..., :width].masked_fill(~valid, OUT_OF_REACH) for logits in predicted.logits]
    losses = []
    pairs = zip(layers, predicted.boxes, _match(layers, predicted.boxes, sample), strict=True)
    for logits, boxes, (image, query, which) in pairs:
        target = torch.zeros_like(logits)
        target[image, query] = sample.tokens[image, which].float()
        focal = sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2.0)
        matched = _boxes(boxes[image, query], sample.boxes[image, which])
        losses.append(((focal * valid).sum() * 2 + matched.sum()) / total)
    return torch.stack(losses)


@torch.no_grad()
def _match(layers: list[Tensor], boxes: list[Tensor], sample: Sample) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Image, query and object of the cheapest one-to-one assignment, each (k,), for every layer."""
    tokens = sample.tokens.float()
    share = tokens / tokens.sum(dim=-1, keepdim=True).clamp(min=1)
    truth = to_corners(sample.boxes)
    costs = []
    for logits, found in zip(layers, boxes, strict=True):
        chance = logits.sigmoid()
        positive = 0.25 * (1 - chance) ** 2 * -(chance + 1e-8).log()
        negative = 0.75 * chance**2 * -(1 - chance + 1e-8).log()
        cost = CLASS_COST * torch.einsum("nqt,nmt->nqm", positive - negative, share)
        cost = cost + BOX_COST * torch.cdist(found, sample.boxes, p=1)
        costs.append(cost - GIOU_COST * giou(to_corners(found)[:, :, None], truth[:, None]))
    priced = torch.nan_to_num(torch.stack(costs), nan=1e4, posinf=1e4, neginf=-1e4).cpu().numpy()
    counts = sample.real.sum(dim=1).tolist()
    device = tokens.device
    matches = []
    for layer in priced:
        rows: list[tuple[int, int, int]] = []
        for number, count in enumerate(counts):
            if count:
                queries, objects = linear_sum_assignment(layer[number, :, :count])
                rows += zip([number] * count, queries.tolist(), objects.tolist(), strict=True)
        table = torch.tensor(rows, dtype=torch.long).view(-1, 3).to(device)
        matches.append((table[:, 0], table[:, 1], table[:, 2]))
    return matches


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of xyxy boxes (..., 4) that broadcast."""
    both, union, _ = _areas(one, other)
    return both / union


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised intersection over union of xyxy boxes (..., 4) that broadcast (Rezatofighi et al. 2019)."""
    both, union, hull = _areas(one, other)
    return both / union - (hull - union) / hull


def _areas(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What two boxes share, what they cover together, and the box around both."""
    both = (torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])).clamp(min=0)
    around = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    area_one, area_other = ((box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (one, other))
    overlap, hull = both.prod(dim=-1), around.prod(dim=-1).clamp(min=1e-9)
    return overlap, (area_one + area_other - overlap).clamp(min=1e-9), hull
