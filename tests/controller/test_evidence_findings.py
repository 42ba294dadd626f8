"""What the names in an answer rest on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmedagent.controller.evidence.sources import Basis
from mmedagent.controller.evidence.terms import findings, words_of
from support.evidence import BOXES, LABELS, REPORT, claims, fields_of, of_result, unsupported

ROOT = Path(__file__).parents[2]


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


def test_a_name_of_an_earlier_answer_is_known_whole() -> None:
    passage = {"passages": [{"text": "Bleeding.", "condition": "Intracerebral haemorrhage", "score": 0.6}]}
    earlier = claims("Intracerebral haemorrhage, Overview. [1]", of_result("retrieval", passage))
    (again,) = claims("It was intracerebral haemorrhage.", Basis("And?", earlier=earlier))
    assert (again.text, again.supported, again.score) == ("intracerebral haemorrhage", True, 0.6)


def test_a_name_in_a_quoted_passage_rests_on_the_passage_whatever_was_looked_for_before() -> None:
    looked = of_result("grounding", {"boxes": [], "scores": [], "phrases": []}, {"prompts": ["spleen"]})
    earlier = claims("Nothing was found for “spleen”. [1]", looked)
    passage = {"passages": [{"text": "The spleen filters blood. It can swell.", "condition": "Anaemia", "score": 0.6}]}
    later = of_result("retrieval", passage, earlier=earlier)
    (quoted, *_) = claims("Anaemia, Overview: “The spleen filters blood. It can swell.” [1]", later)[1:]
    assert (quoted.text, quoted.supported, quoted.field) == ("spleen", True, "/passages/0/text")
    assert unsupported("The spleen is enlarged. [1]", later) == ["spleen"]
    assert unsupported("Cancer: It can swell. [1]", later) == ["Cancer"]


def test_of_several_earlier_sources_one_must_fit() -> None:
    passage = {"passages": [{"text": "A pneumothorax can be small.", "condition": "Chest", "score": 0.6}]}
    earlier = [
        *claims("A pneumothorax can be small.", of_result("retrieval", passage)),
        *claims("Pneumothorax 3%.", of_result("report_generation", REPORT)),
    ]
    again = claims("As I said, a pneumothorax can be small.", Basis("And?", earlier=earlier))
    assert [(one.supported, one.field) for one in again] == [(True, "/passages/0/text")]


def test_findings_of_the_shipped_checkpoints_are_in_the_closed_list() -> None:
    report = json.loads((ROOT / "models/report_generation/config.json").read_text())["classifier"]["findings"]
    names = [*report]
    for path in ("models/classification/config.json", "tool_workers/classification/biomedclip.json"):
        names += json.loads((ROOT / path).read_text())["tasks"]["finding"]["labels"]
    assert {name for name in names if words_of(name) not in findings()} == {"no finding"}
