"""The model as the engine uses it: read a prompt block by block, write one token of many replies at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache

from mmedagent.model_worker.llava.adapters import Adapters
from mmedagent.model_worker.llava.prefix import BLOCK, Block, PrefixStore, block_keys
from mmedagent.model_worker.llava.rows import Rows
from mmedagent.networks.families import family_named
from mmedagent.networks.families.family import Grid
from mmedagent.serving.cache import ByteCache

FEATURES_SHARE = 8
"""One part in so many of the memory is for image features, which take far less than keys and values."""


@dataclass(frozen=True)
class Prompt:
    """Token ids, and the pixel values of the image whose placeholders they hold, as its family's processor gives them.

    `grid` comes with them in families whose images keep their shape. `adapter` is the name of the one that reads them
    and writes what follows; None for the default.
    """

    ids: tuple[int, ...]
    pixels: Tensor | None = None
    grid: Grid | None = None
    adapter: str | None = None

    @cached_property
    def image_key(self) -> str:
        """The sha256 of what the model sees of the image; empty without one."""
        if self.pixels is None:
            return ""
        pixels = hashlib.sha256(self.pixels.float().cpu().numpy().tobytes())
        pixels.update(repr(self.grid).encode())
        return pixels.hexdigest()


@dataclass
class Reading:
    """A prompt of which the first `done` tokens are read. `scores` are those of the next token, once all are.

    `positions` are those of all tokens, shape (tokens,) or (axes, tokens).
    """

    prompt: Prompt
    cache: DynamicCache
    positions: Tensor
    keys: list[bytes]
    reused: int
    done: int
    features: Tensor | None = field(default=None, repr=False)
    scores: Tensor | None = field(default=None, repr=False)

    @property
    def next_position(self) -> int:
        """That of the first token behind the prompt."""
        return int(self.positions.max()) + 1


@dataclass(frozen=True)
class Seen:
    """Features of an image under the names that the models of all families read; each list is of one image."""

    pooler_output: list[Tensor]
    deepstack_features: list[list[Tensor]]


class LlavaNetwork:
    """A loaded model with what it remembers of earlier prompts. `identity` names the checkpoint with its adapters.

    Used by one thread at a time. `memory_bytes` bounds what is remembered. Adapters share no keys and values, and
    features of images only where they make the same ones.
    """

    def __init__(self, model: Any, identity: str, memory_bytes: int, adapters: Adapters | None = None) -> None:
        self._model = model
        self._plain = model.get_base_model() if isinstance(model, PeftModel) else model
        self._family = family_named(self._plain.config.model_type)
        self._identity = identity
        self._adapters = adapters or Adapters(model, {})
        self._image_token: int = model.config.image_token_id
        self._width: int = model.config.text_config.hidden_size
        self._features = ByteCache(memory_bytes // FEATURES_SHARE)
        self.prefixes = PrefixStore(memory_bytes - memory_bytes // FEATURES_SHARE)

    @property
    def device(self) -> torch.device:
        device: torch.device = self._model.device
        return device

    def begin(self, prompt: Prompt) -> Reading:
        """A reading that starts behind the longest remembered beginning, with at least one token left to read.

        Raises `NotFoundError` for an adapter that there is not.
        """
        origin = f"{self._identity} {self._adapters.identity(prompt.adapter)} {prompt.image_key}"
        keys = block_keys(origin, prompt.ids)
        blocks = self.prefixes.longest(keys[: (len(prompt.ids) - 1) // BLOCK])
        cache = DynamicCache(config=self._model.config.text_config)
        for layer in range(len(blocks[0].layers) if blocks else 0):
            states = [block.layers[layer] for block in blocks]
            cache.update(
                torch.cat([one[0] for one in states], dim=2), torch.cat([one[1] for one in states], dim=2), layer
            )
        reused = BLOCK * len(blocks)
        ids = torch.tensor(prompt.ids, device=self.device)
        return Reading(prompt, cache, self._family.positions(self._plain, ids, prompt.grid), keys, reused, reused)

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
        self._adapters.select([reading.prompt.adapter])
        out = self._model(
            input_ids=torch.tensor([reading.prompt.ids[start:end]], device=self.device),
            position_ids=reading.positions[..., None, start:end],
            mm_encoder_outputs=self._seen(reading, start, end),
            past_key_values=reading.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        reading.done = end
        if end == len(reading.prompt.ids):
            reading.scores = out.logits[0, -1].float()
            self._keep(reading)

    @torch.inference_mode()
    def write_on(self, tokens: Sequence[int], adapters: Sequence[str | None], rows: Rows) -> Tensor:
        """The scores of the token after each row's last one, by the row's own adapter, shape (rows, vocabulary)."""
        ids = torch.tensor(tokens, device=self.device)[:, None]
        out = self._model(
            input_ids=ids,
            past_key_values=rows.cache(),
            attention_mask=rows.mask,
            position_ids=rows.positions[:, None],
            use_cache=True,
            logits_to_keep=1,
            **self._adapters.select(adapters),
        )
        rows.advance()
        scores: Tensor = out.logits[:, -1].float()
        return scores

    def _seen(self, reading: Reading, start: int, end: int) -> dict[str, Seen] | None:
        """What the tokens of a block show of the image; None where they show nothing."""
        before, here = (reading.prompt.ids[part].count(self._image_token) for part in (slice(start), slice(start, end)))
        if not here:
            return None
        shown = self._features_of(reading)[before : before + here]
        first, *deeper = torch.split(shown, self._width, dim=1)
        return {"image": Seen([first], [[one] for one in deeper])}

    def _features_of(self, reading: Reading) -> Tensor:
        """The features of the prompt's image, shape (placeholders, hidden size), or a multiple of the hidden size where
        a model takes features into several layers."""
        pixels = reading.prompt.pixels
        if pixels is None:
            raise ValueError("The prompt has a place for an image and no image.")
        if reading.features is None:
            eyes = self._adapters.eyes(reading.prompt.adapter)
            key = ("image features", self._identity, eyes, reading.prompt.image_key)
            reading.features = self._features.get(key, lambda: self._see(pixels, reading.prompt.grid))
        if len(reading.features) != reading.prompt.ids.count(self._image_token):
            raise ValueError("The image has more or fewer features than the prompt has places for them.")
        return reading.features

    def _see(self, pixels: Tensor, grid: Grid | None) -> Tensor:
        shape = {} if grid is None else {"image_grid_thw": torch.tensor([grid], device=self.device)}
        out = self._model.get_image_features(pixel_values=pixels.to(self.device, self._model.dtype), **shape)
        layers = [out.pooler_output, *getattr(out, "deepstack_features", [])]
        return torch.cat([torch.cat(list(one)) for one in layers], dim=1)

    def _keep(self, reading: Reading) -> None:
        first = reading.reused // BLOCK
        fresh = [(key, _cut_out(reading.cache, place)) for place, key in enumerate(reading.keys[first:], first)]
        self.prefixes.keep(fresh)


def _cut_out(cache: DynamicCache, place: int) -> Block:
    span = slice(place * BLOCK, (place + 1) * BLOCK)
    return Block(tuple((one.keys[:, :, span].clone(), one.values[:, :, span].clone()) for one in cache.layers))
