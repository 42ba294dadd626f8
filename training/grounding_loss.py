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
from torchvision.ops import generalized_box_iou, sigmoid_focal_loss

from mmedagent.networks.grounding import to_corners
from mmedagent.training.grounding_data import Sample

CLASS_COST, BOX_COST, GIOU_COST = 2.0, 5.0, 2.0
STRIDES = (8, 16, 32, 64)
CELLS_OF_AN_OBJECT = 6.0
"""An object trains the proposals of the level on which its longer side spans about this many cells."""


@dataclass(frozen=True)
class Predictions:
    """What the network says of n images.

    Attributes:
        logits: of each decoder layer, (n, queries, t).
        boxes: of each decoder layer, cxcywh (n, queries, 4).
        cell_logits: of every cell of all levels, (n, cells, t).
        cell_boxes: of every cell, (n, cells, 4).
        dense: (n, t, S/8, S/8), mask logits of each token.
    """

    logits: list[Tensor]
    boxes: list[Tensor]
    cell_logits: Tensor
    cell_boxes: Tensor
    dense: Tensor


def loss_of(predicted: Predictions, sample: Sample, set_weight: float) -> tuple[Tensor, dict[str, float]]:
    """The loss and its parts; `set_weight` grows from 0 while the dense helpers lay the ground."""
    total = sample.real.sum().clamp(min=1).float()
    dense = _dense(predicted.dense, sample)
    cells = _cells(predicted, sample)
    parts = {"dense": dense, "cells": cells}
    loss = dense + cells
    if set_weight > 0:
        layers = [_set(*pair, sample, total) for pair in zip(predicted.logits, predicted.boxes, strict=True)]
        parts["set"] = torch.stack(layers).mean()
        loss = loss + set_weight * torch.stack(layers).sum()
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def _dense(logits: Tensor, sample: Sample) -> Tensor:
    """Cross-entropy and Dice of the prompts' masks on the finest feature map, over tokens that belong to a prompt."""
    image, token = (sample.owners >= 0).nonzero(as_tuple=True)
    truth = sample.regions[image, sample.owners[image, token]]
    guess = logits[image, token]
    entropy = functional.binary_cross_entropy_with_logits(guess, truth, reduction="none").mean()
    soft = guess.sigmoid()
    dice = 1 - (2 * (soft * truth).sum(dim=(1, 2)) + 1) / (soft.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)
    return 2 * entropy + dice.mean()


def _cells(predicted: Predictions, sample: Sample) -> Tensor:
    """Focal loss of all cells on tokens, and boxes of the cells in the middle of objects."""
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
    target = torch.einsum("nmc,nmt->nct", chosen.float(), sample.tokens.float()).clamp(max=1)
    valid = sample.mask[:, None].expand_as(target)
    width = target.shape[-1]
    logits = predicted.cell_logits[..., :width]
    focal = sigmoid_focal_loss(logits.masked_fill(~valid, 0), target, alpha=0.4, gamma=2.0)
    count = chosen.sum().clamp(min=1)
    image, which, cell = chosen.nonzero(as_tuple=True)
    boxes = _boxes(predicted.cell_boxes[image, cell], sample.boxes[image, which])
    total: Tensor = (focal * valid).sum() / count + boxes.sum() / count
    return total


def _boxes(found: Tensor, truth: Tensor) -> Tensor:
    """5 L1 + 2 (1 - GIoU) of paired cxcywh boxes (k, 4), one value a pair."""
    overlap = torch.diagonal(generalized_box_iou(to_corners(found), to_corners(truth)))
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


def _set(logits: Tensor, boxes: Tensor, sample: Sample, total: Tensor) -> Tensor:
    """The matched loss of one decoder layer."""
    width = sample.tokens.shape[-1]
    logits = logits[..., :width]
    valid = sample.mask[:, None].expand_as(logits)
    logits = logits.masked_fill(~valid, -20.0)
    image, query, which = _match(logits.detach(), boxes.detach(), sample)
    target = torch.zeros_like(logits)
    target[image, query] = sample.tokens[image, which].float()
    focal = sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2.0)
    matched = _boxes(boxes[image, query], sample.boxes[image, which])
    loss: Tensor = ((focal * valid).sum() * 2 + matched.sum()) / total
    return loss


@torch.no_grad()
def _match(logits: Tensor, boxes: Tensor, sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """Image, query and object of the cheapest one-to-one assignment, each (k,)."""
    chance = logits.sigmoid()
    positive = 0.25 * (1 - chance) ** 2 * -(chance + 1e-8).log()
    negative = 0.75 * chance**2 * -(1 - chance + 1e-8).log()
    tokens = sample.tokens.float()
    share = tokens / tokens.sum(dim=-1, keepdim=True).clamp(min=1)
    cost = CLASS_COST * torch.einsum("nqt,nmt->nqm", positive - negative, share)
    cost = cost + BOX_COST * torch.cdist(boxes, sample.boxes, p=1)
    overlap = torch.stack(
        [
            generalized_box_iou(to_corners(one), to_corners(other))
            for one, other in zip(boxes, sample.boxes, strict=True)
        ]
    )
    priced = torch.nan_to_num(cost - GIOU_COST * overlap, nan=1e4, posinf=1e4, neginf=-1e4).cpu().numpy()
    counts = sample.real.sum(dim=1).tolist()
    images, queries, objects = [], [], []
    for number, count in enumerate(counts):
        if count:
            rows, columns = linear_sum_assignment(priced[number, :, :count])
            images += [number] * count
            queries += rows.tolist()
            objects += columns.tolist()
    device = logits.device
    return (
        torch.tensor(images, device=device, dtype=torch.long),
        torch.tensor(queries, device=device, dtype=torch.long),
        torch.tensor(objects, device=device, dtype=torch.long),
    )
