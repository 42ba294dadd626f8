"""Impressions in words. Every number is a probability of the image tower or a count that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.model_worker.compact.impressions import Impression
from mmedagent.model_worker.compact.questions import ABOUT_NAMES

SOURCE = "This is the impression of a small network trained on synthetic images, not a finding to rely on."
CANNOT_TELL = (
    "The demonstration model cannot tell this from the image. What it can say at a glance is the modality, view, "
    "technique and body part, whether a structure is in view, which side a finding is on, how many kidneys or lungs "
    "there are, and whether something looks abnormal."
)
NOT_UNDERSTOOD = f"I am not sure what is asked about the image. {CANNOT_TELL}"
CONVENTION = (
    "Sides are the patient's, in the radiological convention: the patient's right is on the left of the image. If the "
    "image is shown otherwise, the sides are wrong."
)
OVERLOOKED = "No finding stands out, but at a glance too many are overlooked to tell whether anything is abnormal."
_WHOLE = {"modality": "modality", "view": "view", "technique": "technique", "body_part": "body part"}
_IMAGES = {
    "CT": "a CT image",
    "MR": "an MR image",
    "X-ray": "an X-ray image",
    "ultrasound": "an ultrasound image",
    "fundus": "a fundus photograph",
    "histology": "a histology image",
    "photograph": "a clinical photograph",
}
_WANTED = {
    **{kind: f"the {words}" for kind, words in _WHOLE.items()},
    "presence": "whether {name} is in view",
    "side": "the side of {name}",
    "count": "how many of {name} there are",
    "abnormal": "whether anything is abnormal",
    "findings": "whether anything is abnormal",
}
_COUNTS = {"0": "no {name}", "1": "one {name}", "2": "a left and a right {name}, so two"}


def percent(probability: float) -> str:
    """A probability in whole per cent; never 100%."""
    return "over 99%" if probability >= 0.995 else f"{probability:.0%}"


def worded(found: Sequence[Impression], can_ground: bool) -> list[str]:
    """The sentences for the impressions of one question."""
    named = [one for one in found if one.value == "yes" and one.kind in {"presence", "findings"}]
    if len(named) < 2:
        return [_sentence(one, can_ground) for one in found]
    sentences = [_sentence(one, can_ground) for one in found if one not in named]
    for kind, start in (("presence", "In view seem to be "), ("findings", "It seems to show ")):
        rows = [f"{numbers.quoted(one.name)}{_in_brackets(one)}" for one in named if one.kind == kind]
        sentences += [f"{start}{numbers.listed(rows)}."] if rows else []
    return sentences


def _sentence(one: Impression, can_ground: bool) -> str:
    if one.value is None:
        return _no_answer(one, can_ground)
    match one.kind:
        case "modality":
            return f"At a glance this looks like {_IMAGES.get(one.value, one.value)}{_in_brackets(one)}."
        case "view" | "technique" | "body_part":
            return f"The {_WHOLE[one.kind]} looks like {numbers.quoted(one.value)}{_in_brackets(one)}."
        case "side":
            return _side(one)
        case "count":
            return f"I see {_COUNTS[one.value].format(name=one.name)}{_in_brackets(one)}."
        case "abnormal" if one.value == "abnormal":
            return f"It looks abnormal: it seems to show {numbers.quoted(one.name)}{_in_brackets(one)}."
        case "abnormal" | "findings" if one.value in {"normal", "none"}:
            return _nothing_found(one)
        case _:
            return _presence(one)


def _nothing_found(one: Impression) -> str:
    share = "" if one.probability is None else f": {percent(one.probability)} of synthetic images like this have none"
    return f"None of the findings that the network was trained on stands out{share}. That is no evidence of health."


def _presence(one: Impression) -> str:
    if one.value == "yes":
        return f"It seems to show {numbers.quoted(one.name)}{_in_brackets(one)}."
    return f"I do not see {numbers.quoted(one.name)}: it does not seem to be in view{_in_brackets(one)}."


def _side(one: Impression) -> str:
    name = numbers.quoted(one.name)
    if one.value == "none":
        return f"I do not see {name}, so I cannot name a side{_in_brackets(one)}."
    place = "both sides" if one.value == "both" else f"the patient's {one.value}"
    return f"{name[:1]}{name[1:]} seems to be on {place}{_in_brackets(one)}. {CONVENTION}"


def _no_answer(one: Impression, can_ground: bool) -> str:
    name = numbers.quoted(one.name)
    match one.reason:
        case "unknown":
            return f"The demonstration model was not trained to recognise {name}, so it cannot tell."
        case "uncountable":
            offer = f" Ask me to detect {name}, and each one found gets a box." if can_ground else ""
            return f"I cannot count {name}: at a glance I count only kidneys and lungs.{offer}"
        case "untrained" if one.kind == "side":
            return f"The demonstration model was not trained to tell the side of {name}."
        case "overlooked":
            return OVERLOOKED
        case _ if one.kind in ABOUT_NAMES and not one.name:
            return "I am not sure which structure is meant. Could you name it?"
        case _:
            return f"At a glance I cannot tell {_WANTED[one.kind].format(name=name)}."


def _in_brackets(one: Impression) -> str:
    return "" if one.probability is None else f" ({percent(one.probability)})"
