"""Answers of the compact planner: every number from a result, every sentence with the marker of its action."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mmedagent.model_worker.compact.compose import composed
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.invocation import ImageRef, Outcome, Provenance, ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step

SHA = "c" * 64
CT = ImageRef(sha256=SHA, source_sha256=SHA, width=128, height=128, modality="CT")
MASK = {"artifact": SHA, "box": [0.3, 0.1, 0.7, 0.6], "area_px": 2_345, "area_mm2": 1_021.6, "score": 0.93}
EMPTY_MASK = {"artifact": SHA, "box": None, "area_px": 0, "area_mm2": 0.0, "score": 0.1}
SPACING = {"spacing_mm": [0.66, 0.66], "spacing_source": "PixelSpacing (0028,0030)"}
UNKNOWN = {"spacing_mm": None, "spacing_source": None}
BY_BOX = {"boxes": [[0.25, 0.05, 0.75, 0.7]]}
PASSAGE = {
    "text": "Pneumonia is an infection of the lung. It is treated with antibiotics.",
    "highlight": [39, 70],
    "condition": "Pneumonia",
    "section": "Treatment",
    "source": "Handbook, chapter 3",
    "score": 0.8,
}
NOTHING: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "segmentation": (BY_BOX, {"masks": [], **UNKNOWN}, "Nothing was outlined"),
    "grounding": ({"prompts": ["liver"]}, {"boxes": [], "scores": [], "phrases": []}, "Nothing was found for “liver”"),
    "grounded_segmentation": (
        {"prompts": ["liver"]},
        {"boxes": [], "scores": [], "phrases": [], "masks": [], **SPACING},
        "Nothing was found for “liver”",
    ),
    "classification": ({}, {"labels": [], "probabilities": [], "task": "finding"}, "No label fits"),
    "retrieval": ({"query": "gout"}, {"passages": []}, "no passage"),
    "report_generation": ({}, {"findings": "", "impression": "", "probabilities": {}}, "report is empty"),
    "consultation": (
        {"question": "?"},
        {"specialty": "", "opinions": [], "answer": "", "rationale": ""},
        "no answer",
    ),
}


def result(tool: str, data: dict[str, Any]) -> ToolResult:
    provenance = Provenance(
        tool=tool,
        version="1.0.0",
        checkpoint_sha256=None,
        preprocessing="none",
        input_sha256=(),
        output_sha256=SHA,
        seconds=0.1,
    )
    return ToolResult(call_id="c", tool=tool, data=data, provenance=provenance)


def answer(*done: tuple[dict[str, Any], Outcome], image: ImageRef | None = CT) -> str:
    """The answer to some actions, after checking that each of its sentences carries a marker."""
    actions = tuple(Action(API_name=outcome.tool, API_params=parameters) for parameters, outcome in done)
    step = Step(plan=Plan(thoughts="", actions=actions, value=""), outcomes=tuple(outcome for _, outcome in done))
    message = ChatMessage(role="user", text="?")
    request = PlannerRequest(messages=(message,), image=image, steps=(step,), correlation_id="test")
    paragraphs = composed(request)
    for number, paragraph in enumerate(paragraphs, start=1):
        assert paragraph.endswith(f"[{number}]")
    return "\n".join(paragraphs)


@pytest.mark.parametrize("tool", NOTHING)
def test_nothing_found_is_an_ordinary_sentence(tool: str) -> None:
    parameters, data, words = NOTHING[tool]
    assert words in answer((parameters, result(tool, data)))


@pytest.mark.parametrize("tool", NOTHING)
def test_a_failure_is_disclosed(tool: str) -> None:
    failure = ToolFailure(call_id="c", tool=tool, code="deadline_exceeded", message="It took too long.")
    text = answer(({}, failure))
    assert f"The {tool.replace('_', ' ')} tool did not answer: It took too long, so" in text
    assert re.search(r"\d", text.replace("[1]", "")) is None


@pytest.mark.parametrize("tool", NOTHING)
def test_a_skip_is_said(tool: str) -> None:
    skipped = ToolSkipped(call_id="c", tool=tool, reason="The grounding found no boxes.")
    assert "was not run: The grounding found no boxes." in answer(({}, skipped))


@pytest.mark.parametrize("tool", NOTHING)
def test_a_result_against_the_card_is_disclosed(tool: str) -> None:
    assert "does not follow its card" in answer(({}, result(tool, {"masks": "all", "boxes": 3})))


def test_an_area_has_its_units_and_their_source() -> None:
    text = answer((BY_BOX, result("segmentation", {"masks": [MASK], **SPACING})))
    assert "The structure in the box [0.25, 0.05, 0.75, 0.70] has an area of 1,022 mm² (10.22 cm²), 2,345 px" in text
    assert "pixel spacing of 0.66 x 0.66 mm in the file's PixelSpacing (0028,0030)" in text


def test_without_spacing_areas_are_in_pixels() -> None:
    text = answer((BY_BOX, result("segmentation", {"masks": [{**MASK, "area_mm2": None}], **UNKNOWN})))
    assert "2,345 px" in text
    assert "spacing of this image is unknown" in text
    assert "mm²" not in text


def test_an_empty_mask_has_no_area() -> None:
    text = answer((BY_BOX, result("segmentation", {"masks": [EMPTY_MASK], **SPACING})))
    assert "mask is empty" in text
    assert "mm²" not in text


def test_several_masks_are_added_up() -> None:
    text = answer(({"boxes": "$1.boxes"}, result("segmentation", {"masks": [MASK, MASK, EMPTY_MASK], **SPACING})))
    assert "Structure 1 has an area" in text
    assert "add up to 2,043 mm² (20.43 cm²), 4,690 px" in text


def test_detections_are_counted_and_placed() -> None:
    data = {
        "boxes": [[0.0, 0.0, 0.2, 0.2], [0.7, 0.7, 0.9, 0.9]],
        "scores": [0.9, 0.5],
        "phrases": ["nuclei", "nuclei"],
    }
    text = answer(({"prompts": ["nuclei", "mitoses"]}, result("grounding", data)))
    assert "Found 2 boxes for “nuclei”: [0.00, 0.00, 0.20, 0.20] in the upper left of the image (score 0.90)" in text
    assert "Nothing was found for “mitoses”" in text


def test_named_masks_are_named() -> None:
    data = {"boxes": [MASK["box"]], "scores": [0.8], "phrases": ["liver"], "masks": [MASK], **SPACING}
    text = answer(({"prompts": ["liver", "spleen"]}, result("grounded_segmentation", data)))
    assert "“liver” has an area of 1,022 mm²" in text
    assert "Nothing was found for “spleen”" in text


@pytest.mark.parametrize(
    ("label", "words"), [("brain MRI", "disagrees"), ("abdomen CT", "agrees"), ("a nice picture", "probable")]
)
def test_a_label_is_held_against_the_header(label: str, words: str) -> None:
    data = {"labels": [label, "other"], "probabilities": [0.9, 0.1], "task": "modality"}
    text = answer(({}, result("classification", data)))
    assert f"“{label}” (90%), followed by “other” (10%)" in text
    assert words in text


def test_labels_that_would_read_zero_per_cent_are_left_out() -> None:
    data = {"labels": ["a", "b", "c"], "probabilities": [0.97, 0.026, 0.004], "task": None}
    text = answer(({}, result("classification", data)), image=None)
    assert "“a” (97%), followed by “b” (3%)." in text


def test_an_abstention_says_why_and_what_the_header_states() -> None:
    data = {"labels": [], "probabilities": [], "task": "modality", "medical_probability": 0.28}
    text = answer(({}, result("classification", data)))
    assert "does not look like a medical image (72%), so it is not classified" in text
    assert "The file's header states the modality CT" in text
    assert "header" not in answer(({}, result("classification", data)), image=None)


def test_an_unsure_label_is_said_to_be_unsure() -> None:
    data = {"labels": ["a", "b", "c"], "probabilities": [0.4, 0.3, 0.3], "task": None}
    assert "No label is more probable than all others together" in answer(
        ({}, result("classification", data)), image=None
    )


def test_passages_are_quoted_word_for_word_with_their_source() -> None:
    text = answer(({"query": "?"}, result("retrieval", {"passages": [PASSAGE]})))
    assert f"Pneumonia, Treatment: “{PASSAGE['text']}” (source: Handbook, chapter 3)" in text


def test_a_passage_without_a_section_is_quoted_on_one_line() -> None:
    abstract = {
        **PASSAGE,
        "text": "First row\nSecond row",
        "highlight": [0, 9],
        "section": "",
        "source": "mine: PMID 1",
    }
    text = answer(({"query": "?"}, result("retrieval", {"passages": [abstract]})))
    assert "Pneumonia: “First row Second row” (source: mine: PMID 1)" in text


def test_of_a_long_passage_the_relevant_sentence_is_quoted() -> None:
    long = {**PASSAGE, "text": "x" * 800 + " The relevant one. " + "y" * 50, "highlight": [801, 818]}
    text = answer(({"query": "?"}, result("retrieval", {"passages": [long]})))
    assert "“The relevant one.”" in text


def test_a_report_is_marked_sentence_by_sentence_and_is_a_draft() -> None:
    data = {
        "findings": "The lungs are clear. No effusion.",
        "impression": "Normal.",
        "probabilities": {"effusion": 0.1, "nodule": 0.002},
    }
    text = answer(({}, result("report_generation", data)))
    assert "nodule" not in text
    assert "Findings: The lungs are clear. [1] No effusion. [1] Impression: Normal. [1]" in text
    assert "effusion 10%" in text
    assert "draft" in text


def test_a_consultation_names_who_said_what() -> None:
    opinions = [{"specialist": "Radiologist", "answer": "benign"}]
    data = {"specialty": "radiology", "opinions": opinions, "answer": "benign", "rationale": "Smooth edge"}
    text = answer(({"question": "?"}, result("consultation", data)))
    assert "Radiologist: “benign”." in text
    assert "The attending's answer is “benign”." in text
    assert "Smooth edge" in text


def test_a_consultation_names_who_agreed_who_was_overruled_and_who_did_not_come() -> None:
    opinions = [
        {"specialist": f"surgeon {number}", "answer": word, "agrees": word == "yes"}
        for number, word in enumerate(("yes", "no", "yes"), 1)
    ]
    absent = [{"doctor": "surgeon 4", "code": "deadline_exceeded", "reason": "It was late.", "seconds": 1.0}]
    data = {"specialty": "surgeon", "opinions": opinions, "absent": absent, "answer": "yes", "rationale": ""}
    text = answer(({"question": "?"}, result("consultation", {**data, "note": "A note."})))
    assert "This is also the answer of surgeon 1 and surgeon 3." in text
    assert "The attending overruled surgeon 2." in text
    assert "No answer came from surgeon 4: It was late." in text
    assert "A note." in text


def test_markers_count_over_the_turn() -> None:
    first: tuple[dict[str, Any], Outcome] = (
        {},
        result("classification", {"labels": ["CT"], "probabilities": [1.0], "task": "modality"}),
    )
    second = ({"query": "?"}, result("retrieval", {"passages": [PASSAGE]}))
    assert answer(first, second).splitlines()[1].endswith("[2]")


def test_a_tool_from_outside_is_shown_as_it_answered() -> None:
    assert 'The bone age tool returned {"months": 93}. [1]' in answer(({}, result("bone_age", {"months": 93})))


def test_the_cards_allow_what_is_tested_here() -> None:
    for tool, (parameters, _, _) in NOTHING.items():
        assert set(parameters) <= set(load_card(tool).parameters["properties"])
