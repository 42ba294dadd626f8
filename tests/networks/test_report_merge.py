"""Reports made of a draft and of probabilities: nothing contradicts a probability, and nothing likely is left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedagent.networks.report_classifier import FINDINGS
from mmedagent.networks.report_generator import Draft, sentences_of
from mmedagent.networks.report_merge import NORMAL, RuleMerger, Sentence
from mmedagent.networks.report_sentences import Stance, graded, stance_for, stances_of
from mmedagent.training.phantoms.chest_words import write_report
from mmedagent.training.report_text import some_notes

DENIED, HEDGED, STATED = Stance.DENIED, Stance.HEDGED, Stance.STATED
NOTHING = dict.fromkeys(FINDINGS, 0.01)
POOL = sorted(
    {
        sentence
        for seed in range(80)
        for report in [write_report(np.random.default_rng(seed), some_notes(np.random.default_rng([7, seed])))]
        for text in (report.findings, report.impression)
        for sentence in sentences_of(text)
    }
    | {"A chest tube is in place.", "Possible small left effusion.", "The lungs are hyperinflated."}
)
"""Sentences that a generator can write, of all findings, sides and wordings."""

drafts = st.builds(
    Draft,
    st.lists(st.sampled_from(POOL), max_size=8).map(tuple),
    st.lists(st.sampled_from(POOL), max_size=4).map(tuple),
)
chances = st.fixed_dictionaries({name: st.floats(0, 1, allow_nan=False) for name in FINDINGS})


def merged(findings: tuple[str, ...], impression: tuple[str, ...] = (), **likely: float) -> tuple[Sentence, ...]:
    return RuleMerger().merge(
        Draft(findings, impression), NOTHING | {k.replace("_", " "): v for k, v in likely.items()}
    )


@given(draft=drafts, probabilities=chances)
def test_no_sentence_contradicts_the_classifier(draft: Draft, probabilities: dict[str, float]) -> None:
    sentences = RuleMerger().merge(draft, probabilities)
    for sentence in sentences:
        for name, stance in stances_of(sentence.text, FINDINGS).items():
            if sentence.text != NORMAL:
                assert stance is stance_for(probabilities[name]), sentence
            assert not (stance is STATED and probabilities[name] < 0.2)
            assert not (stance is DENIED and probabilities[name] >= 0.5)


@given(draft=drafts, probabilities=chances)
def test_every_likely_finding_is_stated_once_in_both_sections(draft: Draft, probabilities: dict[str, float]) -> None:
    sentences = RuleMerger().merge(draft, probabilities)
    for section in ("findings", "impression"):
        said = [stances_of(one.text, FINDINGS) for one in sentences if one.section == section]
        assert said
        for name in FINDINGS:
            mentions = [stances[name] for stances in said if name in stances]
            assert len(mentions) <= 1
            assert probabilities[name] < 0.5 or mentions == [STATED]
            assert section == "impression" or mentions


@given(draft=drafts, probabilities=chances)
def test_every_sentence_is_linked_to_a_finding_it_speaks_of(draft: Draft, probabilities: dict[str, float]) -> None:
    for sentence in RuleMerger().merge(draft, probabilities):
        spoken = stances_of(sentence.text, FINDINGS)
        assert (sentence.finding is None) == (not spoken)
        if sentence.finding is not None:
            assert sentence.finding in spoken
            assert sentence.probability == probabilities[sentence.finding]
        assert sentence.source == "classifier" or sentence.text in (*draft.findings, *draft.impression)


def test_a_draft_that_agrees_is_kept_word_for_word() -> None:
    text = "There is a moderate right pleural effusion."
    sentences = merged((text, "The lungs are clear."), ("Moderate right pleural effusion.",), pleural_effusion=0.97)
    assert sentences[0] == Sentence(text, "findings", "pleural effusion", 0.97, "generator")
    assert sentences[1].source == "generator"
    assert sentences[-1] == Sentence(
        "Moderate right pleural effusion.", "impression", "pleural effusion", 0.97, "generator"
    )


def test_a_draft_that_is_wrong_is_put_right() -> None:
    sentences = merged(
        ("No pleural effusion or pneumothorax is seen.",), ("Normal chest radiograph.",), pneumothorax=0.95
    )
    texts = [sentence.text for sentence in sentences]
    assert texts[0] == "The image clearly shows a pneumothorax."
    assert "There is no sign of a pleural effusion." in texts
    assert "Normal chest radiograph." not in texts
    assert texts[-1] == "The image clearly shows a pneumothorax."


def test_fragments_and_repetitions_are_dropped() -> None:
    assert sentences_of("the heart is enlarged . . is seen . no nod") == ("The heart is enlarged.", "Is seen.")
    sentences = merged(("Is seen.", "A tube is in place.", "A tube is in place."))
    assert [one.text for one in sentences if one.source == "generator"] == ["A tube is in place."]


def test_a_healthy_chest_has_an_impression() -> None:
    assert merged((), ())[-1].text == NORMAL
    assert merged((), ("No acute abnormality.",))[-1].source == "generator"


@pytest.mark.parametrize("finding", [*FINDINGS, "Pleural Effusion", "Edema", "atelectasis"])
@pytest.mark.parametrize("chance", [0.0, 0.19, 0.2, 0.49, 0.5, 0.89, 0.9, 1.0])
def test_graded_words_mean_what_the_probability_does(finding: str, chance: float) -> None:
    assert stances_of(graded(finding, chance), [finding.lower()]) == {finding.lower(): stance_for(chance)}


def test_the_four_grades_are_worded_differently() -> None:
    assert len({graded("pneumothorax", chance) for chance in (0.1, 0.3, 0.7, 0.95)}) == 4


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("No pleural effusion or pneumothorax is seen.", {"pleural effusion": DENIED, "pneumothorax": DENIED}),
        ("A small left effusion without pneumothorax.", {"pleural effusion": STATED, "pneumothorax": DENIED}),
        ("No pneumothorax, but there is a nodule.", {"pneumothorax": DENIED, "lung nodule": STATED}),
        ("The heart is not enlarged.", {"cardiomegaly": DENIED}),
        ("Heart size is within normal limits.", {"cardiomegaly": DENIED}),
        ("The cardiothoracic ratio is increased.", {"cardiomegaly": STATED}),
        ("The costophrenic angles are clear.", {"pleural effusion": DENIED}),
        ("The left costophrenic angle is blunted.", {"pleural effusion": STATED}),
        ("Possible consolidation in the left lower zone.", {"consolidation": HEDGED}),
        ("A pneumothorax is not seen.", {"pneumothorax": DENIED}),
        ("No focal airspace disease.", {"consolidation": DENIED}),
        ("A tube ends in the stomach.", {}),
    ],
)
def test_sentences_are_understood(sentence: str, expected: dict[str, Stance]) -> None:
    assert stances_of(sentence, FINDINGS) == expected


def test_clear_lungs_deny_what_would_be_in_them_and_a_normal_chest_denies_everything() -> None:
    assert stances_of("The lungs are clear.", FINDINGS) == dict.fromkeys(
        ("consolidation", "infiltration", "lung nodule"), DENIED
    )
    assert stances_of("No acute abnormality.", FINDINGS) == dict.fromkeys(FINDINGS, DENIED)


def test_reports_of_phantoms_are_understood() -> None:
    for seed in range(150):
        rng = np.random.default_rng([8, seed])
        notes = some_notes(rng)
        report = write_report(rng, notes)
        said: dict[str, Stance] = {}
        for sentence in sentences_of(f"{report.findings} {report.impression}"):
            said |= stances_of(sentence, FINDINGS)
        assert said == {name: STATED if name in {note.finding for note in notes} else DENIED for name in FINDINGS}, (
            report
        )
