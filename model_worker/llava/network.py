"""The LLaVA model as the engine uses it: read a prompt block by block, write one token of many replies at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from mmedagent.model_worker.llava.prefix import BLOCK, Block, PrefixStore, block_keys
from mmedagent.model_worker.llava.rows import Rows
from mmedagent.serving.cache import ByteCache

FEATURES_SHARE = 8
"""One part in so many of the memory is for image features, which take far less than keys and values."""


@dataclass(frozen=True)
class Prompt:
    """Token ids, and the pixel values of the image whose placeholders they hold, shape (1, 3, height, width)."""

    ids: tuple[int, ...]
    pixels: Tensor | None = None

    @cached_property
    def image_key(self) -> str:
        """The sha256 of what the model sees of the image; empty without one."""
        if self.pixels is None:
            return ""
        return hashlib.sha256(self.pixels.float().cpu().numpy().tobytes()).hexdigest()


@dataclass
class Reading:
    """A prompt of which the first `done` tokens are read. `scores` are those of the next token, once all are."""

    prompt: Prompt
    cache: DynamicCache
    keys: list[bytes]
    reused: int
    done: int
    features: Tensor | None = field(default=None, repr=False)
    scores: Tensor | None = field(default=None, repr=False)


class LlavaNetwork:
    """A loaded model with what it remembers of earlier prompts. `identity` names the checkpoint with its adapter.

    Used by one thread at a time. `memory_bytes` bounds what is remembered.
    """

    def __init__(self, model: Any, identity: str, memory_bytes: int) -> None:
        self._model = model
        self._identity = identity
        self._image_token: int = model.config.image_token_id
        self._features = ByteCache(memory_bytes // FEATURES_SHARE)
        self.prefixes = PrefixStore(memory_bytes - memory_bytes // FEATURES_SHARE)

    @property
    def device(self) -> torch.device:
        device: torch.device = self._model.device
        return device

    def begin(self, prompt: Prompt) -> Reading:
        """A reading that starts behind the longest remembered beginning, with at least one token left to read."""
        keys = block_keys(f"{self._identity} {prompt.image_key}", prompt.ids)
        blocks = self.prefixes.longest(keys[: (len(prompt.ids) - 1) // BLOCK])
        cache = DynamicCache(config=self._model.config.text_config)
        for layer in range(len(blocks[0].layers) if blocks else 0):
            states = [block.layers[layer] for block in blocks]
            cache.update(
                torch.cat([one[0] for one in states], dim=2), torch.cat([one[1] for one in states], dim=2), layer
            )
        reused = BLOCK * len(blocks)
        return Reading(prompt, cache, keys, reused, reused)

    def read(self, prompt: Prompt) -> Tensor:
        """Read a whole prompt. The scores of the token after it, shape (vocabulary,)."""
        reading = self.begin(prompt)
        while reading.scores is None:
            self.read_on(reading)
        return reading.scores

    @torch.inference_mode()
    def read_on(self, reading: Reading) -> None:
        """Read the next block. After the last one the scores are there, shape (vocabulary,), and the prompt is kept."""
        start, end = reading.done, min(reading.done + BLOCK, len(reading.prompt.ids))
        embedded = self._embedded(reading, start, end)
        out = self._model(inputs_embeds=embedded, past_key_values=reading.cache, use_cache=True, logits_to_keep=1)
        reading.done = end
        if end == len(reading.prompt.ids):
            reading.scores = out.logits[0, -1].float()
            self._keep(reading)

    @torch.inference_mode()
    def write_on(self, tokens: Sequence[int], rows: Rows) -> Tensor:
        """The scores of the token after each row's last one, shape (rows, vocabulary)."""
        ids = torch.tensor(tokens, device=self.device)[:, None]
        out = self._model(
            input_ids=ids,
            past_key_values=rows.cache(),
            attention_mask=rows.mask,
            position_ids=rows.lengths[:, None],
            use_cache=True,
            logits_to_keep=1,
        )
        rows.advance()
        scores: Tensor = out.logits[:, -1].float()
        return scores

    def _embedded(self, reading: Reading, start: int, end: int) -> Tensor:
        ids = torch.tensor(reading.prompt.ids[start:end], device=self.device)
        embedded: Tensor = self._model.get_input_embeddings()(ids)
        places = ids == self._image_token
        if places.any():
            before = reading.prompt.ids[:start].count(self._image_token)
            embedded[places] = self._features_of(reading)[before : before + int(places.sum())]
        return embedded[None]

    def _features_of(self, reading: Reading) -> Tensor:
        """The features of the prompt's image, shape (placeholders, hidden size)."""
        pixels = reading.prompt.pixels
        if pixels is None:
            raise ValueError("The prompt has a place for an image and no image.")
        if reading.features is None:
            key = ("image features", self._identity, reading.prompt.image_key)
            reading.features = self._features.get(key, lambda: self._see(pixels))
        if len(reading.features) != reading.prompt.ids.count(self._image_token):
            raise ValueError("The image has more or fewer features than the prompt has places for them.")
        return reading.features

    def _see(self, pixels: Tensor) -> Tensor:
        moved = pixels.to(self.device, self._model.dtype)
        features: Tensor = torch.cat(list(self._model.get_image_features(pixel_values=moved).pooler_output))
        return features

    def _keep(self, reading: Reading) -> None:
        first = reading.reused // BLOCK
        fresh = [(key, _cut_out(reading.cache, place)) for place, key in enumerate(reading.keys[first:], first)]
        self.prefixes.keep(fresh)


def _cut_out(cache: DynamicCache, place: int) -> Block:
    span = slice(place * BLOCK, (place + 1) * BLOCK)
    return Block(tuple((one.keys[:, :, span].clone(), one.values[:, :, span].clone()) for one in cache.layers))
