"""What an answer can rest on: the calls of the turn, the question, the image's file, earlier answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from mmedagent.controller.evidence.fields import Entry, Fields, Name, Passage
from mmedagent.controller.evidence.terms import Words, finding_names, findings, words_of
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.claims import Claim, ClaimKind
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolResult
from mmedagent.protocol.plan import Action, Step


@dataclass(frozen=True)
class Basis:
    """A turn as far as its answer can rest on it. `earlier` are claims of earlier answers of the conversation."""

    question: str
    steps: Sequence[Step] = ()
    cards: Mapping[str, ToolCard] = field(default_factory=dict)
    image: ImageRef | None = None
    earlier: Sequence[Claim] = ()


class Place(NamedTuple):
    """A stretch of an answer."""

    start: int
    end: int
    text: str


@dataclass
class Source:
    """One call. `entry` is what the answer spoke of last, `spoken` are the entries of which it gave a value so far."""

    number: int
    action: Action
    outcome: Outcome
    card: ToolCard | None
    entry: Entry | None = None
    spoken: set[Entry] = field(default_factory=set)

    @cached_property
    def fields(self) -> Fields:
        return Fields(self.outcome.data if isinstance(self.outcome, ToolResult) else {})

    @cached_property
    def parameters(self) -> Fields:
        return Fields(self.action.API_params)

    @cached_property
    def names(self) -> dict[Words, list[Name]]:
        """The names of the result, under all the ways to say them; "effusion" is also short for "pleural effusion"."""
        named: dict[Words, list[Name]] = {}
        for name in self.fields.names:
            words = words_of(name.text)
            ways = {words, *(words[place:] for place in range(1, len(words)) if words[place:] in findings())}
            for way in {way for one in ways for way in (one, findings().get(one, one)) if way}:
                named.setdefault(way, []).append(name)
        return named

    @cached_property
    def mentions(self) -> dict[Words, Passage]:
        """Findings that the result's texts speak of, and where."""
        found: dict[Words, Passage] = {}
        for passage in self.fields.texts:
            for mention in finding_names().find(passage.text):
                found.setdefault(findings()[mention.words], passage)
        return found

    @cached_property
    def prompts(self) -> frozenset[Words]:
        """What was looked for by name."""
        asked = self.action.API_params.get("prompts")
        names = [one for one in asked if isinstance(one, str)] if isinstance(asked, list) else []
        return frozenset(words for one in names if (words := words_of(one)))

    def speak_of(self, entry: Entry | None) -> None:
        if entry is not None:
            self.entry = entry
            self.spoken.add(entry)

    def claim(
        self,
        place: Place,
        kind: ClaimKind,
        pointer: str | None,
        score: float | None = None,
        supported: bool = True,
    ) -> Claim:
        origin = self.outcome.provenance if isinstance(self.outcome, ToolResult) else None
        made_by = origin or self.card
        return Claim(
            start=place.start,
            end=place.end,
            text=place.text,
            kind=kind,
            supported=supported,
            call_id=self.outcome.call_id,
            field=pointer,
            tool=self.outcome.tool,
            version=made_by.version if made_by else None,
            checkpoint_sha256=made_by.checkpoint_sha256 if made_by else None,
            input_sha256=origin.input_sha256 if origin else (),
            score=score,
        )


def cited_first(sources: Sequence[Source], number: int | None) -> Sequence[Source]:
    """The sources with the one of that number in front."""
    if number is None or not 1 <= number <= len(sources):
        return sources
    return [sources[number - 1], *sources[: number - 1], *sources[number:]]


def sources_of(basis: Basis) -> list[Source]:
    """The calls of a turn in their order, counted from 1."""
    calls = [pair for step in basis.steps for pair in zip(step.plan.actions, step.outcomes, strict=False)]
    return [
        Source(number, action, outcome, basis.cards.get(outcome.tool))
        for number, (action, outcome) in enumerate(calls, start=1)
    ]


def without_call(place: Place, kind: ClaimKind, supported: bool, input_sha256: tuple[str, ...] = ()) -> Claim:
    return Claim(
        start=place.start, end=place.end, text=place.text, kind=kind, supported=supported, input_sha256=input_sha256
    )


def repeated(place: Place, claim: Claim, supported: bool = True) -> Claim:
    """An earlier claim that is made again."""
    return claim.model_copy(update={"start": place.start, "end": place.end, "text": place.text, "supported": supported})
