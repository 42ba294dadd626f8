"""A first guess at the object, given to SAM as its mask prompt.

SAM refines a mask that comes with the prompt ("mask input" in Kirillov et al., 2023). For small networks that are
trained for minutes rather than weeks, a guess from brightness and colour alone spares them from learning what a box
is; they learn where the guess is wrong. MedSAM was trained without a mask prompt and gets none.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SPREAD_FLOOR = 0.03
"""Least standard deviation of brightness, on a scale of 1, so that even areas do not divide by zero."""


class Regions(NamedTuple):
    """What prompts say about each place, each (n, s, s) in [0, 1].

    Attributes:
        inside: where the object can be.
        likely: where it is likely: the middle of a box, the neighbourhood of inside points.
        unlikely: where it is not: just outside a box and in its corners, or far from the points.
        fixed: -1 and 1 where points say so outright, else 0.
    """

    inside: Tensor
    likely: Tensor
    unlikely: Tensor
    fixed: Tensor


def first_guess(planes: Tensor, boxes: Tensor | None, points: Tensor | None) -> Tensor:
    """Guess each object from how its likely and unlikely surroundings differ in brightness and colour.

    Both are taken as normal distributions, per channel; the object's is estimated a second time from the first guess.

    Args:
        planes: float (b, 3, s, s) images in [0, 1] at the size of the guess.
        boxes: (n, 4) xyxy in [0, 1], n a multiple of b in the order of the images, or None.
        points: (n, m, 3) x, y in [0, 1] and label, or None; at least one of the two is given.

    Returns:
        (n, 1, s, s): -1 where the object cannot be, else 0 (certainly not) to 2 (certainly).

    Raises:
        ValueError: neither boxes nor points are given.
    """
    side = planes.shape[-1]
    clicked = None if points is None else _point_regions(points, side)
    regions = clicked if boxes is None else _box_regions(boxes, side)
    if regions is None:
        raise ValueError("a first guess needs boxes or points")
    if clicked is not None:
        regions = regions._replace(fixed=clicked.fixed)
    images = planes.repeat_interleave(len(regions.inside) // len(planes), dim=0)
    chance = _chance(images, regions.likely, regions.unlikely)
    chance = _chance(images, regions.inside * chance + 0.1 * regions.likely, regions.unlikely)
    guess = regions.inside * (2 * chance + 1) - 1
    return torch.where(regions.fixed == 0, guess, regions.fixed + 1)[:, None]


def _chance(images: Tensor, likely: Tensor, unlikely: Tensor) -> Tensor:
    """Probability (n, s, s) that a pixel is of the likely rather than of the unlikely kind."""
    log_odds = torch.zeros_like(likely)
    for sign, weight in ((1, likely), (-1, unlikely)):
        share = (weight / weight.sum(dim=(1, 2), keepdim=True).clamp(min=1e-6))[:, None]
        mean = (images * share).sum(dim=(2, 3), keepdim=True)
        variance = ((images - mean) ** 2 * share).sum(dim=(2, 3), keepdim=True) + SPREAD_FLOOR**2
        log_odds = log_odds - sign * 0.5 * ((images - mean) ** 2 / variance + variance.log()).mean(dim=1)
    return log_odds.sigmoid()


def _axis(side: int, like: Tensor) -> Tensor:
    return (torch.arange(side, device=like.device) + 0.5) / side


def _box_regions(boxes: Tensor, side: int) -> Regions:
    axis = _axis(side, boxes)
    low, high = boxes[:, :2], boxes[:, 2:]
    half = ((high - low) / 2).clamp(min=0.5 / side)
    u = ((axis - (low + high)[:, :1] / 2) / half[:, :1])[:, None, :]
    v = ((axis - (low + high)[:, 1:] / 2) / half[:, 1:])[:, :, None]
    reach, radius = torch.maximum(u.abs(), v.abs()), u**2 + v**2
    inside = ((1 - u.abs()) * half[:, :1, None] * side + 0.5).clamp(0, 1)
    inside = inside * ((1 - v.abs()) * half[:, 1:, None] * side + 0.5).clamp(0, 1)
    corners = 0.5 * ((radius > 1.4) & (reach <= 1)).float()
    unlikely = ((reach > 1) & (reach < 1.5)).float() + corners + 1e-3
    return Regions(inside, torch.exp(-radius / 0.3), unlikely, torch.zeros_like(inside))


def _point_regions(points: Tensor, side: int) -> Regions:
    axis = _axis(side, points)
    across = (axis - points[..., :1])[:, :, None, :] ** 2
    down = (axis - points[..., 1:2])[:, :, :, None] ** 2
    distance, label = across + down, points[..., 2, None, None]
    likely = (torch.exp(-distance / 0.002) * label).amax(dim=1) + 1e-6
    near = distance < 0.02**2
    fixed = (near * label).amax(dim=1) - (near * (1 - label)).amax(dim=1)
    far = (distance + 10 * (1 - label)).amin(dim=1) > 0.15**2
    return Regions(torch.ones_like(likely), likely, far.float() + 1e-3, fixed)
