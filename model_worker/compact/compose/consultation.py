"""What the specialists said and what the attending physician made of it."""

from __future__ import annotations

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "no second opinion can be given"


class Opinion(BaseModel):
    specialist: str
    answer: str


class Consultation(BaseModel):
    """The specialty that triage chose, the opinions, and the attending's answer with its reasons."""

    specialty: str
    opinions: tuple[Opinion, ...]
    answer: str
    rationale: str


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = Consultation.model_validate(data)
    found = [f"Triage chose {result.specialty}."] if result.specialty else []
    found += [f"{opinion.specialist}: {numbers.quoted(opinion.answer)}." for opinion in result.opinions]
    if not result.answer:
        return [*found, "The panel reached no answer."]
    found.append(f"The attending's answer is {numbers.quoted(result.answer)}.")
    if result.rationale:
        found.append(f"The reasons given are {numbers.quoted(result.rationale)}.")
    return [*found, "These are opinions of models and not a diagnosis."]
