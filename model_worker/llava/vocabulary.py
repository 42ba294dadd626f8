"""The tokenizer's vocabulary as the grammar library knows it: which tokens may come next, and how a grammar is read."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from torch import Tensor

from mmedagent.protocol.errors import CheckpointError, MalformedPlanError
from mmedagent.protocol.types import JsonSchema

_CLOSING = ('"', "]", "}", ",")


class Vocabulary:
    """Made once a model, because reading the tokenizer takes a second. `size` is that of the model's scores."""

    def __init__(self, tokenizer: Any, size: int, stop: Collection[int]) -> None:
        self.stop = frozenset(stop)
        try:
            self._tokens = from_tokenizer(tokenizer, n_vocab=size, eos_token=sorted(self.stop))
        except ValueError as error:
            raise CheckpointError("The planner's tokenizer cannot be read for constrained decoding.") from error
        self._closing = [token for sign in _CLOSING for token in self._tokens.tokenize_str(sign)[:1]]
        lengths = [len(self._tokens.decode_bytes([token])) for token in range(size)]
        self._lengths = torch.tensor([length or max(lengths) + 1 for length in lengths])

    def refusal(self, schema: JsonSchema) -> str:
        """Why no grammar can be made for a JSON Schema; empty when one can."""
        return LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(json.dumps(schema)), self._tokens)

    def matcher(self, grammar: str) -> LLMatcher:
        """A reader of that Lark grammar that has read nothing yet."""
        made = LLMatcher(self._tokens, LLMatcher.grammar_from_lark(grammar), log_level=0)
        if made.is_error():
            raise MalformedPlanError("No grammar could be made for a plan with these tools.")
        return made

    def text(self, tokens: list[int]) -> bytes:
        """The bytes of tokens; control tokens have none."""
        return self._tokens.decode_bytes([token for token in tokens if not self._tokens.is_special_token(token)])

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text that goes on from another one."""
        return self._tokens.tokenize_str(text)

    def allowed(self, matcher: LLMatcher) -> Tensor:
        """What may come next: bool, of the shape of the scores."""
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
        return torch.from_numpy(bits[: len(self._lengths)]).bool()

    def quickest(self, matcher: LLMatcher) -> list[int]:
        """What may come next and ends what is open soonest: what has to come anyway, a closing sign, a short token."""
        if forced := matcher.compute_ff_tokens():
            return forced
        allowed = self.allowed(matcher)
        closing = [token for token in self._closing if allowed[token]]
        if closing:
            return closing[:1]
        lengths = self._lengths.masked_fill(~allowed, torch.iinfo(torch.int64).max)
        return [int(lengths.argmin())]
