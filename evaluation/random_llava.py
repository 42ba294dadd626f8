"""A LLaVA planner's folder with random weights, large enough that its speed says something about a real one.

The form of LLaVA-1.5 (arXiv 2310.03744) at a small size: 336 pixels in patches of 14 are 576 places in the prompt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from mmedagent.networks.llava_parts import llava_config, llava_processor
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.prompts import SYSTEM, render_reply

IMAGE_SIZE, PATCH = 336, 14
WORDS = 8_192
"""Rows of the embedding table; the tokenizer fills fewer."""


def write_random_llava(folder: Path, *, layers: int, width: int, max_new_tokens: int, cache_mb: int) -> int:
    """Write the folder and give the number of parameters. `width` is a multiple of 64."""
    torch.manual_seed(0)
    processor = llava_processor(_texts(), words=WORDS, image_size=IMAGE_SIZE, patch=PATCH, single_digits=True)
    model = LlavaForConditionalGeneration(_config(processor.tokenizer, layers, width))
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(folder / "base")
    processor.save_pretrained(folder / "base")
    manifest = {"name": "random", "version": "1.0.0", "base": "base", "label": "random weights, for measuring only"}
    sizes = {"max_new_tokens": max_new_tokens, "cache_mb": cache_mb}
    (folder / "planner.json").write_text(json.dumps({**manifest, **sizes}))
    return sum(parameter.numel() for parameter in model.parameters())


def _texts() -> list[str]:
    """What planners read and write, so that the tokenizer cuts it about as finely as a real one would."""
    texts = [SYSTEM, "USER: ASSISTANT: output: Answer my first question:"]
    for card in built_in_cards():
        texts += [card.description, json.dumps(card.parameters)]
        for example in card.examples:
            action = Action(API_name=card.aliases[0] if card.aliases else card.name, API_params=example.parameters)
            plan = Plan(thoughts=f"I will use {card.title}.", actions=(action,), value="Let me look.")
            texts += [example.ask, render_reply(plan)]
    return texts


def _config(tokenizer: Any, layers: int, width: int) -> LlavaConfig:
    vision = CLIPVisionConfig(
        hidden_size=512,
        intermediate_size=2_048,
        num_hidden_layers=8,
        num_attention_heads=8,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
    )
    text = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=width,
        intermediate_size=8 * width // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=4_096,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return llava_config(tokenizer, vision, text)
