"""Which structures and findings a question names, among those that the image tower knows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources

MASK = "structure"
"""What stands for a name where only the form of a question counts."""

_OUTLINE = "body"
"""The tower's name for whatever of the patient is in view, which is no structure to ask for."""

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_PLACE = re.compile(r"\s+(?:in|inside|within|of|on|at)(?:\s+(?:the|a|an|my|his|her|this|that))?\s+", re.IGNORECASE)
_SPELLINGS = (("ae", "e"), ("oe", "e"), ("our", "or"), ("grey", "gray"), ("’", "'"))
_KEPT_ENDS = ("ss", "us", "is")
_LONG, _ALIKE = 6, 0.88
"""A word of at least this many letters may be a known one with a typing error, down to this ratio of `difflib`."""


@dataclass(frozen=True)
class Named:
    """A name in a question: its characters [start, end), and what it names, in the question's words if unknown."""

    start: int
    end: int
    name: str


@dataclass(frozen=True)
class _Word:
    start: int
    end: int
    form: str


class NameBook:
    """Names with their synonyms, over the names that a checkpoint knows. `plain` words never are part of a name."""

    def __init__(self, known: Collection[str], plain: Iterable[str] = ()) -> None:
        entries = _entries()
        self._shown = {name: (name,) for name in known if name != _OUTLINE} | {
            name: tuple(one for one in entry.get("shown", (name,)) if one in known) for name, entry in entries.items()
        }
        said = [(name, name) for name in self._shown]
        said += [(words, name) for name, entry in entries.items() for words in entry.get("said", ())]
        self._names = {tuple(word.form for word in _words(words)): name for words, name in said}
        self._longest = max(map(len, self._names), default=0)
        self._long_words = sorted({form for key in self._names for form in key if len(form) >= _LONG})
        self._plain = {word.form for text in plain for word in _words(text)} | {"left", "right"}

    def shown(self, name: str) -> tuple[str, ...]:
        """The checkpoint's names that make a name visible; () for one that it does not know."""
        return self._shown.get(name, ())

    def find(self, text: str, spans: Sequence[str] = ()) -> tuple[Named, ...]:
        """The names in a text, in order. `spans` are stretches of it that a reader took for names.

        A known name beside a word that may be part of it ("optic nerve sheath") is another name, which is unknown.
        """
        words = [self._mended(word) for word in _words(text)]
        found = self._known(words)
        found = [self._grown(one, words, text) for one in found]
        for span in spans:
            found = self._with_span(found, words, text, span)
        return tuple(_without_places(sorted(found, key=lambda one: one.start), text))

    def masked(self, text: str, names: Sequence[Named]) -> str:
        """The text with every name replaced by `MASK`."""
        for one in sorted(names, key=lambda one: one.start, reverse=True):
            text = f"{text[: one.start]}{MASK}{text[one.end :]}"
        return text

    def _known(self, words: Sequence[_Word]) -> list[Named]:
        found: list[Named] = []
        place = 0
        while place < len(words):
            for length in range(min(self._longest, len(words) - place), 0, -1):
                own = words[place : place + length]
                name = self._names.get(tuple(word.form for word in own))
                if name is not None:
                    found.append(Named(own[0].start, own[-1].end, name))
                    place += length
                    break
            else:
                place += 1
        return found

    def _grown(self, one: Named, words: Sequence[_Word], text: str) -> Named:
        before = next((word for word in reversed(words) if word.end <= one.start), None)
        after = next((word for word in words if word.start >= one.end), None)
        start, end = one.start, one.end
        if before is not None and text[before.end : start].isspace() and self._tells(before):
            start = before.start
        if after is not None and text[end : after.start].isspace() and self._tells(after):
            end = after.end
        return one if (start, end) == (one.start, one.end) else Named(start, end, text[start:end])

    def _tells(self, word: _Word) -> bool:
        return word.form not in self._plain and not any(word.form in key for key in self._names)

    def _with_span(self, found: list[Named], words: Sequence[_Word], text: str, span: str) -> list[Named]:
        start = text.find(span)
        own = [word for word in words if start <= word.start and word.end <= start + len(span)] if start >= 0 else []
        while own and own[0].form in self._plain:
            own = own[1:]
        while own and own[-1].form in self._plain:
            own = own[:-1]
        covered = [any(one.start <= word.start < one.end for one in found) for word in own]
        if all(done or word.form in self._plain for done, word in zip(covered, own, strict=True)):
            return found
        first, last = own[0].start, own[-1].end
        apart = [one for one in found if one.end <= first or one.start >= last]
        return [*apart, Named(first, last, text[first:last])]

    def _mended(self, word: _Word) -> _Word:
        """The word, or the known one that it is a typing error of."""
        if len(word.form) < _LONG or word.form in self._plain or word.form in self._long_words:
            return word
        close = get_close_matches(word.form, self._long_words, n=1, cutoff=_ALIKE)
        return _Word(word.start, word.end, close[0]) if close else word


def _without_places(found: list[Named], text: str) -> list[Named]:
    """Without the names that only say where another one is: "nodule in the left lung", "skull fracture"."""
    kept: list[Named] = []
    for place, one in enumerate(found):
        gap_before = text[found[place - 1].end : one.start] if place else ""
        gap_after = text[one.end : found[place + 1].start] if place + 1 < len(found) else ""
        if not _PLACE.fullmatch(gap_before) and not gap_after.isspace():
            kept.append(one)
    return kept


def _words(text: str) -> list[_Word]:
    return [_Word(*match.span(), _form(match[0])) for match in _WORD.finditer(text)]


def _form(word: str) -> str:
    """A word without case, plural and the difference between British and American spelling."""
    form = word.casefold()
    for british, american in _SPELLINGS:
        form = form.replace(british, american)
    return form[:-1] if form.endswith("s") and len(form) > 3 and not form.endswith(_KEPT_ENDS) else form


def _entries() -> Mapping[str, Mapping[str, Sequence[str]]]:
    return tomllib.loads(resources.files(__package__).joinpath("names.toml").read_text("utf-8"))
