"""Keeps the numbers of an answer to those that are there: in the results, in the user's words, and counts of them.

A number may be rounded, written as a percentage where it is a share, and grouped by thousands. It is a whole number in
the answer only where it is one there: "12" and "5" do not make "12.5".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from mmedagent.protocol.types import JsonObject

MOST_NUMBERS = 2_000
DECIMALS = 3
MOST_COUNTED = 64
"""Some of the items of a list, or all of them, may be counted up to so many."""

_SPOKEN = re.compile(r"\d+(?:[.,]\d+)*")
_PLAIN = r"[^\x00-\x08\x0b-\x1f\x7f0-9]"
_ENDING = r"[^\x00-\x08\x0b-\x1f\x7f0-9.,]"


def numbers_known(texts: Sequence[str], results: Sequence[JsonObject], actions: int) -> list[str]:
    """Every number that an answer may have, longest first; `actions` are numbered from 1 in its markers."""
    found = dict.fromkeys(str(number) for number in range(1, actions + 1))
    for text in texts:
        found |= dict.fromkeys(_SPOKEN.findall(text))
    for result in results:
        found |= dict.fromkeys(_written(result))
    return sorted(list(found)[:MOST_NUMBERS], key=lambda one: (-len(one), one))


def text_with(numbers: Sequence[str]) -> str:
    """A regular expression of any text whose numbers are all among `numbers`."""
    if not numbers:
        return f"{_PLAIN}*"
    known = f"(?:{'|'.join(map(re.escape, numbers))})"
    return f"(?:{known})?(?:{_PLAIN}*{_ENDING}{known})*{_PLAIN}*"


def _written(value: JsonValue) -> Iterator[str]:
    """The ways to write the numbers in a result."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        if len(value) != 64:  # the sha256 of an artifact is no number
            yield from _SPOKEN.findall(value)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _written(one)
    elif isinstance(value, list):
        yield from map(str, range(min(len(value), MOST_COUNTED) + 1))
        for one in value:
            yield from _written(one)
    else:
        yield from _of_number(value)


def _of_number(number: float) -> Iterator[str]:
    size = abs(number)
    yield str(size)
    for decimals in range(DECIMALS + 1):
        yield f"{size:.{decimals}f}"
        yield f"{size:,.{decimals}f}"
    if size <= 1:
        yield f"{100 * size:.0f}"
        yield f"{100 * size:.1f}"
