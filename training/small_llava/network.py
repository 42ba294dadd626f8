"""The small LLaVA: a LlavaForConditionalGeneration of about 12 million parameters, and its vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPVisionConfig, LlamaConfig, LlavaForConditionalGeneration

from mmedagent.networks.llava_parts import llava_config, llava_processor
from mmedagent.networks.minilm import MINILM_WIDTH, load_tokenizer, minilm_folder
from mmedagent.training.sft.tokens import IGNORED

WORDS, CONTEXT = 6_144, 4_096
LAYERS, HEADS, INNER_WIDTH = 5, 6, 768
IMAGE_SIZE, PATCH = 128, 32
VISION_WIDTH, VISION_LAYERS, VISION_HEADS = 192, 4, 3
EMBEDDING_SPREAD = 0.04
"""Standard deviation of the embedding table at the start."""


def small_processor(texts: Iterable[str]) -> Any:
    """Tokenizer with a vocabulary learnt from the texts, and the image processor."""
    return llava_processor(texts, words=WORDS, image_size=IMAGE_SIZE, patch=PATCH, single_digits=True)


def small_llava(tokenizer: Any, seed: int) -> LlavaForConditionalGeneration:
    """A new network. What it starts with of language are MiniLM's word embeddings; everything else is random."""
    torch.manual_seed(seed)
    text = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=MINILM_WIDTH,
        intermediate_size=INNER_WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=4 * VISION_WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=VISION_HEADS,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
    )
    model = LlavaForConditionalGeneration(llava_config(tokenizer, vision, text))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    with torch.no_grad():
        model.get_input_embeddings().weight[: len(tokenizer)] = _embeddings(tokenizer)
    return model


def reply_loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross entropy of the learnt tokens; logits are computed for these places alone."""
    labels = batch["labels"][:, 1:]
    llava = model.get_base_model() if isinstance(model, PeftModel) else model
    seen = llava.model(**{name: value for name, value in batch.items() if name != "labels"}).last_hidden_state[:, :-1]
    learnt = labels != IGNORED
    return functional.cross_entropy(llava.lm_head(seen[learnt]).float(), labels[learnt])


def _embeddings(tokenizer: Any) -> Tensor:
    """The mean of MiniLM's embeddings of each token's word pieces, float32 (tokens, 384); random where it has none."""
    table = load_file(minilm_folder() / "model.safetensors")["embeddings.word_embeddings.weight"]
    pieces = load_tokenizer(max_tokens=64)
    found = torch.randn(len(tokenizer), MINILM_WIDTH) * table.std()
    for token in range(len(tokenizer)):
        text = tokenizer.decode([token]).strip()
        ids = pieces.encode(text, add_special_tokens=False).ids if text.isascii() else []
        if ids:
            found[token] = table[ids].mean(dim=0)
    return found * (EMBEDDING_SPREAD / found.std())
