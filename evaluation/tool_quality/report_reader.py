"""Reads what a chest report states: an independent check of what a report generator wrote, by rules on its sentences.

A sentence counts as stating a finding when it names it outside the reach of a negation, and as denying it when it
names it within. "Possible" and its like make a statement hedged, which is neither.
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
}
"""Patterns of normal phrases, and the findings that they deny."""

_NEGATION = re.compile(r"\b(?:no|not|without|nor|neither|free of|clear of|absence of|negative for|excluded|unlikely)\b")
_HEDGE = re.compile(
    r"\b(?:possible|possibly|may|might|cannot be excluded|probable|probably|suspected|likely|suggest\w*)\b"
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


def stated(statements: Iterable[Statement], hedged: bool = True) -> frozenset[str]:
    """The findings that are said to be there; with `hedged`, also those that are said to be possible."""
    wanted = ("stated", "hedged") if hedged else ("stated",)
    return frozenset(one.finding for one in statements if one.stance in wanted)


def disagreements(statements: Iterable[Statement]) -> frozenset[str]:
    """Findings that one sentence states and another denies."""
    rows = list(statements)
    said = frozenset(one.finding for one in rows if one.stance == "stated")
    return said & frozenset(one.finding for one in rows if one.stance == "denied")


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
    """A negation reaches forward to the end of its clause, and back only where it ends the clause ("… is not seen")."""
    before, inside, after = clause[: match.start()], match.group(), clause[match.end() :]
    negation = _NEGATION.search(before) or _NEGATION.search(inside)
    if negation or re.search(r"\b(?:not (?:seen|present|identified|visible)|absent|excluded|unlikely)\b", after):
        return "denied" if "cannot be excluded" not in clause else "hedged"
    return "hedged" if _HEDGE.search(clause) else "stated"
