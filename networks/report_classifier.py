"""The finding classifier of the report tool: a small residual network with an evidence map for each finding.

The network is a ResNet (He et al. 2016, arXiv 1512.03385) of basic blocks. Each finding also gets a map of where it is
seen; its peak and mean join the pooled features, so that a small nodule is not lost in the average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

FINDINGS = ("cardiomegaly", "consolidation", "infiltration", "lung nodule", "pleural effusion", "pneumothorax")
MAP_STRIDE = 8
"""Pixels of the prepared image that one place of an evidence map stands for."""


@dataclass(frozen=True)
class ClassifierConfig:
    """What a compact classifier looks like.

    Attributes:
        size: side of the prepared image in pixels.
        widths: channels of the four stages, of strides 2, 4, 8 and 16.
        findings: names, in the order of the outputs.
    """

    size: int = 192
    widths: tuple[int, int, int, int] = (24, 48, 96, 192)
    findings: tuple[str, ...] = FINDINGS


class Seen(NamedTuple):
    """Outputs for n images: logits (n, k) of the k findings, logits (n,) of a frontal chest radiograph, and logits
    (n, k, S/8, S/8) of where each finding is."""

    findings: Tensor
    frontal: Tensor
    maps: Tensor


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outer)
        self.skip = (
            nn.Identity()
            if stride == 1 and inner == outer
            else nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        skipped: Tensor = self.skip(x)
        return functional.relu(skipped + self.norm2(self.conv2(y)))


class ChestClassifier(nn.Module):
    """Prepared images (n, 1, S, S) to `Seen`."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        first, second, third, fourth = config.widths
        count = len(config.findings)
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(), _Block(first, first, 1)
        )
        self.stage2 = nn.Sequential(_Block(first, second, 2), _Block(second, second, 1))
        self.stage3 = nn.Sequential(_Block(second, third, 2), _Block(third, third, 1))
        self.stage4 = nn.Sequential(_Block(third, fourth, 2), _Block(fourth, fourth, 1), _Block(fourth, fourth, 1))
        self.near = nn.Conv2d(third, count, 1)
        self.far = nn.Conv2d(fourth, count, 1)
        self.head = nn.Linear(2 * fourth + 2 * count, count + 1)

    def forward(self, images: Tensor) -> Seen:
        fine = self.stage3(self.stage2(self.stem(images)))
        coarse = self.stage4(fine)
        maps = self.near(fine) + functional.interpolate(
            self.far(coarse), fine.shape[-2:], mode="bilinear", align_corners=False
        )
        pooled = [coarse.mean((2, 3)), coarse.amax((2, 3)), maps.amax((2, 3)), maps.sigmoid().mean((2, 3))]
        logits = self.head(torch.cat(pooled, dim=1))
        return Seen(logits[:, :-1], logits[:, -1], maps)


def prepare(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A frame (H, W) or (H, W, 3) as grey (size, size): fitted in whole, its missing parts black."""
    grey = frame if frame.ndim == 2 else frame.mean(axis=2).astype(np.uint8)
    height, width = grey.shape
    scale = size / max(height, width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(grey).resize(fitted, Image.Resampling.BILINEAR, reducing_gap=2.0)
    whole = Image.new("L", (size, size))
    whole.paste(small, ((size - fitted[0]) // 2, (size - fitted[1]) // 2))
    return np.asarray(whole)


def normalised(images: Tensor) -> Tensor:
    """Prepared grey values in [0, 1] as the networks take them."""
    return (images - 0.5) / 0.25
