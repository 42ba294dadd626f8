"""Choosing tokens freely, and turning tokens into text."""

from __future__ import annotations

from typing import Any

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
