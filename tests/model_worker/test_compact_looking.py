"""Answers from a look at the image: what is said for which probabilities, and that no number is made up."""

from __future__ import annotations

import re

import pytest

from mmedagent.model_worker.compact.impression_words import CANNOT_TELL, SOURCE, percent
from mmedagent.model_worker.compact.impressions import Knowledge
from mmedagent.model_worker.compact.looking import Look, look
from mmedagent.model_worker.compact.names import NameBook
from mmedagent.model_worker.compact.questions import Kind, Question
from mmedagent.networks.glance import Glance
from mmedagent.networks.glance_reading import NOT_MEDICAL
from mmedagent.protocol.invocation import ImageRef
from support.towers import NAMES, Chances, filled

CT: Chances = {
    "modality": {"CT": 0.93},
    "anatomy": {"abdomen": 0.88},
    "view": {"axial": 0.97},
    "technique": {"": 0.99},
    "structures": {"liver": 0.981, "left kidney": 0.91, "right kidney": 0.86, "spleen": 0.5, "liver lesion": 0.77},
    "findings": {"liver lesion": 0.83, "stone": 0.4},
}
FILM: Chances = {
    "modality": {"X-ray": 0.99},
    "anatomy": {"chest": 0.99},
    "view": {"frontal": 0.99},
    "technique": {"": 0.99},
    "structures": {"left lung": 0.97, "right lung": 0.12, "pleural effusion": 0.9, "pneumothorax": 0.95},
    "findings": {"pleural effusion": 0.92, "pneumothorax": 0.95, "consolidation": 0.9, "infiltration": 0.9},
    "sides": {
        "right pleural effusion": 0.89, "left pleural effusion": 0.07, "left pneumothorax": 0.9,
        "right pneumothorax": 0.8, "left consolidation": 0.6,
    },
}  # fmt: skip
HEALTHY: Chances = {"modality": {"MR": 0.96}, "findings": {"tumour": 0.09}}
VAGUE: Chances = {"modality": {"MR": 0.6, "CT": 0.4}, "view": {"axial": 0.74}, "findings": {"tumour": 0.5}}
STRANGE: Chances = {"modality": {NOT_MEDICAL: 0.72}, "structures": {"liver": 0.99}, "findings": {"tumour": 0.9}}
HEADER = ImageRef(
    sha256="a" * 64, source_sha256="b" * 64, width=128, height=100, modality="CT", body_part="ABDOMEN", laterality="L"
)


def looked(
    chances: Chances, kind: Kind, *names: str, image: ImageRef | None = None, tools: tuple[str, ...] = ()
) -> Look:
    """The answer, after checking that each of its numbers is a probability or a fact of the file."""
    knowledge = Knowledge(NameBook({*NAMES["structures"], *NAMES["findings"]}), {"normal MR": 0.91, "normal CT": 0.7})
    answer = look((Question(kind, names),), Glance(filled(chances)), knowledge, image, tools)
    stated = {percent(one.probability) for one in answer.impressions if one.probability is not None}
    if (kind != "modality" and image is not None) or chances is STRANGE:
        stated |= {percent(chance) for chance in chances["modality"].values()}
    assert set(re.findall(r"(?:over )?\d+%", answer.text)) <= stated
    assert not re.search(r"\d", re.sub(r"(?:over )?\d+%|128 x 100", "", answer.text.replace("“T2”", "")))
    return answer


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("modality", "CT", "this looks like a CT image (93%)"),
        ("view", "axial", "The view looks like “axial” (97%)"),
        ("body_part", "abdomen", "The body part looks like “abdomen” (88%)"),
    ],
)
def test_the_whole_image_is_named_with_its_probability(kind: Kind, value: str, words: str) -> None:
    answer = looked(CT, kind)
    assert [one.value for one in answer.impressions] == [value]
    assert words in answer.text
    assert answer.text.endswith(SOURCE)


def test_a_technique_is_named_where_there_is_one() -> None:
    assert "The technique looks like “T2” (92%)" in looked({"technique": {"T2": 0.92}}, "technique").text
    assert looked(CT, "technique").text == "At a glance I cannot tell the technique."


