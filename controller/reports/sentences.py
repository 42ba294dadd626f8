"""Cutting an answer into sentences, each with its place in the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BREAK = re.compile(r"""\n+|[.!?]+[*_"'”’)\]]*(?:\s*\[\d{1,3}\])*(?=\s|\Z)""")
"""A line ends, or a sentence with the quotes, brackets and markers ([1]) that belong to it."""

_LIST_MARK = re.compile(r"(?:[-*•#>]+\s+)*")
_NO_END = re.compile(r"(?:^|[\s(])(?:\d{1,3}|[A-Za-z]|e\.g|i\.e|approx|ca|cf|Dr|Fig|vs)\.$")
"""A number in front of an item of a list, an initial, an abbreviation."""


class Span(NamedTuple):
    """Characters `start` to `end` of a text. `paragraph` counts from 0."""

    start: int
    end: int
    text: str
    paragraph: int


def sentences_of(text: str) -> list[Span]:
    """The sentences of a text without the marks of lists and the space around them; what has no word is left out."""
    spans, start, paragraph = [], 0, 0
    for end, is_paragraph in _ends(text):
        piece = text[start:end]
        skipped = len(piece) - len(piece.lstrip())
        mark = _LIST_MARK.match(piece, skipped)
        first = start + (mark.end() if mark else skipped)
        shown = text[first:end].rstrip()
        if re.search(r"\w", shown):
            spans.append(Span(first, first + len(shown), shown, paragraph))
        start, paragraph = end, paragraph + is_paragraph
    return spans


def _ends(text: str) -> Iterator[tuple[int, bool]]:
    """Where sentences end, and whether a paragraph does."""
    line = 0
    for found in _BREAK.finditer(text):
        if found.group().startswith("\n"):
            line = found.end()
            yield found.end(), len(found.group()) > 1
        elif not _goes_on(text, line, found):
            yield found.end(), False
    yield len(text), True


def _goes_on(text: str, line: int, found: re.Match[str]) -> bool:
    """Whether the sentence goes on behind what looks like its end; `line` is where the line begins."""
    following = text[found.end() :].lstrip()[:1]
    full_stop = text[max(line, found.start() - 12) : found.start() + 1]
    return following.islower() or _NO_END.search(full_stop) is not None
