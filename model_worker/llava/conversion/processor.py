"""The processor of a converted LLaVA: images are padded to a square, then sized and normalised as its CLIP wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import CLIPVisionConfig, LlavaConfig, LlavaImageProcessor, LlavaProcessor

from mmedagent.model_worker.llava.checkpoint import read_settings
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.prompts import IMAGE_TOKEN

PREPROCESSOR = "preprocessor_config.json"


def make_processor(tokenizer: Any, config: LlavaConfig, *folders: Path) -> Any:
    """A `LlavaProcessor` with a tokenizer and the image processor of the first folder that describes one.

    A folder without `preprocessor_config.json` is passed over; with none, means and deviations are those of OpenAI's
    CLIP. Raises `CheckpointError` for a description that says something else than mean and deviation of three channels.
    """
    tower: CLIPVisionConfig = config.vision_config
    side = tower.image_size
    images = LlavaImageProcessor(
        do_pad=True,
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        **next((found for folder in folders if (found := _normalisation(folder / PREPROCESSOR))), {}),
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=tower.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        image_token=IMAGE_TOKEN,
        num_additional_image_tokens=1,
    )


def _normalisation(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        return {}
    settings = read_settings(path)
    found: dict[str, list[float]] = {}
    for key in ("image_mean", "image_std"):
        values = settings.get(key)
        numbers = (
            [float(value) for value in values if isinstance(value, int | float)] if isinstance(values, list) else []
        )
        if len(numbers) != 3:
            raise CheckpointError(
                f"{path.parent.name}/{path.name} gives no {key} of three channels. Get the file again."
            )
        found[key] = numbers
    return found
