"""An answer with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge

from mmedagent.controller.evidence.failures import disclosed, failure_claims
from mmedagent.controller.evidence.findings import FindingSources
from mmedagent.controller.evidence.numbers import NumberSources
from mmedagent.controller.evidence.quantities import Group, Number, quantities
from mmedagent.controller.evidence.sources import Basis, Place, Source, sources_of, without_call
from mmedagent.controller.evidence.terms import Found
from mmedagent.controller.evidence.texts import Answer
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ToolResult

MAX_TRACED = 1_000
"""So many numbers and names of an answer are traced; those behind them are unsupported."""


def with_evidence(text: str, basis: Basis) -> tuple[str, tuple[Claim, ...]]:
    """The answer as it is to be shown, in which every failed call is told of, and its claims in order."""
    sources = sources_of(basis)
    told = disclosed(text, sources)
    return told, _claims(Answer(told), basis, sources)


def _claims(answer: Answer, basis: Basis, sources: Sequence[Source]) -> tuple[Claim, ...]:
    failures = sorted(failure_claims(answer, sources), key=lambda one: one.start)
    citations = [*_citations(answer, sources, failures)]
    claims: list[Claim] = []
    for claim in _by_start(failures, citations):
        if not claims or claim.start >= claims[-1].end:
            claims.append(claim)
    return tuple(sorted([*claims, *_traced(answer, basis, sources, claims)], key=lambda one: one.start))


def _by_start(*lists: Sequence[Claim]) -> Iterator[Claim]:
    return merge(*lists, key=lambda one: one.start)


def _traced(answer: Answer, basis: Basis, sources: Sequence[Source], taken: Sequence[Claim]) -> Iterator[Claim]:
    """The claims of numbers and names, from the first to the last, where nothing else is claimed.

    What is in an example of a card, quoted as a proposal what to ask, claims nothing.
    """
    numbers, names = NumberSources(answer, basis, sources), FindingSources(answer, basis, sources)
    found = merge(names.names(), quantities(answer.text), key=lambda one: one.start)
    examples = {" ".join(one.ask.split()) for card in basis.cards.values() for one in card.examples}
    end, place, count = 0, 0, 0
    for one in found:
        while place < len(taken) and taken[place].end <= one.start:
            place += 1
        if one.start < end or (place < len(taken) and taken[place].start < one.end):
            continue
        if answer.quotation_at(one.start) in examples:
            continue
        end, count = one.end, count + 1
        if count > MAX_TRACED:
            yield from _untraced(answer, one)
        elif isinstance(one, Found):
            claim = names.claim(one)
            if claim is not None:
                yield claim
        else:
            yield from numbers.claims(one)


def _untraced(answer: Answer, found: Found | Number | Group) -> Iterator[Claim]:
    if not isinstance(found, Found):
        yield without_call(Place(found.start, found.end, answer.text[found.start : found.end]), "number", False)


def _citations(answer: Answer, sources: Sequence[Source], failures: Sequence[Claim]) -> Iterator[Claim]:
    """Markers. One of a call without result is supported where the line tells of the failure before it."""
    for marker in answer.markers:
        place = Place(marker.start, marker.end, answer.text[marker.start : marker.end])
        if not 1 <= marker.number <= len(sources):
            yield without_call(place, "citation", False)
            continue
        source = sources[marker.number - 1]
        works = isinstance(source.outcome, ToolResult)
        told = works or any(
            one.call_id == source.outcome.call_id and "\n" not in answer.text[one.start : marker.start]
            for one in failures
            if one.start < marker.start
        )
        yield source.claim(place, "citation", "" if works else None, supported=told)
