"""Keeps one reply within the grammar of a plan, and within its number of tokens."""

from __future__ import annotations

import json
from enum import Enum, auto

import torch
from llguidance import LLMatcher
from torch import Tensor

from mmedagent.model_worker.llava.grammar import PlanGrammar, WrittenActions
from mmedagent.model_worker.llava.vocabulary import Vocabulary
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.planner_format import ACTIONS, THOUGHTS, VALUE
from mmedagent.protocol.types import MAX_TEXT

WATCHED_TOKENS = 128
"""So long before a part has to end, every token is tried first. No call of a built-in tool takes longer to close."""

MAX_PART_BYTES = MAX_TEXT - 1_000
CUT_THOUGHTS = f"…\n{ACTIONS}"
CUT_VALUE = "… (cut off at the length limit)"


class _Part(Enum):
    OPENING = auto()
    THOUGHTS = auto()
    ACTIONS = auto()
    VALUE = auto()


class PlanConstraint:
    """Chooses the tokens of one reply, greedily among those that the grammar allows.

    Thoughts have to end within half of the tokens, and the actions within three quarters. A part that would not is
    closed on the shortest way: no more actions follow, and a text that is cut says so.
    """

    def __init__(self, grammar: PlanGrammar, vocabulary: Vocabulary, limit: int) -> None:
        self._grammar = grammar
        self._vocabulary = vocabulary
        self._limit = limit
        half, most = limit // 2, 3 * limit // 4
        self._ends = {_Part.OPENING: half, _Part.THOUGHTS: half, _Part.ACTIONS: most, _Part.VALUE: limit}
        self._ids: list[int] = []
        self._text = b""
        self._written = WrittenActions()
        self._matcher = vocabulary.matcher(grammar.text(self._written))
        self._way_out: list[int] = []

    def choose(self, scores: Tensor) -> int:
        """The next token, given scores of shape (vocabulary,). A stop token ends the reply.

        Raises `MalformedPlanError` when the limit leaves no room for a plan.
        """
        if not self._way_out:
            token = self._best(scores)
            self._way_out = [token] if self._may_take(token) else self._shortest_way_out()
        token = self._way_out.pop(0)
        self._take(token)
        return token

    def _best(self, scores: Tensor) -> int:
        allowed = self._vocabulary.allowed(self._matcher).to(scores.device)
        return int(scores.masked_fill(~allowed, -torch.inf).argmax())

    def _may_take(self, token: int) -> bool:
        """Whether the part that follows on the token could still end in time."""
        if token in self._vocabulary.stop:
            return True
        text = self._text + self._vocabulary.text([token])
        part, length = _last_part(text)
        left = self._ends[part] - len(self._ids) - 1
        if length > MAX_PART_BYTES or left >= WATCHED_TOKENS:
            return length <= MAX_PART_BYTES
        after = self._matcher.deep_copy()
        after.consume_token(token)
        return self._leaving(after, text, left) is not None

    def _shortest_way_out(self) -> list[int]:
        way = self._leaving(self._matcher.deep_copy(), self._text, self._limit - len(self._ids))
        if not way:
            raise MalformedPlanError(f"The plan did not end within {self._limit} tokens.")
        return way

    def _leaving(self, matcher: LLMatcher, text: bytes, most: int) -> list[int] | None:
        """At most so many tokens that lead out of the last part of the text. Uses the matcher up."""
        start, _ = _last_part(text)
        way: list[int] = []
        while len(way) <= most:
            ending = self._cut(start)
            if ending and matcher.validate_tokens(ending) == len(ending):
                way += [*ending, min(self._vocabulary.stop)] if start is _Part.VALUE else ending
                break
            tokens = self._vocabulary.quickest(matcher)
            matcher.consume_tokens(tokens)
            way += tokens
            text += self._vocabulary.text(tokens)
            if _last_part(text)[0] is not start:
                break
        return way if len(way) <= most else None

    def _cut(self, part: _Part) -> list[int]:
        texts = {_Part.THOUGHTS: CUT_THOUGHTS, _Part.VALUE: CUT_VALUE}
        return self._vocabulary.tokens(texts[part]) if part in texts else []

    def _take(self, token: int) -> None:
        self._ids.append(token)
        if token in self._vocabulary.stop:
            return
        if not self._matcher.consume_token(token):
            raise MalformedPlanError("The grammar is too large for this plan.")
        piece = self._vocabulary.text([token])
        self._text += piece
        if b"}" in piece and _last_part(self._text)[0] is _Part.ACTIONS:
            self._note_actions()

    def _note_actions(self) -> None:
        """When an action has become whole, let later ones refer to its result."""
        written = _whole_actions(self._text)
        if len(written.names) > len(self._written.names):
            self._written = written
            self._matcher = self._vocabulary.matcher(self._grammar.text(written))
            if not self._matcher.consume_tokens(self._ids):
                raise MalformedPlanError("The actions cannot be read while they are written.")


def _last_part(text: bytes) -> tuple[_Part, int]:
    """The part that the text ends in, and its length in bytes so far."""
    _, opened, thoughts = text.partition(THOUGHTS.encode())
    if not opened:
        return _Part.OPENING, len(text)
    _, acting, actions = thoughts.partition(ACTIONS.encode())
    if not acting:
        return _Part.THOUGHTS, len(thoughts)
    _, valued, value = actions.partition(VALUE.encode())
    return (_Part.VALUE, len(value)) if valued else (_Part.ACTIONS, len(actions))


def _whole_actions(text: bytes) -> WrittenActions:
    """The actions in a text whose list is still open. Nothing, when the last brace closes less than an action."""
    listed = text.partition(ACTIONS.encode())[2].strip()
    begun = listed[: listed.rindex(b"}") + 1].decode()
    try:
        actions = json.loads(f"{begun}]")
    except ValueError:
        return WrittenActions()
    return WrittenActions(begun, tuple(action["API_name"] for action in actions))
