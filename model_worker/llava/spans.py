"""Keeps texts that a planner copies to the user's own words: a pattern of every stretch of them.

A small model garbles names that it has never seen. Where its `planner.json` says so, names, questions and indications
in a plan are stretches of what the user wrote, from one word to another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmedagent.model_worker.llava.schema import TEXT_PATTERN
from mmedagent.protocol.types import JsonSchema

MOST_WORDS, NAME_WORDS, PASSAGE_WORDS = 400, 12, 120
"""Words of the user that are read, and the words of the longest name and the longest passage."""

LONGEST_NAME = 300
"""A schema whose texts may have more characters is one of passages."""

_WORD = re.compile(r"\w+(?:[-'’./]\w+)*|[^\w\s]")


class SpanPatterns:
    """The patterns for the words of one conversation. They are empty where the user has written nothing to copy."""

    def __init__(self, texts: Sequence[str]) -> None:
        lines = [line for text in texts for line in text.splitlines()]
        self._name = _pattern(lines, NAME_WORDS)
        self._passage = _pattern(lines, PASSAGE_WORDS)

    def within(self, schema: JsonSchema) -> JsonSchema:
        """The narrowed schema in which every free text is a stretch of the user's words."""
        found: JsonSchema = self._inner(schema)
        return found

    def _inner(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._inner(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        kept = {key: self._inner(value) for key, value in schema.items()}
        if kept.get("pattern") == TEXT_PATTERN and "enum" not in kept:
            pattern = self._name if kept.get("maxLength", LONGEST_NAME + 1) <= LONGEST_NAME else self._passage
            kept |= {"pattern": pattern} if pattern else {}
        return kept


def _pattern(lines: Sequence[str], most: int) -> str:
    """A pattern of every stretch of at most `most` words inside a line. No stretch begins as a reference does."""
    starts: dict[str, None] = {}
    left = MOST_WORDS
    for line in lines:
        places = [match.span() for match in _WORD.finditer(line)][:left]
        left -= len(places)
        for first, (start, _) in enumerate(places):
            if line[start] != "$":
                starts[_stretches(line, places[first : first + most])] = None
    return f"^(?:{'|'.join(starts)})$" if starts else ""


def _stretches(line: str, places: Sequence[tuple[int, int]]) -> str:
    """The first word, and each further one with what is before it as long as the one before is there."""
    begin, end = places[0]
    pattern, closing = re.escape(line[begin:end]), ""
    for _, stop in places[1:]:
        pattern += f"(?:{re.escape(line[end:stop])}"
        closing += ")?"
        end = stop
    return pattern + closing
