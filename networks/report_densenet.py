"""The chest classifier of ChatCAD, read from its own `.pth`: DenseNet121 with feature pyramid attention, five findings.

The layout is that of `JFchexpert.pth` (Ye et al. 2020, arXiv 2005.14480; jfhealthcare/Chexpert with the settings of
ChatCAD's `JF.json`). The file also holds two attention modules that these settings leave unused; their tensors are the
only ones that may be left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import densenet121

from mmedagent.networks.checkpoints import load_state, load_strict

FINDINGS = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
SIDE = 512
MEAN, SPREAD = 128.0, 64.0
_UNUSED = ("attention_map.channel_attention.", "attention_map.spatial_attention.")
_FEATURES = 1024


class _Convolution(nn.Module):
    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inner, outer, kernel, stride, kernel // 2), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class _Pyramid(nn.Module):
    """Feature pyramid attention (Li et al. 2018, arXiv 1805.10180)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gap_branch = nn.Sequential(nn.AdaptiveAvgPool2d(1), _Convolution(channels, channels, 1))
        self.mid_branch = _Convolution(channels, channels, 1)
        self.downsample1 = _Convolution(channels, 1, 7, 2)
        self.downsample2 = _Convolution(1, 1, 5, 2)
        self.downsample3 = _Convolution(1, 1, 3, 2)
        self.scale1 = _Convolution(1, 1, 7)
        self.scale2 = _Convolution(1, 1, 5)
        self.scale3 = _Convolution(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.downsample1(x)
        second = self.downsample2(first)
        third = self.downsample3(second)
        weight = self.scale2(second) + _enlarged(self.scale3(third), second)
        weight = self.scale1(first) + _enlarged(weight, first)
        result: Tensor = _enlarged(weight, x) * self.mid_branch(x) + _enlarged(self.gap_branch(x), x)
        return result


def _enlarged(small: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(small, like.shape[-2:], mode="bilinear", align_corners=False)


class ChatCadClassifier(nn.Module):
    """Prepared images (n, 3, 512, 512) to logits (n, 5) of `FINDINGS`."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = densenet121(weights=None)
        self.attention_map = nn.ModuleDict({"pyramid_attention": _Pyramid(_FEATURES)})
        for place in range(len(FINDINGS)):
            self.add_module(f"fc_{place}", nn.Conv2d(2 * _FEATURES, 1, 1))
            self.add_module(f"bn_{place}", nn.BatchNorm2d(2 * _FEATURES))

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.backbone.features(images))
        logits = []
        for place in range(len(FINDINGS)):
            # The published network passes its features through the attention again for each finding.
            features = self.attention_map["pyramid_attention"](features)
            pooled = torch.cat(
                [functional.adaptive_avg_pool2d(features, 1), functional.adaptive_max_pool2d(features, 1)], dim=1
            )
            logits.append(self.get_submodule(f"fc_{place}")(self.get_submodule(f"bn_{place}")(pooled)).flatten(1))
        return torch.cat(logits, dim=1)


def load_chatcad_classifier(path: Path, sha256: str) -> ChatCadClassifier:
    """The classifier from a pinned `.pth` or `.safetensors`.

    Raises:
        CheckpointError: the file is not the pinned one, or any tensor beside the two unused modules is missing,
            unexpected or of another shape.
    """
    network = ChatCadClassifier()
    state: Mapping[str, Tensor] = load_state(path, sha256)
    load_strict(network, {key: value for key, value in state.items() if not key.startswith(_UNUSED)})
    return network.eval()


def prepare(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A frame (H, W) or (H, W, 3) as float32 (3, 512, 512), as the network was trained: equalised, blurred by a 3 x 3
    Gaussian, its longer side 512 pixels, the rest filled with the mean."""
    grey = frame if frame.ndim == 2 else frame.mean(axis=2).astype(np.uint8)
    padded = np.pad(_equalised(grey).astype(np.float32), 1, mode="reflect")
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    soft = functional.conv2d(torch.from_numpy(padded)[None, None], kernel[None, None])
    scale = SIDE / max(grey.shape)
    size = [max(1, round(side * scale)) for side in grey.shape]
    fitted = functional.interpolate(soft, size, mode="bilinear", align_corners=False)
    whole = np.full((SIDE, SIDE), MEAN, np.float32)
    whole[: size[0], : size[1]] = fitted[0, 0].numpy()
    return np.repeat(((whole - MEAN) / SPREAD)[None], 3, axis=0)


def _equalised(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Histogram equalisation: the darkest value becomes 0, the brightest 255."""
    counts = np.bincount(grey.ravel(), minlength=256)
    first = int(np.flatnonzero(counts)[0])
    rest = grey.size - int(counts[first])
    if rest == 0:
        return grey
    table = np.rint((np.cumsum(counts) - counts[first]).clip(0) * (255.0 / rest)).astype(np.uint8)
    result: NDArray[np.uint8] = table[grey]
    return result
