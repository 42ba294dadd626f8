"""The base model of a conversion: every tensor that transformers computes with, from where the original keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LlavaConfig, LlavaForConditionalGeneration

from mmedagent.model_worker.llava.conversion.names import (
    EMBEDDINGS,
    HEAD,
    LAST_NORM,
    PROJECTOR,
    TOWER,
    Projector,
    on_disk,
    original,
)
from mmedagent.model_worker.llava.conversion.sources import Source, Sources
from mmedagent.networks.checkpoints import misfit
from mmedagent.networks.layouts import META
from mmedagent.networks.shards import Piece, write_shards
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.prompts import IMAGE_TOKEN

ROWS = 64
"""The vocabulary is filled up to a multiple of this, as transformers does."""

_VOCABULARY = frozenset({EMBEDDINGS, HEAD})


class BaseModel:
    """An original LLaVA, all of whose tensors have their place in a `LlavaForConditionalGeneration`.

    All numbers get the format of the language model. `<image>` and the rows that fill the vocabulary up get the mean of
    the trained rows: a mean of scores is never above the best of them, so that no such token is ever written.

    Attributes:
        layout: names to tensors of the new network in memory, on the device "meta".
        size: bytes of its numbers.

    Raises `CheckpointError` when a tensor is missing, has no place or another shape, or the tokenizer has more tokens
    than the vocabulary.
    """

    def __init__(self, sources: Sources, config: LlavaConfig, projector: Projector, tokenizer: Any) -> None:
        absent = [name for name in (EMBEDDINGS, LAST_NORM) if name not in sources]
        if absent:
            raise CheckpointError(_unfit(absent))
        self._config = config
        self._image: int = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        trained = sources[EMBEDDINGS].shape[0]
        if self._image > trained:
            raise CheckpointError(
                f"The tokenizer has {self._image} tokens and the model's vocabulary {trained}. "
                "Take the tokenizer's files from the folder that the weights are from."
            )
        _set_vocabulary(config, tokenizer, max(len(tokenizer), trained))
        with torch.device(META):
            self.layout: dict[str, Tensor] = LlavaForConditionalGeneration(config).state_dict()
        self._format = sources[LAST_NORM].read().dtype
        if not self._format.is_floating_point:
            raise CheckpointError(
                "The model's numbers are quantised. Convert the whole model, in half precision or more."
            )
        self._pieces = self._planned(sources, projector, trained)
        self.size = sum(piece.size for piece in self._pieces)

    def write(self, folder: Path, advance: Callable[[int], None]) -> list[Path]:
        """Write weights and settings, and return the weight files. `advance` is told of the bytes of every tensor."""
        self._config.dtype = self._format
        self._config.save_pretrained(folder)
        text = self._config.text_config
        GenerationConfig(
            bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
        ).save_pretrained(folder)
        return write_shards(folder, self._pieces, advance)

    def _planned(self, sources: Sources, projector: Projector, trained: int) -> list[Piece]:
        originals = {name: original(name, projector) for name in self.layout}
        needed = {old: self.layout[name].shape for name, old in originals.items() if old is not None}
        needed |= {name: torch.Size((trained, *needed[name][1:])) for name in _VOCABULARY}
        _require_fit(needed, sources)
        order = {name: place for place, name in enumerate(sources)}
        placed = sorted(originals.items(), key=lambda pair: order.get(pair[1] or "", len(order)))
        return [self._piece(name, old, sources) for name, old in placed]

    def _piece(self, name: str, old: str | None, sources: Sources) -> Piece:
        shape = self.layout[name].shape
        size = shape.numel() * self._format.itemsize
        if old is None:
            return Piece(on_disk(name), size, partial(_identity, shape, self._format))
        rows = shape[0] if old in _VOCABULARY else None
        return Piece(on_disk(name), size, partial(self._converted, sources[old], rows))

    def _converted(self, source: Source, rows: int | None) -> Tensor:
        tensor = source.read()
        if rows is not None:
            tensor = self._filled_up(tensor, rows)
        converted = tensor.to(self._format)
        if not bool(torch.isfinite(converted).all()):
            raise CheckpointError(
                f"{source.name} holds values that are not finite as {self._format}. Get the file again."
            )
        return converted

    def _filled_up(self, tensor: Tensor, rows: int) -> Tensor:
        mean = tensor[: self._image].float().mean(dim=0, keepdim=True).to(tensor.dtype)
        known = torch.cat([tensor[: self._image], mean, tensor[self._image + 1 :]])
        return torch.cat([known, mean.expand(rows - len(known), -1)])


def _set_vocabulary(config: LlavaConfig, tokenizer: Any, tokens: int) -> None:
    text = config.text_config
    text.vocab_size = -(-tokens // ROWS) * ROWS
    text.bos_token_id, text.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    text.pad_token_id = tokenizer.pad_token_id
    config.image_token_index = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)


def _identity(shape: torch.Size, kind: torch.dtype) -> Tensor:
    return (torch.eye(shape[0]) if len(shape) == 2 else torch.zeros(shape)).to(kind)


def _require_fit(needed: Mapping[str, torch.Size], sources: Sources) -> None:
    missing, unexpected = sorted(needed.keys() - sources.keys()), sorted(sources.keys() - needed.keys())
    misshapen = [
        f"{name} {tuple(sources[name].shape)} instead of {tuple(shape)}"
        for name, shape in needed.items()
        if name in sources and sources[name].shape != shape
    ]
    if missing or unexpected or misshapen:
        raise CheckpointError(_unfit(missing, unexpected, misshapen))


def _unfit(missing: Sequence[str], unexpected: Sequence[str] = (), misshapen: Sequence[str] = ()) -> str:
    named = [*missing, *unexpected, *misshapen]
    if all(name.startswith(PROJECTOR) for name in named):
        advice = (
            "With --lora, the folder has to hold its config.json and non_lora_trainables.bin, where the projector is."
        )
    elif all(name.startswith(TOWER) for name in named):
        advice = "Give the folder of the CLIP that the model was trained with as --vision-tower."
    else:
        advice = "Get the files again from where their authors publish them, with the config.json that belongs to them."
    return f"{misfit('LLaVA as its config.json describes it', missing, unexpected, misshapen)}. {advice}"
