"""Names in a text: those that results give, and those of a closed list of findings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

Words = tuple[str, ...]
"""The words of a name, in lower case and without the ending of the plural."""

MAX_WORDS = 8
_WORD = re.compile(r"[^\W_]+(?:[-'’&][^\W_]+)*")
_BETWEEN = re.compile(r"[\s()’'\"“”,/-]{1,3}")
_NEVER_ALONE = frozenset({"no", "yes", "none", "not", "other", "a", "the", "is", "it", "and", "or", "of", "in", "on"})
"""Words that are labels only where they are quoted."""


class Word(NamedTuple):
    start: int
    end: int
    stem: str


class Found(NamedTuple):
    """A name in a text."""

    start: int
    end: int
    words: Words


class Names:
    """A set of names, and those of `others`, that are found in texts, the longest at each place."""

    def __init__(self, names: Iterable[Words], others: Names | None = None) -> None:
        self._by_first: dict[str, list[Words]] = {}
        self._others = others
        for words in sorted(set(names), key=lambda one: (-len(one), one)):
            if words:
                self._by_first.setdefault(words[0], []).append(words)

    def find(self, text: str) -> Iterator[Found]:
        """Whole words only, from left to right, never overlapping; nothing across the end of a sentence."""
        tokens = list(words_in(text))
        place = 0
        while place < len(tokens):
            words = self.longest_at(text, tokens, place)
            if words is None:
                place += 1
                continue
            yield Found(tokens[place].start, tokens[place + len(words) - 1].end, words)
            place += len(words)

    def longest_at(self, text: str, tokens: list[Word], place: int) -> Words | None:
        """The longest name that begins with the token at `place`."""
        others = self._others.longest_at(text, tokens, place) if self._others is not None else None
        for words in self._by_first.get(tokens[place].stem, ()):
            if others is not None and len(others) >= len(words):
                break
            own = tokens[place : place + len(words)]
            if tuple(one.stem for one in own) == words and _joined(text, own) and not _alone(text, words, own[0]):
                return words
        return others


def words_in(text: str) -> Iterator[Word]:
    return (Word(match.start(), match.end(), stem(match[0])) for match in _WORD.finditer(text))


def words_of(name: str) -> Words:
    """A name as it is looked for; () for one that is too long or has no words."""
    words = tuple(word.stem for word in words_in(name))
    return words if len(words) <= MAX_WORDS else ()


@lru_cache(maxsize=8_192)
def stem(word: str) -> str:
    """The word in lower case, without the ending of the plural."""
    word = word.casefold()
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@cache
def findings() -> dict[Words, Words]:
    """The closed list: every way to say a finding, and the first of them."""
    text = resources.files("mmedagent.controller.evidence").joinpath("findings.toml").read_text("utf-8")
    rows: list[list[str]] = tomllib.loads(text)["names"]
    return {words_of(name): words_of(row[0]) for row in rows for name in row}


@cache
def finding_names() -> Names:
    return Names(findings())


def _joined(text: str, own: list[Word]) -> bool:
    return all(_BETWEEN.fullmatch(text, one.end, other.start) for one, other in pairwise(own))


def _alone(text: str, words: Words, first: Word) -> bool:
    """Whether this is an everyday word that nothing marks as a name."""
    before = text[max(0, first.start - 1) : first.start]
    return len(words) == 1 and words[0] in _NEVER_ALONE and before not in {"“", '"'}
