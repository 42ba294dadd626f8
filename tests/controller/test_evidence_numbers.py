"""What an answer's numbers rest on."""

from __future__ import annotations

import pytest

from mmedagent.controller.evidence.sources import Basis
from support.evidence import (
    BOXES,
    IMAGE,
    LABELS,
    MASKS,
    PASSAGES,
    basis,
    claims,
    fields_of,
    of_result,
    result,
    unsupported,
)
from support.results import provenance


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


def test_an_earlier_answer_is_a_source_of_what_it_had_a_source_for() -> None:
    earlier = claims("“Spleen” has 0.47, not 0.99, nor 3 lesions.", of_result("grounding", BOXES))
    again = claims("As said, the spleen had 0.47 and not 0.99.", Basis("And?", earlier=earlier))
    assert [(one.text, one.supported, one.field) for one in again] == [
        ("spleen", True, "/phrases/2"), ("0.47", True, "/scores/2"), ("0.99", False, None),
    ]  # fmt: skip
    assert {one.call_id for one in again if one.supported} == {"call_1"}
