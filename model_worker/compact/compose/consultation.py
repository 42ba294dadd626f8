"""What the specialists said, who could not be heard, and what the attending physician made of it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "no second opinion can be given"


class Opinion(BaseModel):
    """`agrees` says whether the attending answered the same; None where nobody has compared them."""

    specialist: str
    answer: str
    agrees: bool | None = None


class Absence(BaseModel):
    """Somebody of the panel who gave no answer, and why."""

    doctor: str
    reason: str


class Consultation(BaseModel):
    """The specialty that triage chose, the opinions, and the attending's answer with its reasons."""

    specialty: str
    opinions: tuple[Opinion, ...]
    absent: tuple[Absence, ...] = ()
    answer: str
    rationale: str
    note: str = ""


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = Consultation.model_validate(data)
    found = [f"Triage chose {result.specialty}."] if result.specialty else []
    found += [f"{opinion.specialist}: {numbers.quoted(opinion.answer)}." for opinion in result.opinions]
    found += [f"No answer came from {one.doctor}: {one.reason.rstrip('.')}." for one in result.absent]
    if not result.answer:
        return [*found, "The panel reached no answer."]
    found.append(f"The attending's answer is {numbers.quoted(result.answer)}.")
    found += _sides(result.opinions)
    if result.rationale:
        found.append(f"The reasons given are {numbers.quoted(result.rationale)}.")
    if result.note:
        found.append(result.note)
    return [*found, "These are opinions of models and not a diagnosis."]


def _sides(opinions: Sequence[Opinion]) -> list[str]:
    """Who agreed with the attending, and who was overruled."""
    agreed = [one.specialist for one in opinions if one.agrees]
    overruled = [one.specialist for one in opinions if one.agrees is False]
    found = [f"This is also the answer of {numbers.listed(agreed)}."] if agreed else []
    return [*found, f"The attending overruled {numbers.listed(overruled)}."] if overruled else found
