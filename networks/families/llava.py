"""LLaVA (arXiv 2304.08485, 2310.03744): every image is padded to one size, and positions are counted through."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

from mmedagent.networks.families.family import Grid
from mmedagent.protocol.prompts import VICUNA, Template


class Llava:
    """See `Family`."""

    title = "LLaVA"
    model: Any = LlavaForConditionalGeneration
    config: Any = LlavaConfig
    processor: Any = LlavaProcessor
    template: Template = VICUNA
    projector = r".*\bmulti_modal_projector"
    keeps_shape = False

    def places(self, processor: Any, height: int, width: int) -> int:
        """The same number for all sizes."""
        read = processor(text=[processor.image_token], images=[Image.new("RGB", (width, height))], return_tensors="pt")
        return int((read["input_ids"] == processor.image_token_id).sum())

    def positions(self, model: Any, ids: Tensor, grid: Grid | None) -> Tensor:
        return torch.arange(len(ids), device=ids.device)

    def batch_fields(self, processor: Any, ids: Tensor, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """`pixel_values` of shape (images, 3, height, width)."""
        return {"pixel_values": images["pixel_values"]} if images else {}


LLAVA = Llava()
