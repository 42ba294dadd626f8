"""From a generator's draft and a classifier's probabilities to a report in which no sentence contradicts a probability.

ChatCAD (Wang et al. 2023, arXiv 2302.07257) lets a language model revise the draft. `Merger` is the place for one;
`RuleMerger` needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mmedagent.networks.report_generator import Draft
from mmedagent.networks.report_sentences import UNLIKELY, Stance, graded, stance_for, stances_of

Section = Literal["findings", "impression"]
NORMAL = "No abnormality is seen."
LEAST_WORDS = 3
"""Shorter sentences that speak of no finding are fragments."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of the report, with the finding it speaks of and the probability in [0, 1] behind it.

    A sentence on several findings is linked to the one it is least sure of.
    """

    text: str
    section: Section
    finding: str | None
    probability: float | None
    source: Literal["classifier", "generator"]


class Merger(Protocol):
    """Makes one report of two networks' outputs."""

    def merge(self, draft: Draft, probabilities: Mapping[str, float]) -> tuple[Sentence, ...]:
        """The sentences of the report, findings first."""


class RuleMerger:
    """Keeps a sentence of the draft only if it takes the stance that each probability allows: stated from 0.5, denied
    below 0.2, hedged between. What it drops or misses is said in graded words: every finding in the findings, and in
    the impression those from 0.2."""

    def merge(self, draft: Draft, probabilities: Mapping[str, float]) -> tuple[Sentence, ...]:
        findings = _section("findings", draft.findings, probabilities, least=0.0)
        impression = _section("impression", draft.impression, probabilities, least=UNLIKELY)
        if not impression and probabilities:
            finding = max(probabilities, key=probabilities.__getitem__)
            impression = [Sentence(NORMAL, "impression", finding, probabilities[finding], "classifier")]
        return (*findings, *impression)


def _section(
    section: Section, texts: Sequence[str], probabilities: Mapping[str, float], least: float
) -> list[Sentence]:
    """One section: the draft's sentences that may stay, the others put right, then what is missing."""
    told: set[str] = set()
    kept: list[Sentence] = []
    for text in texts:
        stances = stances_of(text, probabilities)
        fragment = not stances and len(text.split()) < LEAST_WORDS
        if fragment or told & stances.keys() or any(text == sentence.text for sentence in kept):
            continue
        if all(stance is stance_for(probabilities[name]) for name, stance in stances.items()):
            kept.append(_linked(text, section, stances, probabilities))
            told |= stances.keys()
    missing = [name for name, chance in probabilities.items() if name not in told and chance >= least]
    return [*kept, *_graded(section, missing, probabilities)]


def _graded(section: Section, names: Sequence[str], probabilities: Mapping[str, float]) -> Iterator[Sentence]:
    """Graded sentences, the most probable finding first."""
    for name in sorted(names, key=lambda name: -probabilities[name]):
        yield Sentence(graded(name, probabilities[name]), section, name, probabilities[name], "classifier")


def _linked(text: str, section: Section, stances: Mapping[str, Stance], probabilities: Mapping[str, float]) -> Sentence:
    if not stances:
        return Sentence(text, section, None, None, "generator")
    ranked = sorted(stances, key=lambda name: probabilities[name])
    finding = ranked[0] if stances[ranked[0]] is Stance.STATED else ranked[-1]
    return Sentence(text, section, finding, probabilities[finding], "generator")
