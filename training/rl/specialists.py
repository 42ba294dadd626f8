"""Specialists of known accuracy for the synthetic world, and the panel that a triage doctor calls.

Each is right with a probability that depends on its specialty, the modality and the family of the question. Half of
the wrong opinions name the lure, so that they gather on one option more often than by chance. Inside its field a
specialist is less certain when it is wrong; outside it is as certain as ever. Some questions are plain to all, and
some mislead nearly all: that is drawn for each question and shows in nothing but the image.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmedagent.networks.consultation_words import CERTAIN, UNSURE
from mmedagent.protocol.consultation import SPECIALTIES
from mmedagent.training.rl.world import Item

PANEL = 3
_FIELDS = {
    "CT": "radiologist", "X-ray": "radiologist", "MR": "radiologist", "ultrasound": "endocrinologist",
    "fundus": "ophthalmologist", "histology": "pathologist", "photograph": "dermatologist",
}  # fmt: skip
_FIELDS_OF_SCANS = {"position": "surgeon", "finding": "oncologist"}
"""In CT and MR these families belong to another specialty."""

INSIDE = {"plain": 0.97, "usual": 0.85, "misleading": 0.2}
OUTSIDE_FIELD = {
    "radiologist": 0.42, "surgeon": 0.36, "oncologist": 0.34, "pathologist": 0.32, "endocrinologist": 0.28,
    "ophthalmologist": 0.26, "dermatologist": 0.26,
}  # fmt: skip
PLAIN_OUTSIDE, MISLEADING_OUTSIDE = 0.88, 0.1
SHARES = {"plain": 0.28, "usual": 0.57, "misleading": 0.15}
"""How many questions are how difficult."""

LURED = 0.5
"""How often a wrong opinion is the lure."""

_CERTAIN_RIGHT, _CERTAIN_WRONG, _CERTAIN_OUTSIDE = 0.9, 0.2, 0.85


@dataclass(frozen=True)
class Opinion:
    """What one specialist answers: the index of an option, and how certain it is."""

    specialist: str
    choice: int
    confidence: str


def field_of(item: Item) -> str:
    """The specialty that knows most about a question: what triage should choose."""
    scans = item.modality in ("CT", "MR")
    return (_FIELDS_OF_SCANS.get(item.family) if scans else None) or _FIELDS[item.modality]


def difficulty(item: Item) -> str:
    """Plain, usual or misleading."""
    return str(_random(item.id).choice(list(SHARES), p=list(SHARES.values())))


def accuracy(item: Item, specialist: str) -> float:
    """The probability that the specialist is right about the question."""
    level = difficulty(item)
    if specialist == field_of(item):
        return INSIDE[level]
    return {"plain": PLAIN_OUTSIDE, "usual": OUTSIDE_FIELD[specialist], "misleading": MISLEADING_OUTSIDE}[level]


def opinion(item: Item, specialist: str) -> Opinion:
    """What the specialist answers, the same each time it is asked."""
    rng = _random(f"{item.id} {specialist}")
    right = bool(rng.random() < accuracy(item, specialist))
    wrong = [place for place in range(len(item.options)) if place not in (item.answer, item.lure)]
    choice = item.answer if right else item.lure if rng.random() < LURED else int(rng.choice(wrong))
    certain = _CERTAIN_OUTSIDE
    if specialist == field_of(item):
        certain = _CERTAIN_RIGHT if right else _CERTAIN_WRONG
    return Opinion(specialist, choice, CERTAIN if rng.random() < certain else UNSURE)


def members(item: Item, chosen: str) -> tuple[str, ...]:
    """Whom a panel consists of: the specialist whom triage chose, first, and two others, drawn for the question."""
    others = [str(one) for one in _random(f"{item.id} panel").permutation(SPECIALTIES) if one != chosen]
    return (chosen, *others[: PANEL - 1])


def panel(item: Item, chosen: str) -> tuple[Opinion, ...]:
    """The opinions of the members."""
    return tuple(opinion(item, one) for one in members(item, chosen))


def majority(opinions: Sequence[Opinion]) -> int:
    """The option with the most votes; with several, what the specialist whom triage chose says among these."""
    votes = Counter(one.choice for one in opinions)
    return next(one.choice for one in opinions if votes[one.choice] == max(votes.values()))


def _random(words: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big"))