@pytest.mark.parametrize("kind", ["modality", "view", "technique", "body_part", "abnormal", "findings"])
def test_below_its_confidence_it_does_not_guess(kind: Kind) -> None:
    answer = looked(VAGUE, kind)
    assert [(one.value, one.reason) for one in answer.impressions] == [(None, "unsure")]
    assert "cannot tell" in answer.text
    assert not re.search(r"\d|axial|MR|tumour", answer.text)


def test_structures_are_in_view_or_not_or_uncertain() -> None:
    assert "It seems to show “liver” (98%)" in looked(CT, "presence", "liver").text
    assert "I do not see “aorta”: it does not seem to be in view (98%)" in looked(CT, "presence", "aorta").text
    assert looked(CT, "presence", "spleen").text == "At a glance I cannot tell whether “spleen” is in view."


def test_a_name_for_several_is_in_view_with_any_of_them() -> None:
    answer = looked(CT, "presence", "kidney")
    assert [(one.value, one.probability) for one in answer.impressions] == [("yes", 0.91)]
    assert looked(CT, "presence", "lung").impressions[0].value == "no"


def test_each_name_of_a_question_is_answered() -> None:
    answer = looked(CT, "presence", "liver", "aorta", "appendix")
    assert [one.value for one in answer.impressions] == ["yes", "no", None]
    assert "not trained to recognise “appendix”" in answer.text


def test_nothing_is_absent_from_an_image_of_unknown_kind() -> None:
    for kind in ("presence", "count", "side"):
        assert looked(VAGUE, kind, "kidney").impressions[0].value is None


def test_a_question_without_a_name_is_asked_back() -> None:
    assert "Could you name it?" in looked(CT, "presence").text


def test_sides_are_those_of_the_patient() -> None:
    answer = looked(FILM, "side", "pleural effusion")
    assert (answer.impressions[0].value, answer.impressions[0].probability) == ("right", 0.89)
    assert "“pleural effusion” seems to be on the patient's right (89%)" in answer.text
    assert "radiological convention: the patient's right is on the left of the image" in answer.text
    both = looked(FILM, "side", "pneumothorax")
    assert (both.impressions[0].value, both.impressions[0].probability) == ("both", 0.8)
    assert "on both sides (80%)" in both.text


@pytest.mark.parametrize(
    ("name", "reason"),
    [("consolidation", "unsure"), ("infiltration", "untrained"), ("appendix", "unknown"), ("stone", "unsure")],
)
def test_a_side_that_is_not_clear_is_not_named(name: str, reason: str) -> None:
    answer = looked({**FILM, "findings": {**FILM["findings"], "stone": 0.5}}, "side", name)
    assert (answer.impressions[0].value, answer.impressions[0].reason) == (None, reason)
    assert not re.search(r"\bleft\b|\bright\b", answer.text)


def test_what_is_not_there_has_no_side() -> None:
    answer = looked(CT, "side", "pleural effusion")
    assert answer.impressions[0].value == "none"
    assert "I do not see “pleural effusion”, so I cannot name a side (98%)" in answer.text


def test_kidneys_and_lungs_are_counted_by_their_sides() -> None:
    two = looked(CT, "count", "kidney")
    assert (two.impressions[0].value, two.impressions[0].probability) == ("2", 0.86)
    assert "a left and a right kidney, so two (86%)" in two.text
    assert "I see one lung (88%)" in looked(FILM, "count", "lung").text
    assert "I see no lung (98%)" in looked(CT, "count", "lung").text
    unsure = {**CT, "structures": {"left kidney": 0.9, "right kidney": 0.6}}
    assert looked(unsure, "count", "kidney").impressions[0].value is None


@pytest.mark.parametrize("name", ["nuclei", "liver lesion", "kidney lesion"])
def test_nothing_else_is_counted(name: str) -> None:
    answer = looked(CT, "count", name, tools=("grounding",))
    assert answer.impressions[0].reason == "uncountable"
    assert f"I cannot count “{name}”" in answer.text
    assert "gets a box" in answer.text
    assert "box" not in looked(CT, "count", name).text


