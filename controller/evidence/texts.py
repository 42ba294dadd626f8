"""An answer taken apart: sentences, quotations, lines, and the markers that cite actions."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

_SENTENCE_END = re.compile(
    r"[.!?][”\"')\]]*(?:[ \t]*\[\d{1,3}\])*(?:\s+|\Z)|\[\d{1,3}\][ \t]+(?=[A-Z“])|\n+",
)
_QUOTATION = re.compile(r"“[^“”]*”")
_MARKER = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end`, the end not included."""

    start: int
    end: int


@dataclass(frozen=True)
class Marker(Span):
    """`[1]` cites the first action of the turn."""

    number: int


class Answer:
    """The text of an answer with its parts, each found once in time that grows with the length."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def sentences(self) -> list[Span]:
        """Stretches that cover the text, each with the markers that follow it."""
        ends = [match.end() for match in _SENTENCE_END.finditer(self.text)]
        bounds = sorted({0, *ends, len(self.text)})
        return [Span(start, end) for start, end in pairwise(bounds)]

    @cached_property
    def markers(self) -> list[Marker]:
        """The markers outside of quotations; inside they are somebody else's."""
        found = (Marker(match.start(), match.end(), int(match[1])) for match in _MARKER.finditer(self.text))
        return [marker for marker in found if not self.is_quoted(marker.start)]

    def sentence_at(self, position: int) -> Span:
        starts = self._sentence_starts
        return self.sentences[max(0, bisect_right(starts, position) - 1)] if starts else Span(0, 0)

    def is_quoted(self, position: int) -> bool:
        return self.quotation_at(position) != ""

    def quotation_at(self, position: int) -> str:
        """What stands between the quotation marks around a position; "" where there are none."""
        place = bisect_right(self._quotation_starts, position) - 1
        if place < 0 or position >= self._quotations[place].end:
            return ""
        return self.text[self._quotations[place].start + 1 : self._quotations[place].end - 1]

    def markers_in(self, span: Span) -> list[Marker]:
        first, last = (bisect_left(self._marker_starts, place) for place in (span.start, span.end))
        return self.markers[first:last]

    def cited_at(self, position: int) -> int | None:
        """The action of the next marker in the same line."""
        place = bisect_left(self._marker_starts, position)
        if place == len(self.markers):
            return None
        marker = self.markers[place]
        line_end = self.text.find("\n", position, marker.start)
        return marker.number if line_end < 0 else None

    @cached_property
    def _sentence_starts(self) -> Sequence[int]:
        return [one.start for one in self.sentences]

    @cached_property
    def _marker_starts(self) -> Sequence[int]:
        return [one.start for one in self.markers]

    @cached_property
    def _quotations(self) -> list[Span]:
        return [Span(*match.span()) for match in _QUOTATION.finditer(self.text)]

    @cached_property
    def _quotation_starts(self) -> Sequence[int]:
        return [one.start for one in self._quotations]
