"""Which wordings there are already: an ask that differs from one only in its names is no new one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mmedagent.networks.planner_text import read_ask_text
from mmedagent.training.instructions.ask_files import all_asks

MAX_NAME_WORDS, MAX_NAME_WORDS_IN_SHORT = 6, 3
FEW_WORDS = 3
"""Beside the gaps. A wording with fewer would be like too much else, so its names are short and no passage counts."""

_GAP = re.compile(r"<[^>]*>|«[^»]*»|\{\w+\}")
_COORDINATES = {"{box}": "box", "{input_box}": "box", "{point}": "point", "{input_point}": "point"}
_PASSAGE = r"\w+(?: \w+)*"


def normalised(ask: str) -> str:
    """The words of an ask in lower case, with `box` and `point` for coordinates."""
    return " ".join(re.findall(r"\w+", read_ask_text(ask).text.casefold()))


@lru_cache(maxsize=1)
def hand_written() -> Wordings:
    """Those of this project's asks, of every share. Add to another one that is based on it, and not to this."""
    known = Wordings()
    for ask in all_asks():
        known.add_markup(ask.wording)
    return known


class Wordings:
    """The asks and the wordings with gaps that were added, and those of `base`."""

    def __init__(self, base: Wordings | None = None) -> None:
        self._base = base
        self._asks: set[str] = set()
        self._patterns: dict[str, re.Pattern[str]] = {}

    def add(self, ask: str) -> None:
        """Only this very ask, whatever its case and marks."""
        self._asks.add(normalised(ask))

    def add_example(self, ask: str, copied: Iterable[str]) -> None:
        """An ask, and what it becomes with other texts in place of those that its parameters copy."""
        self.add(ask)
        marked = ask
        for text in sorted(copied, key=len, reverse=True):
            marked = marked.replace(text, f"<{text}>" if len(text.split()) <= MAX_NAME_WORDS else f"«{text}»", 1)
        self.add_markup(marked)

    def add_markup(self, words: str) -> None:
        """The words of a hand-written ask with their markup, as `ask_files` explains it."""
        for slot, name in _COORDINATES.items():
            words = words.replace(slot, f" {name} ")
        self.add(re.sub(r"[<>«»]", "", words))
        plain, gaps = [normalised(piece) for piece in _GAP.split(words)], _GAP.findall(words)
        known = len(" ".join(plain).split())
        has_passage = any(gap.startswith("«") for gap in gaps)
        if gaps and known and (known >= FEW_WORDS or not has_passage):
            name = _words(MAX_NAME_WORDS if known >= FEW_WORDS else MAX_NAME_WORDS_IN_SHORT)
            filled = [_PASSAGE if gap.startswith("«") else name for gap in gaps]
            pattern = " ".join(part for pair in zip(plain, [*filled, ""], strict=True) for part in pair if part)
            self._patterns.setdefault(pattern, re.compile(pattern))

    def holds(self, ask: str) -> bool:
        """Whether it says what was added, perhaps with other names in it."""
        words = normalised(ask)
        if words in self._asks or any(pattern.fullmatch(words) for pattern in self._patterns.values()):
            return True
        return self._base is not None and self._base.holds(ask)


def _words(most: int) -> str:
    return rf"\w+(?: \w+){{0,{most - 1}}}"
