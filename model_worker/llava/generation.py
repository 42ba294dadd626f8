"""Choosing tokens freely, and turning tokens into text."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from mmedagent.protocol.errors import MalformedPlanError


class FreeChoice:
    """Greedy, without a grammar. Ids from `vocabulary` on are padding of the embedding table and never chosen."""

    def __init__(self, vocabulary: int, limit: int) -> None:
        self._vocabulary = vocabulary
        self._limit = limit
        self._chosen = 0

    def choose(self, scores: Tensor) -> int:
        """The best token. Raises `MalformedPlanError` when `limit` tokens did not end the text."""
        if self._chosen >= self._limit:
            raise MalformedPlanError(f"The plan did not end within {self._limit} tokens.")
        self._chosen += 1
        return int(scores[: self._vocabulary].argmax())


class TextChoice:
    """For free texts: greedy without a temperature, and sampled with one, the same with the same seed.

    `cut` says that the text did not end within `limit` tokens and was ended.
    """

    def __init__(
        self, vocabulary: int, stop: Collection[int], limit: int, temperature: float | None, seed: int | None
    ) -> None:
        self.cut = False
        self._vocabulary = vocabulary
        self._stop = min(stop)
        self._left = limit
        self._temperature = temperature
        self._random = torch.Generator()
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed)

    def choose(self, scores: Tensor) -> int:
        """The next token, or the stop token when there is no room for one."""
        if not self._left:
            self.cut = True
            return self._stop
        self._left -= 1
        known = scores[: self._vocabulary]
        if not self._temperature:
            return int(known.argmax())
        chances = torch.softmax(known.cpu() / self._temperature, dim=0)
        return int(torch.multinomial(chances, 1, generator=self._random))


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
