"""The compact planner's image tower: what kind of image a frame is, and of which body part, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

GLANCE_SIZE = 96


@dataclass(frozen=True)
class Glance:
    """The most probable modality and body part of a frame, with calibrated probabilities in [0, 1]."""

    modality: str
    modality_probability: float
    anatomy: str
    anatomy_probability: float


class GlanceNet(nn.Module):
    """The image tower: a small convolutional network that names the modality and body part of a frame.

    Takes float32 (n, 3, 96, 96) in [0, 1]; gives logits (n, modalities) and (n, anatomies).
    """

    def __init__(self, modalities: int, anatomies: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 192, 256)
        blocks: list[nn.Module] = []
        for before, after in pairwise(widths):
            blocks += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU()]
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(0.2)
        self.modality = nn.Linear(widths[-1], modalities)
        self.anatomy = nn.Linear(widths[-1], anatomies)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.dropout(self.blocks(frames * 2 - 1).mean(dim=(2, 3)))
        return self.modality(pooled), self.anatomy(pooled)


def glance_input(frame: NDArray[np.uint8]) -> Tensor:
    """A display frame, (height, width) or (height, width, 3), as float32 (3, 96, 96) in [0, 1], padded to a square."""
    picture = Image.fromarray(frame).convert("RGB")
    scale = GLANCE_SIZE / max(picture.size)
    small = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BOX
    )
    square = Image.new("RGB", (GLANCE_SIZE, GLANCE_SIZE))
    square.paste(small, ((GLANCE_SIZE - small.width) // 2, (GLANCE_SIZE - small.height) // 2))
    return torch.from_numpy(np.asarray(square, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


@torch.inference_mode()
def glance_at(
    net: GlanceNet,
    frame: NDArray[np.uint8],
    modalities: Sequence[str],
    anatomies: Sequence[str],
    temperature: float,
) -> Glance:
    """Look at one display frame."""
    modality, anatomy = (logits[0] / temperature for logits in net(glance_input(frame).unsqueeze(0)))
    best_modality, best_anatomy = modality.softmax(-1).max(-1), anatomy.softmax(-1).max(-1)
    return Glance(
        modality=modalities[int(best_modality.indices)],
        modality_probability=float(best_modality.values),
        anatomy=anatomies[int(best_anatomy.indices)],
        anatomy_probability=float(best_anatomy.values),
    )
