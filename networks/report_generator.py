"""The image-to-text network of the report tool: a transformers VisionEncoderDecoder of any encoder and decoder.

Texts are word-level: the vocabulary is that of the reports it was trained on, kept in `tokenizer.json`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import VisionEncoderDecoderConfig, VisionEncoderDecoderModel

from mmedagent.protocol.errors import CheckpointError

PAD, BEGIN, END, BETWEEN, UNKNOWN = "[PAD]", "[BEGIN]", "[END]", "[IMPRESSION]", "[UNKNOWN]"
SPECIAL = (PAD, BEGIN, END, BETWEEN, UNKNOWN)
"""`BETWEEN` stands between findings and impression."""

MOST_TOKENS = 160
_GAP = re.compile(r"\s+([.,;:])")
_START = re.compile(r"(?:^|(?<=[.!?]\s))[a-z]")
_REPEATED = re.compile(r"([.!?])(?:\s*[.!?])+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class GeneratorConfig:
    """What a generator looks like.

    Attributes:
        size: side of the prepared image in pixels.
        channels: 1 or 3.
        architecture: a `VisionEncoderDecoderConfig` as a dictionary.
        max_tokens: the most that are written, special ones included.
        beams: 1 for greedy search.
    """

    size: int
    channels: int
    architecture: dict[str, Any]
    max_tokens: int
    beams: int


class Draft(NamedTuple):
    """Sentences as the network wrote them, each with its full stop."""

    findings: tuple[str, ...]
    impression: tuple[str, ...]


def build_generator(config: GeneratorConfig) -> VisionEncoderDecoderModel:
    """The network with random weights.

    Raises:
        CheckpointError: the architecture is not one that transformers knows, or its limits are out of range.
    """
    if not (0 < config.max_tokens <= MOST_TOKENS and 1 <= config.beams <= 4):
        raise CheckpointError("the generator's number of tokens or beams is out of range")
    if not all(isinstance(config.architecture.get(part), dict) for part in ("encoder", "decoder")):
        raise CheckpointError("the generator's architecture needs an encoder and a decoder")
    try:
        architecture = VisionEncoderDecoderConfig.from_dict(config.architecture)
        return VisionEncoderDecoderModel(config=architecture)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError("the generator's architecture is not a vision encoder and a text decoder") from error


class Writer:
    """Writes a draft for each image."""

    def __init__(self, model: VisionEncoderDecoderModel, tokenizer: Tokenizer, config: GeneratorConfig) -> None:
        self.model, self._tokenizer, self._config = model.eval(), tokenizer, config
        self._ids = {name: special_id(tokenizer, name) for name in SPECIAL}

    @torch.inference_mode()
    def write(self, images: Tensor) -> list[Draft]:
        """Drafts for prepared and normalised images (n, 1, S, S)."""
        written = self.model.generate(
            pixel_values=images.expand(-1, self._config.channels, -1, -1),
            decoder_attention_mask=torch.ones((len(images), 1), dtype=torch.long, device=images.device),
            max_new_tokens=self._config.max_tokens,
            num_beams=self._config.beams,
            do_sample=False,
            use_cache=True,
            decoder_start_token_id=self._ids[BEGIN],
            bos_token_id=self._ids[BEGIN],
            eos_token_id=self._ids[END],
            pad_token_id=self._ids[PAD],
        )
        return [self._draft(row) for row in written.tolist()]

    def _draft(self, row: Sequence[int]) -> Draft:
        ids = [token for token in row if token not in (self._ids[PAD], self._ids[BEGIN])]
        ids = ids[: ids.index(self._ids[END])] if self._ids[END] in ids else ids
        middle = ids.index(self._ids[BETWEEN]) if self._ids[BETWEEN] in ids else len(ids)
        parts = (ids[:middle], [token for token in ids[middle:] if token != self._ids[BETWEEN]])
        return Draft(*(sentences_of(self._tokenizer.decode(part, skip_special_tokens=True)) for part in parts))


def special_id(tokenizer: Tokenizer, name: str) -> int:
    """The id of a special token. Raises `CheckpointError` when the vocabulary lacks it."""
    token = tokenizer.token_to_id(name)
    if token is None:
        raise CheckpointError(f"the tokenizer of the generator has no {name}")
    return int(token)


def sentences_of(text: str) -> tuple[str, ...]:
    """Lower-case words with spaced punctuation as whole sentences; an unfinished last sentence is left out."""
    spaced = _REPEATED.sub(r"\1", _GAP.sub(r"\1", text.strip()))
    tidy = _START.sub(lambda found: found.group().upper(), spaced)
    return tuple(part for part in _SENTENCE.split(tidy) if part.endswith((".", "!", "?")))
