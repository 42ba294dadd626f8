"""What the handbook says, word for word."""

from __future__ import annotations

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "the handbook cannot be quoted"
WHOLE_UP_TO = 700
"""Passages of up to this many characters are quoted whole, of longer ones the most relevant sentence."""


class Passage(BaseModel):
    """A passage of the handbook; `highlight` is the most relevant sentence as (start, end) characters of `text`."""

    text: str
    highlight: tuple[int, int]
    condition: str
    section: str
    source: str


class Passages(BaseModel):
    passages: tuple[Passage, ...]


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = Passages.model_validate(data)
    if not result.passages:
        return ["The handbook has no passage on this."]
    return [_quotation(passage) for passage in result.passages]


def _quotation(passage: Passage) -> str:
    start, end = passage.highlight
    sentence = passage.text[start:end].strip()
    words = passage.text.strip() if len(passage.text) <= WHOLE_UP_TO or not sentence else sentence
    return f"{passage.condition}, {passage.section}: {numbers.quoted(words)} (source: {passage.source})"
