"""What the image tower's probabilities answer to a question, and where they answer nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mmedagent.model_worker.compact.names import NameBook
from mmedagent.model_worker.compact.questions import Kind, Question
from mmedagent.networks.glance import Glance
from mmedagent.networks.glance_reading import SURE, normal_share, nothing_stands_out

MOST_SHOWN = 8
SIDES = ("left", "right")
HEADS: dict[Kind, str] = {"modality": "modality", "view": "view", "technique": "technique", "body_part": "anatomy"}
_ABSENCES = frozenset({"no", "none", "normal", "0"})
Reason = Literal["", "unsure", "unknown", "untrained", "uncountable", "overlooked", "header", "not medical"]


@dataclass(frozen=True)
class Impression:
    """An answer, or that there is none.

    Attributes:
        kind: the kind of question.
        name: the structure or finding that it is about, or "".
        value: a name of the tower for whole images; "yes" or "no" for presence and single findings; "left", "right",
            "both" or "none" for sides; digits for counts; "normal" or "abnormal"; "none" for no finding at all; None
            for no answer.
        probability: of the value, in [0, 1]; where several probabilities must hold, the lowest of them. That of
            "normal" and "none" for findings is the measured share of images without findings in which none stands out.
        reason: why there is no value.
    """

    kind: Kind
    name: str = ""
    value: str | None = None
    probability: float | None = None
    reason: Reason = ""


@dataclass(frozen=True)
class Knowledge:
    """The names of an image tower, and the accuracies that its checkpoint states."""

    book: NameBook
    measured: Mapping[str, float]


def impressions(question: Question, glance: Glance, knowledge: Knowledge) -> tuple[Impression, ...]:
    """The answers to a question; one without a value says why there is none. Other kinds than these have none.

    Nothing is said to be absent from an image of which not even the modality is clear.
    """
    own = _answered(question, glance, knowledge)
    if _one_of("modality", glance).value is not None:
        return own
    return tuple(Impression(one.kind, one.name, reason="unsure") if one.value in _ABSENCES else one for one in own)


def _answered(question: Question, glance: Glance, knowledge: Knowledge) -> tuple[Impression, ...]:
    book, measured = knowledge.book, knowledge.measured
    match question.kind:
        case "modality" | "view" | "technique" | "body_part":
            return (_one_of(question.kind, glance),)
        case "presence" | "side" | "count" if not question.names:
            return (Impression(question.kind, reason="unsure"),)
        case "presence":
            return tuple(_presence(name, glance, book) for name in question.names)
        case "side":
            return tuple(_side(name, glance, book) for name in question.names)
        case "count":
            return tuple(_count(name, glance, book) for name in question.names)
        case "abnormal":
            return (_abnormal(glance, measured),)
        case "findings":
            return _findings(glance, measured)
        case "describe":
            return _described(glance, book)
        case _:
            return ()


def _one_of(kind: Kind, glance: Glance) -> Impression:
    value, probability = glance.best(HEADS[kind])
    if not value or probability < SURE:
        return Impression(kind, reason="unsure")
    return Impression(kind, "", value, probability)


def _presence(name: str, glance: Glance, book: NameBook) -> Impression:
    chances = [one for shown in book.shown(name) if (one := _chance(shown, glance)) is not None]
    if not chances:
        return Impression("presence", name, reason="unknown")
    return _yes_or_no("presence", name, max(chances))


def _yes_or_no(kind: Kind, name: str, chance: float) -> Impression:
    if chance >= SURE:
        return Impression(kind, name, "yes", chance)
    return Impression(kind, name, "no", 1 - chance) if chance <= 1 - SURE else Impression(kind, name, reason="unsure")


def _side(name: str, glance: Glance, book: NameBook) -> Impression:
    """The patient's side of a name that is there."""
    there = _presence(name, glance, book)
    if there.value is None:
        return Impression("side", name, reason=there.reason)
    if there.value == "no":
        return Impression("side", name, "none", there.probability)
    sided = [_best(_sided(side, name, book), glance) for side in SIDES]
    known = [one for one in sided if one is not None]
    if len(known) < len(SIDES):
        return Impression("side", name, reason="unsure" if known else "untrained")
    answers = [_yes_or_no("side", name, one) for one in known]
    if any(one.value is None for one in answers) or all(one.value == "no" for one in answers):
        return Impression("side", name, reason="unsure")
    on = [side for side, one in zip(SIDES, answers, strict=True) if one.value == "yes"]
    return Impression("side", name, "both" if len(on) == len(SIDES) else on[0], _lowest(answers))


def _count(name: str, glance: Glance, book: NameBook) -> Impression:
    """How many of a left and a right one are there; nothing else can be counted."""
    if not book.shown(name):
        return Impression("count", name, reason="unknown")
    structures, findings = glance.chances["structures"], glance.chances["findings"]
    chances = []
    for side in SIDES:
        own = [structures[one] for one in _sided(side, name, book) if one in structures and one not in findings]
        chances += [max(own)] if own else []
    if len(chances) < len(SIDES):
        return Impression("count", name, reason="uncountable")
    answers = [_yes_or_no("count", name, one) for one in chances]
    if any(one.value is None for one in answers):
        return Impression("count", name, reason="unsure")
    return Impression("count", name, str(sum(one.value == "yes" for one in answers)), _lowest(answers))


def _abnormal(glance: Glance, measured: Mapping[str, float]) -> Impression:
    finding, chance = max(glance.chances["findings"].items(), key=lambda pair: pair[1], default=("", 0.0))
    if chance >= SURE:
        return Impression("abnormal", finding, "abnormal", chance)
    if not nothing_stands_out(glance):
        return Impression("abnormal", reason="unsure")
    share = measured.get(normal_share(glance.best("modality")[0]), 0.0)
    if share < SURE:
        return Impression("abnormal", reason="overlooked")
    return Impression("abnormal", "", "normal", share)


def _findings(glance: Glance, measured: Mapping[str, float]) -> tuple[Impression, ...]:
    found = _all_sure("findings", glance.chances["findings"].items())
    if found:
        return found
    none = _abnormal(glance, measured)
    return (Impression("findings", "", "none" if none.value else None, none.probability, none.reason),)


def _described(glance: Glance, book: NameBook) -> tuple[Impression, ...]:
    whole = [_one_of(kind, glance) for kind in HEADS]
    findings = glance.chances["findings"]
    structures = glance.chances["structures"].items()
    named = [(name, chance) for name, chance in structures if name not in findings and book.shown(name)]
    return (
        *(one for one in whole if one.value is not None or one.kind == "modality"),
        *_all_sure("presence", named)[:MOST_SHOWN],
        *_all_sure("findings", findings.items()),
    )


def _all_sure(kind: Kind, chances: Iterable[tuple[str, float]]) -> tuple[Impression, ...]:
    ranked = sorted(chances, key=lambda pair: -pair[1])
    return tuple(Impression(kind, name, "yes", chance) for name, chance in ranked if chance >= SURE)


def _sided(side: str, name: str, book: NameBook) -> list[str]:
    return [f"{side} {one}" for one in dict.fromkeys((name, *book.shown(name)))]


def _best(names: Iterable[str], glance: Glance) -> float | None:
    return max((one for name in names if (one := _chance(name, glance)) is not None), default=None)


def _chance(name: str, glance: Glance) -> float | None:
    """The probability that a name is there, by whichever head knows it best."""
    own = [glance.chances[head][name] for head in ("findings", "structures", "sides") if name in glance.chances[head]]
    return max(own, default=None)


def _lowest(answers: Iterable[Impression]) -> float:
    return min(one.probability for one in answers if one.probability is not None)
