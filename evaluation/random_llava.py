"""A LLaVA planner's folder with random weights, large enough that its speed says something about a real one.

The form of LLaVA-1.5 (arXiv 2310.03744) at a small size: 336 pixels in patches of 14 are 576 places in the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.prompts import END_OF_REPLY, IMAGE_TOKEN, SYSTEM, render_reply

CONTROL = ("<pad>", "<s>", END_OF_REPLY, "<unk>", IMAGE_TOKEN)
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


def llava_processor(texts: Sequence[str], *, words: int, image_size: int, patch: int, single_digits: bool) -> Any:
    """A processor with a byte-level vocabulary of up to `words`, learnt from the texts, that pads images to a square.

    `single_digits` keeps the digits of a number apart, as the tokenizer of LLaMA does.
    """
    backend = Tokenizer(models.BPE())
    digits = [pre_tokenizers.Digits(individual_digits=True)] if single_digits else []
    backend.pre_tokenizer = pre_tokenizers.Sequence([*digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    start = CONTROL.index("<s>")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", start)]
    )
    names = ("pad_token", "bos_token", "eos_token", "unk_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict(zip(names, CONTROL, strict=False)),
        extra_special_tokens={"image_token": IMAGE_TOKEN},
    )
    size = {"height": image_size, "width": image_size}
    return LlavaProcessor(
        image_processor=LlavaImageProcessor(do_pad=True, size={"shortest_edge": image_size}, crop_size=size),
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        image_token=IMAGE_TOKEN,
        num_additional_image_tokens=1,
    )


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


def llava_config(tokenizer: Any, vision: CLIPVisionConfig, text: LlamaConfig) -> LlavaConfig:
    """LLaVA's own settings (the features of the last layer but one) around those of its two parts."""
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        tie_word_embeddings=False,
    )
