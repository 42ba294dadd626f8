"""Changes of exposure, sharpness and framing, made on the device for a whole batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SHIFT, TURN, STRETCH = 0.08, 0.07, 0.1
"""Shift as a share of half the image, turn in rad, and log of the stretch of each axis."""


def _spread(like: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """Uniform values (n, *shape) on the device of `like`."""
    return low + (high - low) * torch.rand((len(like), *shape), device=like.device)


def _happens(like: Tensor, chance: float) -> Tensor:
    """Bool (n, 1, 1, 1)."""
    return torch.rand((len(like), 1, 1, 1), device=like.device) < chance


def framed(images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Shift, turn and stretch images (n, 1, S, S) and their maps (n, k, s, s) together; outside is black."""
    angle, moves = _spread(images, -TURN, TURN), _spread(images, -SHIFT, SHIFT, 2)
    stretch = torch.exp(_spread(images, -STRETCH, STRETCH, 2) + _spread(images, -0.05, 0.1, 1))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(-1, 2, 2)
    matrices = torch.cat([turn * stretch[:, None], moves[:, :, None]], dim=2)
    moved = [
        functional.grid_sample(
            part, functional.affine_grid(matrices, list(part.shape), align_corners=False), align_corners=False
        )
        for part in (images, maps)
    ]
    return moved[0], moved[1]


def exposed(images: Tensor) -> Tensor:
    """Gamma, contrast, brightness, blur, noise and inversion of images (n, 1, S, S) in [0, 1]."""
    gamma = torch.exp(0.3 * torch.randn((len(images), 1, 1, 1), device=images.device))
    values = images.clamp(0, 1) ** gamma
    values = (values - 0.5) * _spread(images, 0.65, 1.3, 1, 1, 1) + 0.5 + _spread(images, -0.1, 0.1, 1, 1, 1)
    soft = functional.avg_pool2d(functional.pad(values, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = _spread(images, 0, 1, 1, 1, 1) * _happens(images, 0.4)
    values = values + share * (soft - values)
    amount = 0.035 * _spread(images, 0, 1, 1, 1, 1) ** 2 * _happens(images, 0.5)
    values = values + amount * torch.randn_like(values)
    return torch.where(_happens(images, 0.03), 1 - values, values).clamp(0, 1)


def augmented(images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Both of the above."""
    images, maps = framed(images, maps)
    return exposed(images), maps
