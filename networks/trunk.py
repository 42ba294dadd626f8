"""The convolutional trunk that this project's grounding and segmentation networks share, and SAM's encoder made of it.

A ResNet with basic blocks (He et al., "Deep Residual Learning", 2016) as in transformers. From random weights and on
thousands rather than millions of images, convolutions learn faster than the Swin and ViT of the published networks,
which are loaded as they are; see docs/decisions.md.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork

WIDTHS = (48, 96, 192, 288)
"""Channels of the four stages, of stride 4, 8, 16 and 32."""

MEAN, STD = 0.45, 0.27
"""Of the pixels, on a scale of 1, that the trunk is pretrained on."""

STAGES = ("stage1", "stage2", "stage3", "stage4")


def trunk_config(widths: Sequence[int] = WIDTHS, out_features: Sequence[str] = STAGES) -> dict[str, Any]:
    """The `ResNetConfig` of a trunk that gives the features of these stages."""
    return {
        "model_type": "resnet", "embedding_size": widths[0], "hidden_sizes": list(widths), "depths": [2] * len(widths),
        "layer_type": "basic", "hidden_act": "relu", "out_features": list(out_features),
    }  # fmt: skip


class PyramidEncoder(nn.Module):
    """An image encoder for SAM: the trunk, its stages joined top-down (Lin et al. 2017), and the detail of stage 1.

    Takes float32 (n, 3, S, S) in [0, 1], gives (n, width, S/8, S/8).
    """

    def __init__(self, image_size: int, widths: Sequence[int], width: int) -> None:
        from transformers import ResNetBackbone, ResNetConfig  # transformers takes seconds to import

        super().__init__()
        self.img_size = image_size
        self.trunk = ResNetBackbone(ResNetConfig(**trunk_config(widths)))
        self.pyramid = FeaturePyramidNetwork(list(widths[1:]), width)
        self.detail = nn.Conv2d(4 * widths[0], width, 1)
        self.norm = nn.GroupNorm(1, width)

    def forward(self, images: Tensor) -> Tensor:
        planes = ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)
        first, *rest = self.trunk(planes).feature_maps
        joined = self.pyramid({str(place): one for place, one in enumerate(rest)})["0"]
        embedding: Tensor = self.norm(joined + self.detail(functional.pixel_unshuffle(first, 2)))
        return embedding.contiguous()
