"""What a report is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, field_validator

from mmedagent.controller.naming import response_id
from mmedagent.controller.store.models import ReportRow
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.types import MAX_TEXT, WireType

SectionName = Literal["findings", "impression"]
State = Literal["draft", "reviewed", "signed"]
MAX_SENTENCES = 10_000
"""Of a section: more than an answer and the reports of a turn can have."""

MAX_CHARACTERS = 200_000


class Sentence(WireType):
    """A sentence with the claims in it, whose `start` and `end` count from the beginning of the sentence.

    It is `supported` when every number and finding in it comes from a stored result, and `edited` when a person wrote
    it or changed it.
    """

    text: str
    claims: list[Claim] = Field(default_factory=list)
    supported: bool
    edited: bool = False


class Section(WireType):
    name: SectionName
    sentences: list[Sentence]


class Report(WireType):
    """A report on a response. `revision` is 0 until it is stored; times are in seconds since the Unix epoch."""

    id: str
    object: Literal["report"] = "report"
    response_id: str
    state: State
    revision: int
    sections: list[Section]
    reviewed_by: str | None = None
    reviewed_at: float | None = None
    signed_by: str | None = None
    signed_at: float | None = None


class NewSentence(BaseModel):
    """What a sentence is to say. What it rests on is found out here and never taken from the caller."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]


class NewSection(BaseModel):
    name: SectionName
    sentences: Annotated[list[NewSentence], Field(max_length=MAX_SENTENCES)]


class ReportEdit(BaseModel):
    """The whole text of a report; a section that is left out becomes empty. Other fields are ignored."""

    sections: Annotated[list[NewSection], Field(max_length=2)]

    @field_validator("sections")
    @classmethod
    def _fits(cls, sections: list[NewSection]) -> list[NewSection]:
        if len({section.name for section in sections}) < len(sections):
            raise ValueError("a section is named twice")
        if sum(len(sentence.text) for section in sections for sentence in section.sentences) > MAX_CHARACTERS:
            raise ValueError(f"a report has at most {MAX_CHARACTERS:,} characters")
        return sections


def stored_report(row: ReportRow) -> Report:
    fields = ("state", "revision", "sections", "reviewed_by", "reviewed_at", "signed_by", "signed_at")
    return _report(row.turn_id, **{name: getattr(row, name) for name in fields})


def drafted_report(turn_id: str, sections: Sequence[Section]) -> Report:
    """A report that nobody has touched."""
    return _report(turn_id, state="draft", revision=0, sections=sections)


def _report(turn_id: str, **fields: Any) -> Report:
    return Report.model_validate({"id": f"rep_{turn_id}", "response_id": response_id(turn_id), **fields})
