"""Instructions in quoted text, which are followed only where the user's own words hand them on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mmedagent.networks.planner_parts import Part
from mmedagent.networks.planner_reader import MAX_READ_CHARACTERS, AskReader
from mmedagent.networks.planner_text import AskText, FrameSize, read_ask_text, words_of

_QUOTATION = re.compile(r"(?<!\d)[\"“„]([^\"“”„]+)[\"”“]|«([^«»]+)»")
_MOST, _FEWEST_WORDS = 8, 3
_STAND_IN = '"this"'
_MARKS = " .,;:!?"
_HANDING_ON = frozenset({"clarify", "again"})
"""What is left of an ask reads as one of these where it hands on what was quoted, such as 'Please do "this".'"""


class QuotationReader:
    """Reads an ask for what the user wants, and not for what is only quoted.

    If a quotation reads as wanting a tool ('The mail says "segment the liver". Is that spam?'), the ask is read without
    it, and only the rest counts, unless the rest hands the quotation on. What is quoted as a name or a passage to copy
    is no such instruction. The first `_MOST` quotations are looked at.
    """

    def __init__(self, asks: AskReader, threshold: float) -> None:
        self._asks, self._threshold = asks, threshold

    def read(self, text: str, size: FrameSize | None) -> tuple[AskText, tuple[Part, ...]]:
        """The ask as it counts, and its parts."""
        ask = read_ask_text(text, size)
        parts = self._asks.read(ask)
        if not any(part.wants_tool for part in parts):
            return ask, parts
        quoted = list(_QUOTATION.finditer(text, 0, MAX_READ_CHARACTERS))[:_MOST]
        orders = [one for one in quoted if not _is_copied(_inside(one), parts) and self._is_order(_inside(one), size)]
        rest = text
        for one in reversed(orders):
            rest = f"{rest[: one.start()]}{_STAND_IN}{rest[one.end() :]}"
        if not orders or not rest.replace(_STAND_IN, "").strip(_MARKS):
            return ask, parts
        own_ask = read_ask_text(rest, size)
        own = self._asks.read(own_ask)
        if any(part.outcome in _HANDING_ON for part in own):
            return ask, parts
        return own_ask, _completed(own, parts, [one[0] for one in orders])

    def _is_order(self, quoted: str, size: FrameSize | None) -> bool:
        if len(words_of(quoted)) < _FEWEST_WORDS:
            return False
        parts = self._asks.read(read_ask_text(quoted, size))
        return any(part.wants_tool and part.confidence >= self._threshold for part in parts)


def _completed(own: Sequence[Part], parts: Sequence[Part], orders: Sequence[str]) -> tuple[Part, ...]:
    """The parts of the rest with the words of the quotations, and with names from there where a tool lacks one."""
    quoted = iter(orders)
    found = []
    for part in own:
        words = re.sub(_STAND_IN, lambda stand_in: next(quoted, stand_in[0]), part.words)
        whole = next((one for one in parts if one.outcome == part.outcome and one.names), None)
        is_nameless = not part.names or any("this" in name.casefold().split() for name in part.names)
        names = whole.names if whole is not None and is_nameless and _STAND_IN in part.words else part.names
        found.append(replace(part, words=words, names=names))
    return tuple(found)


def _inside(quotation: re.Match[str]) -> str:
    return (quotation[1] or quotation[2]).strip(_MARKS)


def _is_copied(quoted: str, parts: Sequence[Part]) -> bool:
    """Whether a quotation is a name or has to do with a passage that an action takes."""
    passages = (passage for part in parts for passage in part.passages)
    return any(quoted in part.names for part in parts) or any(quoted in one or one in quoted for one in passages)