def test_abnormal_is_said_with_its_finding() -> None:
    answer = looked(CT, "abnormal")
    assert (answer.impressions[0].value, answer.impressions[0].probability) == ("abnormal", 0.83)
    assert "It looks abnormal: it seems to show “liver lesion” (83%)" in answer.text
    assert "stone" not in answer.text


@pytest.mark.parametrize("kind", ["abnormal", "findings"])
def test_no_finding_is_no_evidence_of_health(kind: Kind) -> None:
    answer = looked(HEALTHY, kind)
    assert [one.value for one in answer.impressions] == ["normal" if kind == "abnormal" else "none"]
    assert "stands out: 91% of synthetic images like this have none" in answer.text
    assert "no evidence of health" in answer.text


@pytest.mark.parametrize("modality", ["CT", "ultrasound"])
def test_where_too_much_is_overlooked_nothing_is_called_normal(modality: str) -> None:
    for kind in ("abnormal", "findings"):
        answer = looked({"modality": {modality: 0.98}, "findings": {"tumour": 0.01}}, kind)
        assert [(one.value, one.reason) for one in answer.impressions] == [(None, "overlooked")]
        assert "too many are overlooked" in answer.text


def test_findings_are_listed() -> None:
    text = looked(FILM, "findings").text
    assert "It seems to show “pneumothorax” (95%), “pleural effusion” (92%)" in text


def test_a_description_has_what_is_sure_and_the_facts_of_the_file() -> None:
    text = looked(CT, "describe", image=HEADER).text
    for words in (
        "a CT image (93%)",
        "“axial”",
        "“abdomen”",
        "In view seem to be “liver” (98%)",
        "“liver lesion” (83%)",
    ):
        assert words in text
    assert "technique" not in text
    assert "128 x 100 pixels" in text
    assert "modality CT, body part ABDOMEN and side L" in text


def test_what_it_was_not_trained_for_it_cannot_tell() -> None:
    answer = looked(CT, "other")
    assert answer.text == CANNOT_TELL
    assert answer.impressions == ()


def test_facts_of_the_file_need_no_look() -> None:
    answer = looked(STRANGE, "file", image=HEADER)
    assert "128 x 100 pixels" in answer.text
    assert SOURCE not in answer.text


@pytest.mark.parametrize("kind", ["modality", "view", "presence", "side", "count", "abnormal", "findings", "describe"])
def test_nothing_medical_is_said_of_another_image(kind: Kind) -> None:
    answer = looked(STRANGE, kind, "liver")
    assert "does not look like a medical image (72%)" in answer.text
    assert not re.search(r"liver|tumour|view", answer.text)
    assert {one.value for one in answer.impressions} <= {None, NOT_MEDICAL}


def test_the_header_is_never_contradicted() -> None:
    header = HEADER.model_copy(update={"modality": "MR"})
    modality = looked(CT, "modality", image=header)
    assert "states the modality MR, but this looks like CT (93%). Trust the header." in modality.text
    assert "At a glance this looks like" not in modality.text
    for kind in ("presence", "abnormal", "describe", "side", "count"):
        answer = looked(CT, kind, "liver", image=header)
        assert [(one.value, one.reason) for one in answer.impressions] == [(None, "header")]
        assert "Trust the header." in answer.text
        assert "liver" not in answer.text
    assert "Trust the header" not in looked(CT, "presence", "liver", image=HEADER).text


def test_the_header_agrees_and_adds() -> None:
    assert "The file's header agrees: it states the modality CT." in looked(CT, "modality", image=HEADER).text
    assert "The file's header states the modality CT." in looked(VAGUE, "modality", image=HEADER).text
    assert "states the body part ABDOMEN; where the two differ, trust" in looked(CT, "body_part", image=HEADER).text
    assert "states the side L" in looked(CT, "side", "liver lesion", image=HEADER).text


def test_the_header_of_another_image_is_trusted() -> None:
    assert "states the modality CT, so trust the header" in looked(STRANGE, "modality", image=HEADER).text
