"""`config.json` of an original LLaVA folder, and the settings of transformers that compute the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.errors import StrictDataclassError
from pydantic import BaseModel, ConfigDict, ValidationError
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, MistralConfig

from mmedagent.model_worker.llava.checkpoint import read_settings
from mmedagent.model_worker.llava.conversion.names import Projector
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.types import JsonObject

CONFIG = "config.json"
_KINDS = {"llava": LlamaConfig, "llava_llama": LlamaConfig, "llava_mistral": MistralConfig}
_TEXT_FIELDS = {
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *(
        "head_dim",
        "hidden_act",
        "rms_norm_eps",
        "max_position_embeddings",
        "rope_theta",
        "rope_scaling",
        "sliding_window",
    ),
    *("attention_bias", "mlp_bias"),
}
_TOWER_NAME = re.compile(r"clip-vit-[a-z]+-patch\d+(?:-(\d+))?$")
_TOWER_FIELDS = {
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_channels", "image_size"),
    *("patch_size", "hidden_act", "layer_norm_eps", "projection_dim"),
}


class OriginalConfig(BaseModel):
    """What `config.json` of the original code says beside the sizes of the language model, with its own defaults."""

    model_config = ConfigDict(frozen=True)

    model_type: Literal["llava", "llava_llama", "llava_mistral"]
    mm_projector_type: Projector = "linear"
    mm_vision_tower: str = "the CLIP that the model was trained with"
    mm_vision_select_layer: int
    mm_vision_select_feature: Literal["patch", "cls_patch"] = "patch"
    mm_patch_merge_type: Literal["flat"] = "flat"
    mm_use_im_start_end: bool = False
    image_aspect_ratio: str | None = None

    @property
    def image_side(self) -> int | None:
        """The pixels that the CLIP takes, where its name is like those of OpenAI's: 224, or the number at its end."""
        found = _TOWER_NAME.search(self.mm_vision_tower)
        return int(found[1] or 224) if found else None


def read_original_config(folder: Path) -> tuple[OriginalConfig, JsonObject]:
    """What the folder's `config.json` says, and all of it as it is.

    Raises `CheckpointError` for a folder that is not in the layout of the original code, or that asks for what
    LlavaForConditionalGeneration does not compute.
    """
    settings = read_settings(folder / CONFIG)
    if "text_config" in settings:
        raise CheckpointError(
            f"{folder.name} is in the format of transformers already. "
            "Name it as the base in planner.json, as docs/profiles.md shows; there is nothing to convert."
        )
    try:
        return OriginalConfig.model_validate(settings), settings
    except ValidationError as error:
        raise CheckpointError(
            f"{folder.name}/{CONFIG}: {first_problem(error)}. Only LLaVA and LLaVA-Med over LLaMA or Mistral, with a "
            "CLIP and one view of the image, can be converted."
        ) from error


def read_tower_config(folder: Path) -> CLIPVisionConfig:
    """The settings of a CLIP in a folder of its own, of both halves or of the vision model alone."""
    settings = read_settings(folder / CONFIG)
    inner = settings.get("vision_config", settings)
    if "clip" not in str(settings.get("model_type")) or not isinstance(inner, dict):
        raise CheckpointError(f"{folder.name}/{CONFIG} describes no CLIP. Give the folder of the model's vision tower.")
    return _built(CLIPVisionConfig, {key: value for key, value in inner.items() if key in _TOWER_FIELDS})


def llava_config(original: OriginalConfig, settings: JsonObject, tower: CLIPVisionConfig) -> LlavaConfig:
    """The settings under which transformers computes what the original code does.

    A projector of one layer becomes one of two, whose activation and second layer are the identity. Vocabulary and
    special tokens are those of transformers until the tokenizer is known.

    Args:
        original: what the model's `config.json` says.
        settings: all of that file.
        tower: settings of the CLIP.
    """
    fields = {key: value for key, value in settings.items() if key in _TEXT_FIELDS}
    text = _built(_KINDS[original.model_type], {**fields, "tie_word_embeddings": False})
    keeps_class = original.mm_vision_select_feature == "cls_patch"
    return _built(
        LlavaConfig,
        {
            "architectures": ["LlavaForConditionalGeneration"],
            "vision_config": tower,
            "text_config": text,
            "projector_hidden_act": "gelu" if original.mm_projector_type == "mlp2x_gelu" else "linear",
            "vision_feature_layer": original.mm_vision_select_layer,
            "vision_feature_select_strategy": "full" if keeps_class else "default",
            "image_seq_length": (tower.image_size // tower.patch_size) ** 2 + keeps_class,
            "tie_word_embeddings": False,
        },
    )


def first_problem(error: ValidationError) -> str:
    """The field that a file of settings has wrong first, and what is wrong with it."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _built(kind: Any, fields: dict[str, Any]) -> Any:
    try:
        return kind(**fields)
    except (StrictDataclassError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{CONFIG} describes no {kind.__name__} that transformers can build: {reason}") from error
