"""What the handbook and the user's own corpora say, word for word."""

from __future__ import annotations

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "no text can be quoted"
WHOLE_UP_TO = 700
"""Passages of up to this many characters are quoted whole, of longer ones the most relevant sentence."""


class Passage(BaseModel):
    """A quoted passage; `highlight` is the most relevant sentence as (start, end) characters of `text`.

    `condition` is the title of the page or document; `section` may be empty. Lists and tables keep a line a row.
    """

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
        return ["The texts that can be searched have no passage on this."]
    return [_quotation(passage) for passage in result.passages]


def _quotation(passage: Passage) -> str:
    start, end = passage.highlight
    sentence = passage.text[start:end].strip()
    words = passage.text.strip() if len(passage.text) <= WHOLE_UP_TO or not sentence else sentence
    place = ", ".join(part for part in (passage.condition, passage.section) if part)
    return f"{place}: {numbers.quoted(' '.join(words.split()))} (source: {passage.source})"
