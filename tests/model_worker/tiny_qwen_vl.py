"""Tiny random Qwen2.5-VL and Qwen3-VL in the real Hugging Face format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLVideoProcessor,
)

from mmedagent.networks.families import QWEN_2_5, QWEN_3, Family

END = "<|im_end|>"
CONTROL = ("<|endoftext|>", "<|im_start|>", END, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
FAMILIES: tuple[Family, ...] = (QWEN_2_5, QWEN_3)
HIDDEN, HEADS = 64, 2


def write_qwen(folder: Path, family: Family, texts: Sequence[str], *, constrained: bool = False, seed: int = 0) -> None:
    """A random model of the family in `base`, with a vocabulary learnt from the texts, and its `planner.json`."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer(texts)
    model = family.model(_config(family, tokenizer))
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter.data, std=0.3 if "embed_tokens" in name else 0.15)
    model.generation_config.update(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder / "base")
    _processor(family, tokenizer).save_pretrained(folder / "base")
    manifest = {"name": "tiny", "version": "1.0.0", "base": "base", "max_new_tokens": 200, "constrained": constrained}
    (folder / "planner.json").write_text(json.dumps(manifest))


def _tokenizer(texts: Sequence[str]) -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=CONTROL[0], model_max_length=1_024
    )


def _processor(family: Family, tokenizer: Any) -> Any:
    patch = 14 if family is QWEN_2_5 else 16
    images = Qwen2VLImageProcessor(
        patch_size=patch, merge_size=2, size={"shortest_edge": (2 * patch) ** 2, "longest_edge": (6 * patch) ** 2}
    )
    videos = Qwen2VLVideoProcessor() if family is QWEN_2_5 else Qwen3VLVideoProcessor()
    return family.processor(image_processor=images, tokenizer=tokenizer, video_processor=videos)


def _config(family: Family, tokenizer: Any) -> Any:
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    text = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 3,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1_024,
        **ids,
    }
    vision: dict[str, Any] = {
        "depth": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "out_hidden_size": HIDDEN,
        "hidden_size": 32,
    }
    places = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in (
            ("image_token_id", "<|image_pad|>"),
            ("video_token_id", "<|video_pad|>"),
            ("vision_start_token_id", "<|vision_start|>"),
            ("vision_end_token_id", "<|vision_end|>"),
        )
    }
    if family is QWEN_2_5:
        rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]}
        vision |= {"patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56}
        return Qwen2_5_VLConfig(
            text_config=text | {"rope_parameters": rope}, vision_config=vision, tie_word_embeddings=False, **places
        )
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
    text |= {"rope_parameters": rope, "head_dim": HIDDEN // HEADS}
    vision |= {"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **places)
