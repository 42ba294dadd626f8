"""What an answer's numbers, names, markers and failures rest on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedagent.controller.evidence.answers import with_evidence
from mmedagent.controller.evidence.sources import Basis
from mmedagent.controller.evidence.terms import findings, words_of
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.plan import Action, Plan, Step
from mmedagent.protocol.types import MAX_TEXT
from support.results import provenance

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("2,126 mm²", "/masks/0/area_mm2"),
        ("2126.0 mm2", "/masks/0/area_mm2"),
        ("2126.006 square millimetres", "/masks/0/area_mm2"),
        ("2,126", "/masks/0/area_mm2"),
        ("21.26 cm²", "/masks/0/area_mm2"),
        ("4,859 px", "/masks/0/area_px"),
        ("4859 pixels", "/masks/0/area_px"),
        ("61.7 mm²", "/masks/1/area_mm2"),
        ("0.42", "/masks/0/score"),
        ("42%", "/masks/0/score"),
        ("42.5 per cent", "/masks/0/score"),
        ("90 %", "/masks/1/score"),
        ("[0.25, 0.07, 0.74, 0.69]", "/masks/0/box"),
        ("(0.25, 0.1, 0.7, 0.7)", "/masks/0/box"),
        ("0.6615 x 0.6615 mm", "/spacing_mm"),
        ("0.66 mm", "/spacing_mm/0"),
        ("2,188 mm²", "/masks"),
        ("21.88 cm²", "/masks"),
        ("5,000 px", "/masks"),
        ("2 masks", "/masks"),
    ],
)
def test_a_number_points_at_the_field_that_rounds_to_it(written: str, field: str) -> None:
    ((text, found),) = fields_of(f"It measures {written}. [1]", of_result("segmentation", MASKS))
    assert (text, found) == (written if written != "2 masks" else "2", field)


@pytest.mark.parametrize(
    "written",
    [
        "2,127 mm²", "2126.1 mm²", "2126 px", "2126 cm²", "2126 HU", "2126 days", "4,858 px", "0.43", "43%", "3 masks",
        "[0.26, 0.07, 0.74, 0.69]", "0.67 mm", "-61.7 mm²", "0.25", "1e999", "1e-9", "٣ mm", ".93", "1 of them", "0 of",
    ],
)  # fmt: skip
def test_a_number_that_no_field_rounds_to_is_unsupported(written: str) -> None:
    (claim,) = claims(f"It measures {written} there.", of_result("segmentation", MASKS))
    assert (claim.supported, claim.kind, claim.call_id, claim.field) == (False, "number", None, None)
    assert written.startswith(claim.text)


@pytest.mark.parametrize(
    "text", ["T1 and L5", "COVID-19", "the 2nd", "3D", "two masks", "1. First\n2) Second", "x1, y1"]
)
def test_digits_of_names_and_lists_and_numbers_in_words_are_none(text: str) -> None:
    assert claims(text, of_result("segmentation", MASKS)) == []


def test_a_claim_names_tool_version_checkpoint_inputs_and_score() -> None:
    origin = provenance("segmentation").model_copy(
        update={"version": "2.1.0", "checkpoint_sha256": "e" * 64, "input_sha256": ("f" * 64,)}
    )
    made = result("segmentation", MASKS).model_copy(update={"provenance": origin})
    (claim,) = claims("About 61.69 mm²", basis(({}, made)))
    assert (claim.start, claim.end, claim.text) == (6, 15, "61.69 mm²")
    assert (claim.call_id, claim.tool, claim.version) == ("call_1", "segmentation", "2.1.0")
    assert (claim.checkpoint_sha256, claim.input_sha256, claim.score) == ("e" * 64, ("f" * 64,), 0.9)


def test_equal_values_belong_to_what_was_spoken_of_last() -> None:
    text = (
        "Found 2 boxes for “left kidney”: [0.10, 0.20, 0.50, 0.75] (score 0.81) and [0.10, 0.20, 0.50, 0.75] "
        "(score 0.47). [1] Found 1 box for “spleen”: [0.60, 0.60, 0.70, 0.80] (score 0.47). [1]"
    )
    assert fields_of(text, of_result("grounding", BOXES)) == [
        ("2", "/phrases"), ("left kidney", "/phrases/0"),
        ("[0.10, 0.20, 0.50, 0.75]", "/boxes/0"), ("0.81", "/scores/0"),
        ("[0.10, 0.20, 0.50, 0.75]", "/boxes/1"), ("0.47", "/scores/1"),
        ("1", "/phrases"), ("spleen", "/phrases/2"), ("[0.60, 0.60, 0.70, 0.80]", "/boxes/2"), ("0.47", "/scores/2"),
    ]  # fmt: skip


def test_entries_are_told_by_number_and_the_rest_of_a_list_by_how_many_are_left() -> None:
    given = of_result("grounding", BOXES)
    assert fields_of("Box 2 has a score of 0.47.", given) == [("2", "/boxes/1"), ("0.47", "/scores/1")]
    assert fields_of("Scores: 0.81 and 2 more.", given) == [("0.81", "/scores/0"), ("2", "/boxes")]
    assert unsupported("Scores: 0.81 and 3 more.", given) == ["3"]


def test_the_cited_call_comes_first() -> None:
    first, second = (result("classification", {**LABELS, "labels": ["CT", "MR", "X"]}, f"call_{n}") for n in (1, 2))
    given = basis(({}, first), ({}, second))
    assert [one.call_id for one in claims("CT 71% [2]", given)] == ["call_2"] * 3
    assert [one.call_id for one in claims("CT 71%\n\nMR [2]", given)] == ["call_1", "call_1", "call_2", "call_2"]


def test_parameters_question_and_file_are_sources_without_a_field() -> None:
    given = of_result(
        "segmentation", MASKS, {"boxes": [[0.11, 0.22, 0.33, 0.44]]}, question="64-year-old, 12 mm mole", image=IMAGE
    )
    parameter, asked, length, frame, spacing = claims(
        "The box [0.11, 0.22, 0.33, 0.44], age 64, 12 mm, frame 128 x 96 px, pixels of 0.66 x 0.70 mm", given
    )
    assert all(one.supported and one.field is None for one in (parameter, asked, length, frame, spacing))
    assert (parameter.call_id, asked.call_id, length.call_id, frame.call_id) == ("call_1", None, None, None)
    assert frame.input_sha256 == spacing.input_sha256 == (IMAGE.source_sha256, IMAGE.sha256)
    assert unsupported("It is 64 mm long and 128 mm wide, 12 px", given) == ["64 mm", "128 mm", "12 px"]


def test_numbers_in_passages_stand_between_the_same_words() -> None:
    given = of_result("retrieval", PASSAGES)
    quoted = (
        "Legionellosis, Course: “Fever lasts 3 to 5 days. A pulmonary abscess is seen in 12% of 1,200 patients [7].”"
    )
    assert fields_of(f"{quoted} (source: handbook, Legionellosis) [1]", given) == [
        ("Legionellosis", "/passages/0/condition"),
        ("3", "/passages/0/text"), ("5 days", "/passages/0/text"), ("abscess", "/passages/0/text"),
        ("12%", "/passages/0/text"), ("1,200", "/passages/0/text"), ("7", "/passages/0/text"),
        ("Legionellosis", "/passages/0/condition"),
    ]  # fmt: skip
    assert unsupported("The lesion of 5 mm was followed for 12 days. [1]", given) == ["lesion", "5 mm", "12 days"]


def test_a_stated_finding_has_the_score_of_its_label() -> None:
    text = "The most probable label is “pleural effusion” (71%), followed by “pneumothorax” (24%). [1]"
    found = claims(text, of_result("classification", LABELS))
    assert [(one.kind, one.field, one.score) for one in found] == [
        ("finding", "/labels/0", 0.713), ("number", "/probabilities/0", 0.713),
        ("finding", "/labels/1", 0.243), ("number", "/probabilities/1", 0.243), ("citation", "", None),
    ]  # fmt: skip


@pytest.mark.parametrize("said", ["Pleural effusion", "pleural effusions", "an effusion", "pleural fluid"])
def test_a_finding_has_several_names(said: str) -> None:
    ((_, field),) = fields_of(f"There is {said}.", of_result("classification", LABELS))
    assert field == "/labels/0"


@pytest.mark.parametrize(
    ("text", "supported"),
    [
        ("There is cardiomegaly.", True),
        ("No pneumothorax is seen.", True),
        ("Pneumothorax 3%.", True),
        ("There is a pneumothorax.", False),
        ("There is no cardiomegaly.", False),
        ("Cardiomegaly cannot be excluded.", True),
        ("The lungs are clear, but there is cardiomegaly.", True),
    ],
)
def test_what_goes_against_a_probability_is_unsupported_and_points_at_it(text: str, supported: bool) -> None:
    claim = claims(text, of_result("report_generation", REPORT))[0]
    assert (claim.kind, claim.supported, claim.call_id) == ("finding", supported, "call_1")
    assert claim.field == f"/probabilities/{claim.text.casefold()}"


def test_equal_probabilities_are_told_apart_by_the_name_before_them() -> None:
    text = "Behind it are cardiomegaly 92% and consolidation 92%. [1]"
    assert [field for _, field in fields_of(text, of_result("report_generation", REPORT))] == [
        "/probabilities/cardiomegaly", "/probabilities/cardiomegaly",
        "/probabilities/consolidation", "/probabilities/consolidation",
    ]  # fmt: skip


def test_a_finding_without_a_result_is_unsupported() -> None:
    given = of_result("grounding", BOXES, question="Is there a fracture?")
    assert unsupported("There is an abscess in the left kidney, and oedema.", given) == ["abscess", "oedema"]
    assert unsupported("A fracture is likely.", given) == []
    assert unsupported("Do you mean an abscess?", given) == []


def test_what_was_looked_for_and_not_found_points_at_the_empty_result() -> None:
    nothing: dict[str, Any] = {"boxes": [], "scores": [], "phrases": []}
    given = of_result("grounding", nothing, {"prompts": ["liver lesion"]}, question="Where is the liver lesion?")
    assert fields_of("Nothing was found for “liver lesion”. [1]", given) == [("liver lesion", "/phrases")]
    assert unsupported("The liver lesion is on the right. [1]", given) == ["liver lesion"]


def test_everyday_words_are_labels_only_in_quotation_marks() -> None:
    given = of_result("classification", {"labels": ["no", "yes"], "probabilities": [0.9, 0.1], "task": None})
    assert claims("There is no answer to this.", given) == []
    assert fields_of("The answer is “no”.", given) == [("no", "/labels/0")]


def test_markers_of_calls_that_are_not_there_are_unsupported() -> None:
    found = claims("One. [1] Two. [2]", of_result("grounding", BOXES))
    assert [(one.text, one.kind, one.supported, one.call_id) for one in found] == [
        ("[1]", "citation", True, "call_1"), ("[2]", "citation", False, None),
    ]  # fmt: skip


FAILURE = ToolFailure(call_id="call_1", tool="grounded_segmentation", code="x", message="It took longer\nthan 30 s!")
SKIP = ToolSkipped(call_id="call_2", tool="segmentation", reason="Action 1, which it depends on, found nothing.")
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


def test_an_earlier_answer_is_a_source_of_what_it_had_a_source_for() -> None:
    earlier = claims("“Spleen” has 0.47, not 0.99, nor 3 lesions.", of_result("grounding", BOXES))
    again = claims("As said, the spleen had 0.47 and not 0.99.", Basis("And?", earlier=earlier))
    assert [(one.text, one.supported, one.field) for one in again] == [
        ("0.47", True, "/scores/2"), ("0.99", False, None),
    ]  # fmt: skip
    assert again[0].call_id == "call_1"


def test_a_later_answer_cannot_turn_an_earlier_finding_into_its_opposite() -> None:
    nothing: dict[str, Any] = {"boxes": [], "scores": [], "phrases": []}
    looked = of_result("grounding", nothing, {"prompts": ["fracture"]})
    earlier = [
        *claims("No pneumothorax, but cardiomegaly.", of_result("report_generation", REPORT)),
        *claims("No fracture was found.", looked),
    ]
    assert all(one.supported for one in earlier)
    later = Basis("Are you sure?", earlier=earlier)
    assert unsupported("No pneumothorax, but cardiomegaly. No fracture was found.", later) == []
    found = claims("There is a pneumothorax, but no cardiomegaly. A fracture was found.", later)
    assert [(one.supported, one.call_id) for one in found] == [(False, "call_1")] * 3


def test_findings_of_the_shipped_checkpoints_are_in_the_closed_list() -> None:
    report = json.loads((ROOT / "models/report_generation/config.json").read_text())["classifier"]["findings"]
    names = [*report]
    for path in ("models/classification/config.json", "tool_workers/classification/biomedclip.json"):
        names += json.loads((ROOT / path).read_text())["tasks"]["finding"]["labels"]
    assert {name for name in names if words_of(name) not in findings()} == {"no finding"}


PIECES = (
    *"“”[](){},.;:!?-−–²%\n\t 0123456789", "[1]", "[0.25, 0.07, 0.74, 0.69]", " mm²", " px", "2,126", "0.42", "no ",
    "pneumothorax", " left kidney ",
    "failed", "masks", " more", "1e5", "x", "segmentation", "“no”", "İ", "ß", "٣", "\u00a0",
)  # fmt: skip
KEYS = st.sampled_from(("boxes", "labels", "probabilities", "scores", "masks", "a/b~", "area_mm2", "unit"))
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60).map("".join)
NUMBERS = st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, st.dictionaries(KEYS, JSON))
def test_any_answer_has_claims_that_are_in_it(text: str, question: str, data: dict[str, Any]) -> None:
    given = basis(
        ({"prompts": ["spleen", text]}, result("grounding", data)), ({}, FAILURE), question=question, image=IMAGE
    )
    told, found = with_evidence(text, given)
    assert told.startswith(text)
    ends = [0, *(one.end for one in found)]
    for one, before in zip(found, ends, strict=False):
        assert before <= one.start < one.end <= len(told)
        assert one.text == told[one.start : one.end]
        assert one.field is None or _resolves(data, one)
    assert any(one.kind == "failure" for one in found)


def _resolves(data: dict[str, Any], claim: Claim) -> bool:
    here: Any = data
    for part in claim.field.split("/")[1:] if claim.field else ():
        name = part.replace("~1", "/").replace("~0", "~")
        here = here[int(name)] if isinstance(here, list) else here[name]
    return True


HARD: Sequence[str] = (
    "1 ", "1", "1,", "[", "[1,", "[ ", "“", ".", "\n", "[1]", "failed ", "effusion. ", "no effusion and ",
    "0.42 masks ", "[0.1, 0.2, 0.3, 0.4] ", "1x", "1 more ", "box 1 ",
)  # fmt: skip


@pytest.mark.parametrize("piece", HARD)
def test_no_answer_takes_long(piece: str) -> None:
    given = basis(({}, result("segmentation", MASKS)), ({}, result("grounding", BOXES)), ({}, FAILURE))
    started = time.thread_time()
    with_evidence((piece * MAX_TEXT)[:MAX_TEXT], given)
    assert time.thread_time() - started < 4.0
