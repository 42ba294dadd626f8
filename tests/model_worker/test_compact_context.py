"""What asks mean after other asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmedagent.model_worker.compact.context import in_context, other_side
from mmedagent.model_worker.compact.recall import recalled
from mmedagent.networks.planner_parts import Part
from mmedagent.protocol.plan import ChatMessage, PlannerRequest

LIVER = Part("grounded_segmentation", "Outline the liver", ("liver",))
KIDNEY = Part("grounding", "Where is the left kidney?", ("left kidney",))
PNEUMONIA = Part("retrieval", "What is pneumonia?")
OUTLINE_IT = Part("grounded_segmentation", "outline it", refers="before")
NOT_IT = Part("grounded_segmentation", "the spleen, not it", ("spleen",), refers="before")
MEASURED = Part("grounded_segmentation", "Back to the liver: what did it measure?", runner_up="recall")
BOX = Part("segmentation", "Outline the box [box]")
LUNG = Part("classification", "Is it a lung or a brain?", ("lung", "brain"), task="labels")


def only(part: Part, *earlier: Part) -> Part:
    (meant,) = in_context((part,), earlier)
    return meant


@pytest.mark.parametrize(
    ("said", "earlier", "outcome", "names"),
    [
        (Part("again", "and the spleen?", ("spleen",)), (LIVER,), "grounded_segmentation", ("spleen",)),
        (Part("again", "and the spleen?", ("spleen",)), (LIVER, PNEUMONIA), "retrieval", ("spleen",)),
        (Part("again", "the spleen too", ("spleen",)), (BOX,), "grounded_segmentation", ("spleen",)),
        (Part("again", "once more", refers="before"), (LIVER,), "grounded_segmentation", ("liver",)),
        (Part("again", "the other side", refers="other"), (KIDNEY,), "grounding", ("right kidney",)),
        (Part("again", "the other side", refers="other"), (LIVER,), "grounded_segmentation", ()),
        (Part("again", "again"), (), "clarify", ()),
        (OUTLINE_IT, (KIDNEY,), "grounded_segmentation", ("left kidney",)),
        (Part("grounded_segmentation", "how big is it?", refers="before"), (LIVER,), "recall", ()),
        (Part("grounding", "where is it?", refers="before"), (LIVER,), "recall", ()),
        (Part("grounded_segmentation", "how big?", refers="before"), (BOX,), "recall", ()),
        (MEASURED, (LIVER,), "recall", ()),
        (MEASURED, (PNEUMONIA,), "grounded_segmentation", ()),
        (MEASURED, (replace(LIVER, names=("spleen",)),), "grounded_segmentation", ()),
        (OUTLINE_IT, (), "grounded_segmentation", ()),
        (NOT_IT, (LIVER,), "grounded_segmentation", ("spleen",)),
        (Part("classification", "is that normal?", task="finding", refers="before"), (), "classification", ()),
    ],
)  # fmt: skip
def test_what_is_left_out_comes_from_before(
    said: Part, earlier: tuple[Part, ...], outcome: str, names: tuple[str, ...]
) -> None:
    meant = only(said, *earlier)
    assert (meant.outcome, meant.names) == (outcome, names)


def test_a_question_is_looked_up_with_what_it_is_about() -> None:
    asked = Part("retrieval", "what can go wrong with it?", refers="before")
    assert only(asked, KIDNEY).words == "what can go wrong with it? (left kidney)"
    assert only(asked, PNEUMONIA).words == "what can go wrong with it? (What is pneumonia?)"
    assert only(asked).words == "what can go wrong with it?"


def test_a_repeated_classification_keeps_its_labels() -> None:
    meant = only(Part("again", "once more", refers="before"), LUNG)
    assert (meant.task, meant.names) == ("labels", ("lung", "brain"))


def test_references_reach_over_answers_in_words_and_within_an_ask() -> None:
    thanks = Part("thanks", "nice")
    outline = Part("grounded_segmentation", "then outline it", refers="before")
    assert only(outline, KIDNEY, thanks).names == ("left kidney",)
    assert in_context((KIDNEY, outline), ())[1].names == ("left kidney",)


def test_an_answered_question_back_completes_the_ask() -> None:
    open_part = Part("grounded_segmentation", "segment this", refers="before")
    (first,) = in_context((open_part,), ())
    assert only(Part("again", "the liver", ("liver",)), first).outcome == "grounded_segmentation"


@pytest.mark.parametrize(
    ("name", "other"),
    [("left kidney", "right kidney"), ("Right lung", "Left lung"), ("L3", ""), ("bright spot", ""), ("", "")],
)
def test_sides_are_exchanged(name: str, other: str) -> None:
    assert other_side(name) == other


def request(*texts: str) -> PlannerRequest:
    roles = ("user", "assistant")
    messages = tuple(ChatMessage(role=roles[place % 2], text=text) for place, text in enumerate(texts))
    return PlannerRequest(messages=messages, correlation_id="test")


def test_earlier_results_are_repeated_without_markers() -> None:
    told = recalled(request("Outline the liver", "“liver” measures 900 mm² [1].\n\nNo box was drawn.", "how big?"))
    assert told.endswith("“liver” measures 900 mm².")
    assert "No box" not in told


def test_nothing_is_recalled_where_nothing_rests_on_a_result() -> None:
    assert recalled(request("Hi", "Hello.", "how big was it?")) == ""


def test_the_last_answers_are_recalled_in_their_order() -> None:
    turns = [text for number in range(6) for text in ("ask", f"Area {number} [1].")]
    assert recalled(request(*turns, "and?")).split("\n\n")[1:] == ["Area 3.", "Area 4.", "Area 5."]
    long = recalled(request("ask", "x" * 2_999 + " [1].", "ask", "Small [1].", "and?"))
    assert long.split("\n\n")[1:] == ["Small."]
