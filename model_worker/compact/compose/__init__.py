"""Answers from typed results. Every number, box and name in them comes from a result, and every sentence ends with the
marker of the action that it rests on: `[1]` is the first action of the turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from mmedagent.model_worker.compact.compose import (
    classification,
    consultation,
    grounded_segmentation,
    grounding,
    report_generation,
    retrieval,
    segmentation,
)
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.plan import Action, PlannerRequest
from mmedagent.protocol.types import JsonObject

MAX_OTHER_CHARACTERS = 1_000


class Composer(NamedTuple):
    """How the results of a tool are put in words, and what cannot be said when there is none."""

    write: Callable[[JsonObject, Action, ImageRef | None], list[str]]
    not_given: str


_COMPOSERS = {
    "classification": Composer(classification.sentences, classification.NOT_GIVEN),
    "consultation": Composer(consultation.sentences, consultation.NOT_GIVEN),
    "grounded_segmentation": Composer(grounded_segmentation.sentences, grounded_segmentation.NOT_GIVEN),
    "grounding": Composer(grounding.sentences, grounding.NOT_GIVEN),
    "report_generation": Composer(report_generation.sentences, report_generation.NOT_GIVEN),
    "retrieval": Composer(retrieval.sentences, retrieval.NOT_GIVEN),
    "segmentation": Composer(segmentation.sentences, segmentation.NOT_GIVEN),
}


def composed(request: PlannerRequest) -> list[str]:
    """One paragraph for each action of the turn so far."""
    done = [
        (action, outcome)
        for step in request.steps
        for action, outcome in zip(step.plan.actions, step.outcomes, strict=False)
    ]
    return [
        " ".join(f"{sentence} [{number}]" for sentence in sentences_of(action, outcome, request.image))
        for number, (action, outcome) in enumerate(done, start=1)
    ]


def sentences_of(action: Action, outcome: Outcome, image: ImageRef | None) -> list[str]:
    """What one action brought, in sentences without a marker."""
    tool = outcome.tool.replace("_", " ")
    composer = _COMPOSERS.get(outcome.tool)
    match outcome:
        case ToolFailure():
            consequence = composer.not_given if composer else "it has no result"
            return [f"The {tool} tool did not answer: {_clause(outcome.message)}, so {consequence}."]
        case ToolSkipped():
            return [f"The {tool} tool was not run: {_clause(outcome.reason)}."]
        case ToolResult():
            return _result_sentences(composer, outcome, action, image)


def _result_sentences(
    composer: Composer | None, result: ToolResult, action: Action, image: ImageRef | None
) -> list[str]:
    if composer is None:
        return _other(result.tool, result.data)
    try:
        return composer.write(result.data, action, image)
    except ValueError:
        tool = result.tool.replace("_", " ")
        return [f"The {tool} tool gave a result that does not follow its card, so {composer.not_given}."]


def _other(tool: str, data: JsonObject) -> list[str]:
    """The result of a tool that this planner has no words for, as it is."""
    text = json.dumps(data, ensure_ascii=False)
    shown = text if len(text) <= MAX_OTHER_CHARACTERS else f"{text[:MAX_OTHER_CHARACTERS]}…"
    return [f"The {tool.replace('_', ' ')} tool returned {shown}."]


def _clause(sentence: str) -> str:
    return sentence.strip().rstrip(".!") or "no reason was given"
