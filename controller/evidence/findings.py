"""Where a named finding of an answer comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mmedagent.controller.evidence.fields import Name, Passage
from mmedagent.controller.evidence.sources import Basis, Place, Source, cited_first, repeated, without_call
from mmedagent.controller.evidence.terms import Found, Names, Words, finding_names, findings, words_of
from mmedagent.controller.evidence.texts import Answer, Span
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ToolResult

UNLIKELY, LIKELY = 0.2, 0.5
"""Below `UNLIKELY` nothing is stated, from `LIKELY` on nothing is denied: ChatCAD's limits (arXiv 2302.07257)."""

_DENIAL = re.compile(
    r"\b(?:no|not|none|nothing|without|neither|nor|never|absent|cannot|free of|empty)\b|n['’]t\b", re.IGNORECASE
)
_HEDGE = re.compile(r"\b(?:be|been|not|is) (?:excluded|ruled out)\b", re.IGNORECASE)
_SEARCH = re.compile(r"\b(?:search|look|ask)(?:ed|ing)?\b", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[;:]|\b(?:but|however|although|whereas)\b", re.IGNORECASE)
_LISTS = ("/phrases", "/boxes", "/masks")
"""Where what was looked for would be."""

_WITH_NUMBER = re.compile(r"[^.;\n\[]{0,12}?\d")


@dataclass
class FindingSources:
    """Finds the sources of names: first in the call that the sentence cites, then in the others.

    A name of the closed list that no result and no question has is unsupported. So is one that the answer states where
    the result gives it little, or denies where the result gives it much, and one that was looked for and not found.
    """

    answer: Answer
    basis: Basis
    sources: Sequence[Source]
    _told: set[tuple[int, Words]] = field(default_factory=set)

    def names(self) -> Iterator[Found]:
        """Every name in the answer that a result, a search, an earlier answer or the closed list has."""
        known = (way for source in self.sources for way in (*source.names, *source.prompts))
        yield from Names((*known, *self._earlier), finding_names()).find(self.answer.text)

    def claim(self, found: Found) -> Claim | None:
        """The claim of a name, or None where it claims nothing or repeats its sentence."""
        sentence = self.answer.sentence_at(found.start)
        if (sentence.start, found.words) in self._told:
            return None
        self._told.add((sentence.start, found.words))
        place = Place(found.start, found.end, self.answer.text[found.start : found.end])
        words = findings().get(found.words, found.words)
        cited = self.answer.cited_at(found.start)
        against: Claim | None = None
        for source in cited_first(self.sources, cited):
            claim = (
                self._named(place, found.words, words, source)
                or self._searched(place, {found.words, words}, source)
                or self._mentioned(place, words, source)
            )
            if claim is not None and claim.supported:
                return claim
            if cited in {None, source.number}:
                against = against or claim
        return against or self._outside(place, found, words, sentence)

    def _named(self, place: Place, said: Words, words: Words, source: Source) -> Claim | None:
        names = source.names.get(said) or source.names.get(words)
        if not names:
            return None
        name = min(names, key=lambda one: one.entry != source.entry)
        agrees = not name.ranked or self._agrees(place, name, source)
        if agrees:
            source.entry = name.entry if name.entry is not None else source.entry
        return source.claim(place, "finding", name.pointer, name.score, supported=agrees)

    def _agrees(self, place: Place, name: Name, source: Source) -> bool:
        """Whether what is said of a name fits its probability."""
        if name.score is None or self._quoted(place, source) is not None:
            return True
        best = max((one.score for one in source.fields.names if one.ranked and one.score is not None), default=0.0)
        return self._allows(place, name.score, min(UNLIKELY, best))

    def _allows(self, place: Place, score: float, stated_from: float = UNLIKELY) -> bool:
        """Whether a probability allows to deny a name, where that is done, or else to state it."""
        if self._is_denied(place):
            return score < LIKELY
        return score >= stated_from or _WITH_NUMBER.match(self.answer.text, place.end) is not None

    def _quoted(self, place: Place, source: Source) -> Passage | None:
        """The tool's text that has the sentence of a name, or what stands there behind a heading."""
        sentence = self.answer.sentence_at(place.start)
        said = self.answer.text[sentence.start : sentence.end].partition(" [")[0]
        own = said.rpartition(": ")[2]
        if place.start < sentence.start + len(said) - len(own):
            return None
        own = own.strip(" \n“”")
        passages = (one for one in source.fields.texts if own in one.text)
        return next(passages, None) if len(own) > len(place.text) else None

    def _mentioned(self, place: Place, words: Words, source: Source) -> Claim | None:
        passage = source.mentions.get(words) or self._quoted(place, source)
        return source.claim(place, "finding", passage.pointer, passage.score) if passage is not None else None

    def _searched(self, place: Place, said: set[Words], source: Source) -> Claim | None:
        """A name that was looked for and not found points at the list that does not have it."""
        asked = {findings().get(one, one) for one in source.prompts} | source.prompts
        if not isinstance(source.outcome, ToolResult) or not asked & said:
            return None
        field = next((one for one in _LISTS if one[1:] in source.outcome.data), "")
        return source.claim(place, "finding", field, supported=self._tells_of_search(place))

    def _tells_of_search(self, place: Place) -> bool:
        return self._is_denied(place) or _SEARCH.search(self._clause(place)) is not None

    def _outside(self, place: Place, found: Found, words: Words, sentence: Span) -> Claim | None:
        """The user's own words, a name of an earlier answer, or nothing."""
        if words in self._asked:
            return without_call(place, "finding", True)
        earlier = self._earlier.get(found.words) or self._earlier.get(words)
        if earlier:
            fitting = next((one for one in earlier if self._still_fits(place, one)), None)
            return repeated(place, fitting or earlier[0], supported=fitting is not None)
        is_question = self.answer.text[sentence.start : sentence.end].rstrip().endswith("?")
        return None if is_question or found.words not in findings() else without_call(place, "finding", False)

    def _still_fits(self, place: Place, earlier: Claim) -> bool:
        """Whether what is said now fits the result that an earlier claim of the same name rests on."""
        field = earlier.field or ""
        if field in _LISTS:
            return self._tells_of_search(place)
        if earlier.score is None or not field.startswith(("/labels/", "/probabilities/")):
            return True
        return self._allows(place, earlier.score)

    def _is_denied(self, place: Place) -> bool:
        clause = self._clause(place)
        return _DENIAL.search(clause) is not None and _HEDGE.search(clause) is None

    def _clause(self, place: Place) -> str:
        """The words around a name in its clause."""
        sentence = self.answer.sentence_at(place.start)
        start, end = sentence.start, sentence.end
        for match in _CLAUSE_END.finditer(self.answer.text, start, end):
            if match.start() >= place.end:
                end = match.start()
                break
            start = match.end()
        return f"{self.answer.text[start : place.start]}_{self.answer.text[place.end : end]}"

    @cached_property
    def _asked(self) -> set[Words]:
        known = Names((way for source in self.sources for way in source.prompts), finding_names())
        return {findings().get(one.words, one.words) for one in known.find(self.basis.question)}

    @cached_property
    def _earlier(self) -> dict[Words, list[Claim]]:
        """Claims of earlier answers by what they name, the newest first."""
        found: dict[Words, list[Claim]] = {}
        for one in reversed(self.basis.earlier):
            words = words_of(one.text)
            for way in {words, findings().get(words, words)} - {()}:
                if one.kind == "finding" and one.supported:
                    found.setdefault(way, []).append(one)
        return found
