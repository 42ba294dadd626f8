"""Qwen2.5-VL (arXiv 2502.13923) and Qwen3-VL (arXiv 2511.21631): images keep their shape, positions have three axes.

Where the text has one position a token, an image's tokens have one in time, one in height and one in width (M-RoPE),
and the text behind it counts on from the highest of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)

from mmedagent.networks.families.family import Grid
from mmedagent.protocol.prompts import CHATML, Template


class Qwen25:
    """See `Family`."""

    title = "Qwen2.5-VL"
    model: Any = Qwen2_5_VLForConditionalGeneration
    config: Any = Qwen2_5_VLConfig
    processor: Any = Qwen2_5_VLProcessor
    template: Template = CHATML
    projector = r".*\bvisual\.(merger|deepstack_merger_list\.\d+)"
    keeps_shape = True

    def places(self, processor: Any, height: int, width: int) -> int:
        """Grows with the image, within the bounds of the image processor."""
        images = processor.image_processor
        patches: int = images.get_number_of_image_patches(height, width, {})
        return patches // int(images.merge_size) ** 2

    def positions(self, model: Any, ids: Tensor, grid: Grid | None) -> Tensor:
        if grid is None:
            return torch.arange(len(ids), device=ids.device)
        kinds = (ids == model.config.image_token_id).int()
        positions: Tensor = model.model.get_rope_index(ids[None], kinds[None], torch.tensor([grid]))[0]
        return positions[:, 0]

    def batch_fields(self, processor: Any, ids: Tensor, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """Patches of all images in a row, `image_grid_thw` of shape (images, 3), and which tokens stand for images."""
        if not images:
            return {}
        kinds = (ids == processor.image_token_id).int()
        return {name: images[name] for name in ("pixel_values", "image_grid_thw")} | {"mm_token_type_ids": kinds}


class Qwen3(Qwen25):
    """See `Family`. Beside the features of the last layer, the model gets those of some earlier ones (DeepStack)."""

    title = "Qwen3-VL"
    model: Any = Qwen3VLForConditionalGeneration
    config: Any = Qwen3VLConfig
    processor: Any = Qwen3VLProcessor


QWEN_2_5, QWEN_3 = Qwen25(), Qwen3()
