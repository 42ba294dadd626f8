"""Instructions in quoted text, which are followed only where the user's own words hand them on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmedagent.networks.planner_parts import Part
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_text import AskText, words_of

_QUOTATION = re.compile(r"[\"“]([^\"“”]+)[\"”]|«([^«»]+)»")
_STAND_IN = '"this"'
_FEWEST_WORDS = 3
_MARKS = " .,;:!?"
_HANDING_ON = frozenset({"clarify", "again"})
"""What is left of an ask reads as one of these where it hands on what was quoted, such as 'Please do "this".'"""


def heeded(parts: Sequence[Part], ask: AskText, asks: AskReader, threshold: float) -> tuple[Part, ...]:
    """The parts of an ask that the user wants, of `parts`, which are all that it reads as.

    If a quotation reads as wanting a tool ('The mail says "segment the liver". Is that spam?'), the ask is read without
    it, and of the tools only those count that the rest asks for, too, unless the rest hands the quotation on.
    """
    orders = [
        match
        for match in _QUOTATION.finditer(ask.text)
        if not _is_copied(_inside(match), parts) and _is_order(_inside(match), ask, asks, threshold)
    ]
    if not orders or not any(part.wants_tool for part in parts):
        return tuple(parts)
    rest = ask.text
    for match in reversed(orders):
        rest = f"{rest[: match.start()]}{_STAND_IN}{rest[match.end() :]}"
    own = asks.read(replace(ask, text=rest))
    if not rest.replace(_STAND_IN, "").strip(_MARKS) or any(part.outcome in _HANDING_ON for part in own):
        return tuple(parts)
    return tuple(_wanted(own, parts, iter(orders)))


def _wanted(own: Sequence[Part], parts: Sequence[Part], orders: Iterator[re.Match[str]]) -> Iterator[Part]:
    """The parts of the rest, those for tools as they were read with the quotations."""
    by_tool = {part.outcome: part for part in reversed(parts) if part.wants_tool}
    for part in own:
        words = re.sub(_STAND_IN, lambda stand_in: next(orders, stand_in)[0], part.words)
        yield by_tool.get(part.outcome, replace(part, words=words))


def _inside(quotation: re.Match[str]) -> str:
    return (quotation[1] or quotation[2]).strip(_MARKS)


def _is_copied(quoted: str, parts: Sequence[Part]) -> bool:
    """Whether a quotation is a name or has to do with a passage that an action takes."""
    passages = (passage for part in parts for passage in part.passages)
    return any(quoted in part.names for part in parts) or any(quoted in one or one in quoted for one in passages)


def _is_order(quoted: str, ask: AskText, asks: AskReader, threshold: float) -> bool:
    if len(words_of(quoted)) < _FEWEST_WORDS:
        return False
    return any(part.wants_tool and part.confidence >= threshold for part in asks.read(replace(ask, text=quoted)))
