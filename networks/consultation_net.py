"""The small attending physician: a LLaVA whose image tower is the planner's, frozen, with a vocabulary of its own.

The tower has seen every kind of phantom when the planner was trained; what is learnt here is its projector and the
language model. A folder holds those, and `load_consultation` reads it beside the folder of the planner.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from mmedagent.networks.checkpoints import CheckpointError, load_state, load_strict, save_fp16
from mmedagent.networks.glance import GLANCE_SIZE, GlanceNet, load_glance
from mmedagent.networks.llava_parts import llava_processor
from mmedagent.protocol.prompts import IMAGE_TOKEN

WORDS, WIDTH, INNER, LAYERS, HEADS, PLACES = 4_000, 96, 288, 3, 4, 512
PATCH, TOKENS = 64, 6
"""Pixels of a quarter of an image, and places that an image takes: its quarters, and the mean and maximum of all."""

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
TOWER_WIDTH = 320
WEIGHTS, TOWER = "model.safetensors", "vision_tower."
HEAD, EMBEDDINGS = "lm_head.weight", "model.language_model.embed_tokens.weight"
REMEMBERED = 16_384
"""Images whose features a tower keeps at first: it is frozen, and training shows each image to it many times."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '\n' }}"
    "{% else %}ASSISTANT: {% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{{ message['content'][0]['text'] }}{% endif %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)


class GlanceTowerConfig(PreTrainedConfig):  # type: ignore[misc]
    """Settings of the tower: what `LlavaConfig` asks an image tower for."""

    model_type = "mmedagent_glance"

    def __init__(self, hidden_size: int = TOWER_WIDTH, image_size: int = GLANCE_SIZE, **rest: Any) -> None:
        super().__init__(**rest)
        self.hidden_size, self.image_size, self.patch_size = hidden_size, image_size, PATCH


class GlanceTower(PreTrainedModel):  # type: ignore[misc]
    """Takes float32 (n, 3, 128, 128) in [0, 1]; gives (n, 6, 320): mean, maximum, means of the quarters row by row."""

    config_class = GlanceTowerConfig
    main_input_name = "pixel_values"

    def __init__(self, config: GlanceTowerConfig) -> None:
        super().__init__(config)
        net = GlanceNet({})
        self.stem, self.blocks, self.norm = net.stem, net.blocks, net.norm
        self.remembered = REMEMBERED
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self.requires_grad_(False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leaves the weights alone: they come from the planner's tower."""

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        keys = [hashlib.blake2b(one.numpy().tobytes()).digest() for one in pixel_values.detach().float().cpu()]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        found = dict(zip(new, self._features(pixel_values[list(new.values())]), strict=True)) if new else {}
        found |= {key: self._known[key].to(pixel_values) for key in keys if key not in new}
        tokens = torch.stack([found[key] for key in keys])
        for key in new:
            self._known[key] = found[key].half().cpu()
        while len(self._known) > self.remembered:
            self._known.popitem(last=False)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(tokens,))

    @torch.no_grad()
    def _features(self, frames: Tensor) -> Tensor:
        features = self.norm(self.blocks(self.stem(frames * 2 - 1)))
        pooled = torch.stack([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        # As the tower keeps them: so the first look and every later one give the same numbers.
        return (
            torch.cat([pooled, functional.adaptive_avg_pool2d(features, 2).flatten(2).transpose(1, 2)], dim=1)
            .half()
            .to(frames)
        )


AutoConfig.register(GlanceTowerConfig.model_type, GlanceTowerConfig, exist_ok=True)
AutoModel.register(GlanceTowerConfig, GlanceTower, exist_ok=True)


def consultation_processor(texts: Iterable[str]) -> Any:
    """A processor with a vocabulary learnt from the texts; a tag is one token, and so is a line of few words."""
    processor = llava_processor(texts, words=WORDS, image_size=GLANCE_SIZE, patch=PATCH, whole_lines=True)
    # Not special, or decoding would leave them out of what the rewards read.
    processor.tokenizer.add_tokens(list(TAGS))
    processor.tokenizer.padding_side = "left"
    processor.image_processor.do_normalize = False
    processor.vision_feature_select_strategy, processor.num_additional_image_tokens = "full", TOKENS - 4
    processor.chat_template = CHAT_TEMPLATE
    return processor


def consultation_model(tokenizer: Any, planner: Path, seed: int) -> Any:
    """The untrained attending physician around the image tower of the planner's folder.

    Raises `CheckpointError` when there is no image tower.
    """
    torch.manual_seed(seed)
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=PLACES, tie_word_embeddings=True,
        initializer_range=WIDTH**-0.5,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=GlanceTowerConfig(), text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        vision_feature_layer=-1, vision_feature_select_strategy="full", image_seq_length=TOKENS,
        tie_word_embeddings=True,
    )  # fmt: skip
    return _around(config, planner)


def save_consultation(folder: Path, model: Any, processor: Any) -> None:
    """Write model and processor in float16, without the image tower, which stays where the planner is."""
    state = {key: value for key, value in model.state_dict().items() if TOWER not in key and key != HEAD}
    save_fp16(state, folder / WEIGHTS)
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)


def load_consultation(folder: Path, planner: Path) -> tuple[Any, Any]:
    """Model in float32, with the image tower of the planner's folder, and processor, in evaluation mode on the CPU.

    Raises `CheckpointError` when a file is missing or does not fit.
    """
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{WEIGHTS} of the consultation is missing")
    model = _around(LlavaConfig.from_pretrained(folder, local_files_only=True), planner)
    kept = {key: value for key, value in model.state_dict().items() if TOWER in key}
    state = {**load_state(folder / WEIGHTS), **kept}
    load_strict(model, {**state, HEAD: state[EMBEDDINGS]} if EMBEDDINGS in state else state)
    return model.eval(), LlavaProcessor.from_pretrained(folder, local_files_only=True)


def _around(config: LlavaConfig, planner: Path) -> Any:
    """A model with fresh weights around the planner's image tower."""
    model = LlavaForConditionalGeneration(config)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(model.generation_config, name, getattr(config.text_config, name))
    glance = load_glance(planner).net
    tower = model.model.vision_tower
    for part in ("stem", "blocks", "norm"):
        getattr(tower, part).load_state_dict(getattr(glance, part).state_dict())
    return model
