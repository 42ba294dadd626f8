"""Greedy decoding, one token at a time, in the caller's thread: whoever reads can stop it between any two tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from mmedagent.protocol.errors import MalformedPlanError


def generate(
    model: Any, inputs: Mapping[str, Tensor], *, stop: frozenset[int], vocabulary: int, limit: int
) -> Iterator[int]:
    """Yield token ids until one of `stop`, which is not yielded.

    `inputs` are the processor's, with `input_ids` of shape (1, length). Ids from `vocabulary` on are padding of the
    embedding table and never chosen. Nothing is computed before the next token is asked for.
    Raises `MalformedPlanError` when `limit` tokens did not end the text.
    """
    cache = DynamicCache(config=model.config.text_config)
    inputs = dict(inputs)
    for _ in range(limit):
        token = int(next_logits(model, inputs, cache)[:vocabulary].argmax())
        if token in stop:
            return
        yield token
        inputs = {"input_ids": torch.tensor([[token]], device=model.device)}
    raise MalformedPlanError(f"The plan did not end within {limit} tokens.")


@torch.inference_mode()
def next_logits(model: Any, inputs: Mapping[str, Tensor], cache: DynamicCache | None = None) -> Tensor:
    """The scores of the next token, shape (vocabulary,), float32. Fills the cache, where one is given."""
    logits: Tensor = model(**inputs, past_key_values=cache, use_cache=cache is not None, logits_to_keep=1).logits
    return logits[0, -1].float()


class TextAssembler:
    """Turns token ids into text as they come. A character that is made of several tokens is held until it is whole."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context = 0
        self._given = 0

    def push(self, token: int) -> str:
        """The text that the token completes; it may be empty."""
        self._ids.append(token)
        whole = self._decode(self._context, len(self._ids))
        return "" if whole.endswith("\N{REPLACEMENT CHARACTER}") else self._take(whole)

    def flush(self) -> str:
        """The text still held at the end."""
        return self._take(self._decode(self._context, len(self._ids)))

    def _take(self, whole: str) -> str:
        # A tokenizer may write a token differently at the start of a text, so some tokens before it are decoded along.
        before = self._decode(self._context, self._given)
        self._context, self._given = self._given, len(self._ids)
        return whole[len(before) :]

    def _decode(self, start: int, end: int) -> str:
        text: str = self._tokenizer.decode(
            self._ids[start:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
