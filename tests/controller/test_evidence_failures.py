"""Calls without a result are told of in every answer."""

from __future__ import annotations

import pytest

from mmedagent.controller.evidence.answers import with_evidence
from mmedagent.protocol.types import MAX_TEXT
from support.evidence import CARDS, FAILURE, SKIP, basis, claims, unsupported

TOLD = "The grounded segmentation tool failed: It took longer than 30 s, so there is no result from it."
SKIPPED = (
    "The segmentation tool was not run: Action 1, which it depends on, found nothing, so there is no result from it."
)


@pytest.mark.parametrize(
    "text", ["All is well.", "The grounded segmentation tool found nothing.", "A kidney failed to show.", "", " \n"]
)
def test_a_failure_that_is_not_told_of_is_added(text: str) -> None:
    told, found = with_evidence(text, basis(({}, FAILURE), ({}, SKIP)))
    added = f"{TOLD} {SKIPPED}"
    assert told == (f"{text}\n\n{added}" if text else added)
    assert [(one.text, one.call_id, one.supported) for one in found if one.kind == "failure"] == [
        (TOLD, "call_1", True),
        (SKIPPED, "call_2", True),
    ]
    assert found[-1].tool == "segmentation"
    assert found[-1].version == CARDS["segmentation"].version
    assert with_evidence(told, basis(({}, FAILURE), ({}, SKIP)))[0] == told


@pytest.mark.parametrize(
    ("text", "span"),
    [
        (f"{TOLD} [1]", TOLD),
        ("The grounded segmentation tool did not answer: It took longer than 30 s. [1]", "It took longer than 30 s"),
        ("Grounding DINO + MedSAM failed.", "failed"),
        ("I am sorry, that timed out [1].", "timed out"),
    ],
)
def test_a_failure_that_is_told_of_is_not_told_again(text: str, span: str) -> None:
    found = claims(text, basis(({}, FAILURE)))
    (failure,) = [one for one in found if one.kind == "failure"]
    assert (failure.text, failure.supported, failure.call_id) == (span, True, "call_1")
    assert all(one.supported for one in found)


def test_every_failure_is_told_of_by_itself() -> None:
    other = FAILURE.model_copy(update={"call_id": "call_2", "message": "There is no memory left."})
    told, _ = with_evidence("The tool failed. [1]", basis(({}, FAILURE), ({}, other)))
    assert told.endswith(
        "\n\nThe grounded segmentation tool failed: There is no memory left, so there is no result from it."
    )


def test_what_is_said_of_a_failed_call_is_unsupported() -> None:
    text = f"The area is 55 mm². [1]\n\n{TOLD}"
    assert unsupported(text, basis(({}, FAILURE))) == ["55 mm²", "[1]"]


def test_a_long_answer_makes_room_for_a_failure() -> None:
    told, _ = with_evidence("a" * MAX_TEXT, basis(({}, FAILURE.model_copy(update={"message": "b" * 9_000}))))
    assert len(told) == MAX_TEXT
    assert told.endswith("b…, so there is no result from it.")
