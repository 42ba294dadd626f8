"""The draft of a report: what tools wrote for it, and the sentences of the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ValidationError

from mmedagent.controller.reports.report import Section, SectionName, Sentence
from mmedagent.controller.reports.sentences import Span, sentences_of
from mmedagent.controller.stored_turn import StoredTurn
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.types import Text

SECTIONS: tuple[SectionName, ...] = ("findings", "impression")
_MUST_HOLD = {"number", "finding"}
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_HEADING = re.compile(r"[\W_]*(finding|impression|conclusion)s?\b[\W_]*?:", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"\b(?:impression|in summary|in conclusion|overall|suggest\w*|consistent with|compatible with|most likely)\b",
    re.IGNORECASE,
)


class WrittenSentence(BaseModel):
    """A sentence that a tool wrote for a report, with the probability in [0, 1] of the finding behind it."""

    text: Text
    section: Literal["findings", "impression"]
    probability: float | None = None


class WrittenReport(BaseModel):
    """The result of any tool that drafts a report, as `report_generation` does."""

    sentences: list[WrittenSentence]


def draft_of(turn: StoredTurn) -> list[Section]:
    """Findings and impression. What tools wrote comes first; the answer's sentences follow that do not repeat it."""
    found: list[tuple[SectionName, Sentence]] = []
    for result in turn.results():
        found += _written(result)
    known = {_plain(sentence.text) for _, sentence in found}
    answer = [(name, one) for name, one in _answered(turn) if _plain(one.text) not in known]
    return [Section(name=name, sentences=[one for of, one in [*found, *answer] if of == name]) for name in SECTIONS]


def numbers_outside(text: str, claims: Sequence[Claim]) -> bool:
    """Whether the text has a number that none of its claims covers. The marker of an action, [1], is none."""
    hidden = _MARKER.sub(lambda found: " " * len(found.group()), text)
    return any(
        not any(claim.start <= found.start() and found.end() <= claim.end for claim in claims)
        for found in re.finditer(r"\d+(?:[.,]\d+)*", hidden)
    )


def _written(result: ToolResult) -> Iterator[tuple[SectionName, Sentence]]:
    try:
        report = WrittenReport.model_validate(result.data)
    except ValidationError:
        return
    for index, written in enumerate(report.sentences):
        if written.text.strip():
            claim = _claim(result, written, index)
            yield written.section, Sentence(text=written.text, claims=[claim], supported=True)


def _claim(result: ToolResult, written: WrittenSentence, index: int) -> Claim:
    origin = result.provenance
    return Claim(
        start=0,
        end=len(written.text),
        text=written.text,
        kind="finding",
        supported=True,
        call_id=result.call_id,
        field=f"/sentences/{index}",
        tool=origin.tool,
        version=origin.version,
        checkpoint_sha256=origin.checkpoint_sha256,
        input_sha256=origin.input_sha256,
        score=written.probability,
    )


def _answered(turn: StoredTurn) -> Iterator[tuple[SectionName, Sentence]]:
    """The sentences of the answer. A heading counts up to the next one, or to the end of its paragraph."""
    claims = turn.claims()
    heading: SectionName | None = None
    paragraph = 0
    for span in sentences_of(turn.row.answer):
        if span.paragraph != paragraph:
            heading, paragraph = None, span.paragraph
        if headed := _HEADING.match(span.text):
            heading = "findings" if headed.group(1).lower() == "finding" else "impression"
            if headed.end() == len(span.text.rstrip("*_ ")):
                continue
        name: SectionName = "impression" if _CONCLUDES.search(span.text) else "findings"
        yield heading or name, _sentence(span, claims)


def _sentence(span: Span, claims: Sequence[Claim] | None) -> Sentence:
    if claims is None:
        return Sentence(text=span.text, supported=not numbers_outside(span.text, []))
    inside = [_moved(claim, span) for claim in claims if span.start <= claim.start < span.end]
    supported = all(claim.supported for claim in inside if claim.kind in _MUST_HOLD)
    return Sentence(text=span.text, claims=inside, supported=supported)


def _moved(claim: Claim, span: Span) -> Claim:
    """A claim about the answer as one about a sentence of it."""
    start, end = claim.start - span.start, min(claim.end, span.end) - span.start
    return claim.model_copy(update={"start": start, "end": end, "text": span.text[start:end]})


def _plain(text: str) -> str:
    """A sentence without heading, markers and case, to tell whether two say the same."""
    words = _HEADING.sub("", _MARKER.sub("", text), count=1)
    return " ".join(words.split()).strip("*_ ").casefold()
