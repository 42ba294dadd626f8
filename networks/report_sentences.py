"""What a sentence of a report says about each finding, and sentences that say what a probability means.

The four grades and their limits are those of ChatCAD (Wang et al. 2023, arXiv 2302.07257); the words are our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

UNLIKELY, LIKELY, CLEAR = 0.2, 0.5, 0.9
"""Probabilities from which a finding is not denied, is stated as likely, and is stated as clear."""


class Stance(Enum):
    """How a sentence, or a probability, stands to a finding."""

    DENIED = "denied"
    HEDGED = "hedged"
    STATED = "stated"


_NAMED: Mapping[str, str] = {
    "cardiomegaly": r"cardiomegaly|cardiac enlargement|enlarge(?:d|ment of the) (?:heart|cardiac \w+)"
    r"|(?:heart|cardiac (?:silhouette|shadow|size))\b[^.;]{0,30}\b(?:enlarged|increased)"
    r"|cardiothoracic ratio\b[^.;]{0,15}\bincreased",
    "consolidation": r"consolidations?|air-?\s?space (?:opacit(?:y|ies)|disease)|opacification",
    "infiltration": r"infiltrat(?:es?|ions?)|reticular pattern|interstitial (?:opacit(?:y|ies)|markings?)",
    "lung nodule": r"nodul(?:es?|ar)|mass(?:es)?",
    "pleural effusion": r"effusions?|pleural fluid|blunted",
    "pneumothorax": r"pneumothora(?:x|ces)",
    "atelectasis": r"atelecta(?:sis|ses|tic)",
    "edema": r"o?edema",
}
"""Patterns that name findings; a finding that is not here is named by its own name."""

_NORMAL: tuple[tuple[re.Pattern[str], frozenset[str] | None], ...] = (
    (
        re.compile(
            r"\b(?:heart|cardiac (?:silhouette|size))\b[^.;]{0,20}\b(?:normal|unremarkable)"
            r"|\bnormal (?:heart|cardiac)|\bwithin normal limits"
        ),
        frozenset({"cardiomegaly"}),
    ),
    (re.compile(r"\bcostophrenic (?:angles|sulci) are (?:clear|sharp)"), frozenset({"pleural effusion"})),
    (
        re.compile(r"\blungs (?:are|appear|remain) (?:\w+ )?clear"),
        frozenset({"consolidation", "infiltration", "lung nodule", "atelectasis", "edema"}),
    ),
    (
        re.compile(
            r"\bno (?:(?:acute|significant|other|cardiopulmonary) )*(?:abnormalit(?:y|ies)|process|disease|findings?)\b"
            r"|\b(?:normal|unremarkable) (?:chest|study|examination|radiograph)"
            r"|\b(?:chest|study) is (?:normal|unremarkable)"
        ),
        None,
    ),
)
"""Phrases of health and the findings that they deny; None stands for all."""

_CLAUSE = re.compile(r";|\b(?:but|however|although|though|whereas)\b")
_NEGATION = re.compile(
    r"\b(?:no|not|without|nor|neither|never|free of|clear of|absence of|negative for|resolved|ruled out)\b"
)
_NEGATED_AFTER = re.compile(r"^[^.;]*\b(?:(?:is|are|was|were) (?:not|absent|resolved)|ruled out|has resolved)\b")
_HEDGE = re.compile(
    r"\b(?:unlikely|possibl[ey]|possibility|may|might|could|questionable|suspected|suspicious|cannot be excluded"
    r"|cannot be ruled out|not excluded)\b"
)


def stances_of(sentence: str, findings: Iterable[str]) -> dict[str, Stance]:
    """How a sentence stands to each of `findings` that it speaks of, directly or by a phrase of health."""
    text, wanted = sentence.casefold(), tuple(findings)
    stances: dict[str, Stance] = {}
    for pattern, denied in _NORMAL:
        if pattern.search(text):
            stances |= {name: Stance.DENIED for name in wanted if denied is None or name in denied}
    for clause in _CLAUSE.split(text):
        for name in wanted:
            found = re.search(rf"\b(?:{_NAMED.get(name, re.escape(name.casefold()))})\b", clause)
            if found:
                stances[name] = _stance(clause, found)
    return stances


def _stance(clause: str, found: re.Match[str]) -> Stance:
    """A negation reaches from where it stands to the end of its clause, or back when it is the verb's."""
    if _HEDGE.search(clause):
        return Stance.HEDGED
    before = clause[: found.start()] + found.group()
    negated = _NEGATION.search(before) or _NEGATED_AFTER.search(clause[found.end() :])
    return Stance.DENIED if negated else Stance.STATED


def stance_for(probability: float) -> Stance:
    """The stance that a probability in [0, 1] allows."""
    if probability < UNLIKELY:
        return Stance.DENIED
    return Stance.HEDGED if probability < LIKELY else Stance.STATED


def graded(finding: str, probability: float) -> str:
    """A sentence for a finding and its probability in [0, 1]."""
    name = finding.replace("_", " ")
    name = name if name.isupper() else name[:1].lower() + name[1:]
    article = "a " if name in _COUNTABLE else ""
    if probability < UNLIKELY:
        return f"There is no sign of {article}{name}."
    if probability < LIKELY:
        return f"{_capital(article + name)} is unlikely but not ruled out."
    if probability < CLEAR:
        return f"{_capital(article + name)} is likely."
    return f"The image clearly shows {article}{name}."


_COUNTABLE = frozenset({"lung nodule", "pleural effusion", "pneumothorax"})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
