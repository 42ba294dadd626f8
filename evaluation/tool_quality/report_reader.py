"""Reads what a chest report states: an independent check of what a report generator wrote, by rules on its sentences.

A sentence states a finding when it names it outside the reach of a negation ("likely" and "suggests" state), and denies
it when it names it within. "Possible", "unlikely", "not ruled out" and their like hedge, which is neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Stance = Literal["stated", "hedged", "denied"]

TERMS: Mapping[str, str] = {
    "cardiomegaly": r"cardiomegaly|(?:heart|cardiac silhouette|cardiac shadow)[^.]{0,30}\benlarged"
    r"|enlarged (?:heart|cardiac)|cardiothoracic ratio is increased|enlargement of the heart",
    "pleural effusion": r"effusions?|pleural fluid",
    "pneumothorax": r"pneumothora(?:x|ces)",
    "consolidation": r"consolidations?|air-?\s?space opacit(?:y|ies)",
    "lung nodule": r"nodules?|nodular",
    "infiltration": r"infiltrat(?:ion|ions|es?)|reticular pattern|interstitial",
}
"""Patterns that name the findings of the phantoms."""

NORMAL: Mapping[str, tuple[str, ...]] = {
    r"heart size is normal|normal (?:cardiac silhouette|heart size)|heart is normal|heart is of normal size": (
        "cardiomegaly",
    ),
    r"costophrenic angles are clear": ("pleural effusion",),
    r"lungs are clear": ("consolidation", "lung nodule", "infiltration"),
    r"no (?:acute )?abnormality|normal chest radiograph": tuple(TERMS),
}
"""Patterns of normal phrases, and the findings that they deny."""

_NEGATION = re.compile(r"\b(?:no|not|without|nor|neither|free of|clear of|absence of|negative for|excluded)\b")
_NEGATED_AFTER = re.compile(r"\b(?:not (?:seen|present|identified|visible)|absent|excluded)\b")
_HEDGE = re.compile(
    r"\b(?:possibl[ey]|possibility|may|might|could|questionable|suspected|unlikely"
    r"|(?:cannot be|not) (?:excluded|ruled out))\b"
)
_CLAUSE = re.compile(r"\b(?:but|however|although|whereas)\b|;")


@dataclass(frozen=True)
class Statement:
    """What one sentence says about one finding."""

    finding: str
    stance: Stance
    sentence: str


def read_report(*texts: str) -> list[Statement]:
    """All statements of the texts, sentence by sentence."""
    return [statement for text in texts for sentence in _sentences(text) for statement in _read(sentence)]


def stated(statements: Iterable[Statement]) -> frozenset[str]:
    """The findings that are said to be there."""
    return frozenset(one.finding for one in statements if one.stance == "stated")


def disagreements(statements: Iterable[Statement]) -> frozenset[str]:
    """Findings that one sentence states and another denies."""
    rows = list(statements)
    return stated(rows) & frozenset(one.finding for one in rows if one.stance == "denied")


def _sentences(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+|\n", text) if one.strip()]


def _read(sentence: str) -> list[Statement]:
    found: list[Statement] = []
    for clause in _CLAUSE.split(sentence.casefold()):
        normal = {one for pattern, names in NORMAL.items() if re.search(pattern, clause) for one in names}
        found += [Statement(name, "denied", sentence) for name in sorted(normal)]
        for name, pattern in TERMS.items():
            match = re.search(rf"\b(?:{pattern})\b", clause)
            if match and name not in normal:
                found.append(Statement(name, _stance(clause, match), sentence))
    return found


def _stance(clause: str, match: re.Match[str]) -> Stance:
    """A negation reaches forward to the end of its clause, and back only from the verb ("... is not seen")."""
    if _HEDGE.search(clause):
        return "hedged"
    negation = _NEGATION.search(clause[: match.end()]) or _NEGATED_AFTER.search(clause[match.end() :])
    return "denied" if negation else "stated"
