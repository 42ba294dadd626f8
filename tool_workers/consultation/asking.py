"""From a case in anybody's words to a question that the small panel was taught, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil

from mmedagent.networks.consultation_questions import Family, Questions
from mmedagent.networks.consultation_words import LINES
from mmedagent.networks.glance import Glance
from mmedagent.networks.glance_reading import NOT_MEDICAL, SURE
from mmedagent.protocol.consultation import normalised
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.tool_workers.consultation.doctors import Case
from mmedagent.tool_workers.consultation.wording import meant

_BY_HEADER = {
    "CT": "CT", "US": "ultrasound", "CR": "X-ray", "DX": "X-ray", "OP": "fundus", "SM": "histology", "GM": "histology",
    "XC": "photograph",
}  # fmt: skip
"""What kind of image the codes of DICOM's Modality (PS3.3 section C.7.3.1.1.1) stand for."""

_TELLS_NOTHING = (None, "OT", "SC")
CAN_BE_ASKED = (
    "The demonstration panel can be asked which modality an image is, which part of the body it shows, which finding "
    "is shown, in which quarter of the image a structure lies, and how much of the image a structure covers"
)
OTHER_PANEL = "For other questions seat language models on the panel: docs/consultation.md"
Best = Callable[[str, Sequence[tuple[str, ...]]], list[str]]
"""Answers a question once for each of some sets of `LINES` options."""


@dataclass(frozen=True)
class Asked:
    """A question as the network was taught it, and `LINES` options, of which some may be there twice."""

    question: str
    options: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Of its texts, for the cache."""
        return len("".join((self.question, *self.options)).encode())


def asked(questions: Questions, case: Case, image: ImageRef, glance: Callable[[], Glance], best: Best) -> Asked:
    """What the network is asked; `glance` looks at the image.

    Raises `InvalidRequestError` that says what can be asked.
    """
    found = meant(case.question, _structures(questions))
    if found is None or found.family not in questions.families:
        raise refused("This is another question, or about a structure that it does not know")
    modality = _modality(questions, image, glance)
    family = questions.families[found.family]
    if modality not in family.options or (found.structure and found.structure not in family.structures[modality]):
        raise refused(f"It was not taught this question about images of the kind {modality}")
    question = family.worded(found.structure)
    return Asked(question, _shortlist(question, _options(family, modality, case.options), best))


def refused(reason: str) -> InvalidRequestError:
    """The error of a case that the panel cannot be asked about."""
    return InvalidRequestError(f"{reason}. {CAN_BE_ASKED}. {OTHER_PANEL}.")


def _structures(questions: Questions) -> set[str]:
    return {name for family in questions.families.values() for names in family.structures.values() for name in names}


def _modality(questions: Questions, image: ImageRef, glance: Callable[[], Glance]) -> str:
    """By the header, else by what the image looks like."""
    if image.modality not in _TELLS_NOTHING:
        code = image.modality or ""
        modality = _BY_HEADER.get(code, code)
    else:
        modality, chance = glance().best("modality")
        if modality == NOT_MEDICAL or chance < SURE:
            raise refused("This looks like none of the kinds of images that it was shown")
    if modality not in questions.modalities:
        known = ", ".join(questions.modalities)
        raise refused(f"It was shown no images of the kind {modality}, only {known}")
    return modality


def _options(family: Family, modality: str, given: Sequence[str]) -> tuple[str, ...]:
    """Those that are given when the network knows every one of them, else all of the family."""
    known = {normalised(name): name for name in family.options[modality]}
    named = tuple(dict.fromkeys(known[plain] for one in given if (plain := normalised(one)) in known))
    return named if len(named) >= 2 and len(named) == len(given) else family.options[modality]


def _shortlist(question: str, options: tuple[str, ...], best: Best) -> tuple[str, ...]:
    """`LINES` options: the best of each group while there are more, and some of them again where there are fewer."""
    while len(options) > LINES:
        groups = max(LINES, ceil(len(options) / LINES))
        options = tuple(best(question, [_filled(options[place::groups]) for place in range(groups)]))
    return _filled(options)


def _filled(options: Sequence[str]) -> tuple[str, ...]:
    return tuple(islice(cycle(options), LINES))
