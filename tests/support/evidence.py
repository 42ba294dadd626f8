"""Results, the claims that answers make of them, and a call without a result."""

from __future__ import annotations

from typing import Any

from mmedagent.controller.evidence.answers import with_evidence
from mmedagent.controller.evidence.sources import Basis
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.plan import Action, Plan, Step
from support.results import provenance

CARDS = {card.name: card for card in built_in_cards()}
MASKS: dict[str, Any] = {
    "masks": [
        {"artifact": "a" * 64, "box": [0.25, 0.07, 0.74, 0.69], "area_px": 4859, "area_mm2": 2126.006, "score": 0.4245},
        {"artifact": "b" * 64, "box": [0.1, 0.2, 0.3, 0.4], "area_px": 141, "area_mm2": 61.694, "score": 0.9},
    ],
    "spacing_mm": [0.661468, 0.661468],
    "spacing_source": "PixelSpacing",
}
BOXES: dict[str, Any] = {
    "boxes": [[0.1, 0.2, 0.5, 0.75], [0.1, 0.2, 0.5, 0.75], [0.6, 0.6, 0.7, 0.8]],
    "scores": [0.81, 0.47, 0.47],
    "phrases": ["left kidney", "left kidney", "spleen"],
}
LABELS: dict[str, Any] = {
    "labels": ["pleural effusion", "pneumothorax", "normal"],
    "probabilities": [0.713, 0.243, 0.044],
    "task": "finding",
    "medical_probability": 0.97,
}
REPORT: dict[str, Any] = {
    "findings": "The heart is enlarged. There is no pneumothorax.",
    "impression": "Cardiomegaly.",
    "probabilities": {"cardiomegaly": 0.92, "pneumothorax": 0.03, "consolidation": 0.92},
    "sentences": [],
}
PASSAGES: dict[str, Any] = {
    "passages": [
        {
            "text": "Fever lasts 3 to 5 days.\nA pulmonary abscess is seen in 12% of 1,200 patients [7].",
            "highlight": [0, 24],
            "condition": "Legionellosis",
            "section": "Course",
            "source": "handbook, Legionellosis",
            "corpus": "handbook",
            "score": 0.64,
        }
    ]
}
IMAGE = ImageRef(sha256="c" * 64, source_sha256="d" * 64, width=128, height=96, spacing_mm=(0.661468, 0.7))
FAILURE = ToolFailure(call_id="call_1", tool="grounded_segmentation", code="x", message="It took longer\nthan 30 s!")
SKIP = ToolSkipped(call_id="call_2", tool="segmentation", reason="Action 1, which it depends on, found nothing.")


def result(tool: str, data: dict[str, Any], call_id: str = "call_1") -> ToolResult:
    return ToolResult(call_id=call_id, tool=tool, data=data, provenance=provenance(tool))


def basis(*calls: tuple[dict[str, Any], Outcome], question: str = "What is there?", **fields: Any) -> Basis:
    actions = tuple(Action(API_name=outcome.tool, API_params=parameters) for parameters, outcome in calls)
    step = Step(plan=Plan(thoughts="", actions=actions, value=""), outcomes=tuple(outcome for _, outcome in calls))
    return Basis(question, (step,), CARDS, **fields)


def of_result(tool: str, data: dict[str, Any], parameters: dict[str, Any] | None = None, **fields: Any) -> Basis:
    return basis((parameters or {}, result(tool, data)), **fields)


def claims(text: str, given: Basis) -> list[Claim]:
    """The claims of an answer to which nothing needs to be added."""
    told, found = with_evidence(text, given)
    assert told == text
    return list(found)


def fields_of(text: str, given: Basis) -> list[tuple[str, str | None]]:
    """What is claimed in an answer, all of it supported, with its fields; markers left out."""
    found = [one for one in claims(text, given) if one.kind != "citation"]
    assert [one.text for one in found if not one.supported] == []
    return [(one.text, one.field) for one in found]


def unsupported(text: str, given: Basis) -> list[str]:
    return [one.text for one in claims(text, given) if not one.supported]
