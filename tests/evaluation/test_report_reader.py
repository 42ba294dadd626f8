"""The reader of reports agrees with what was drawn on every wording of the phantoms, and knows hedges and denials."""

from __future__ import annotations

import numpy as np
import pytest

from mmedagent.evaluation.tool_quality.report_reader import TERMS, Stance, disagreements, read_report, stated
from mmedagent.training.phantoms import generate


def test_reports_of_phantoms_state_what_was_drawn_and_deny_the_rest() -> None:
    read = 0
    for seed in range(80):
        phantom = generate("xray", np.random.default_rng(seed), 64)
        if phantom.report is not None:
            statements = read_report(phantom.report.findings, phantom.report.impression)
            assert stated(statements) == set(phantom.findings), phantom.report
            denied = {one.finding for one in statements if one.stance == "denied"}
            assert denied == set(TERMS) - set(phantom.findings), phantom.report
            assert not disagreements(statements)
            read += 1
    assert read >= 40


@pytest.mark.parametrize(
    ("sentence", "finding", "stance"),
    [
        ("Bilateral pleural effusions are present.", "pleural effusion", "stated"),
        ("No pleural effusion or pneumothorax.", "pneumothorax", "denied"),
        ("A pneumothorax is not seen.", "pneumothorax", "denied"),
        ("A nodule cannot be excluded.", "lung nodule", "hedged"),
        ("A pneumothorax is unlikely but not ruled out.", "pneumothorax", "hedged"),
        ("Infiltration is likely.", "infiltration", "stated"),
        ("There is no sign of lung nodule.", "lung nodule", "denied"),
        ("There may be a small effusion on the left.", "pleural effusion", "hedged"),
        ("The heart is moderately enlarged.", "cardiomegaly", "stated"),
        ("The heart is not enlarged.", "cardiomegaly", "denied"),
        ("No effusion, but there is consolidation in the left lower zone.", "consolidation", "stated"),
        ("The lungs are clear.", "infiltration", "denied"),
    ],
)
def test_what_a_sentence_says(sentence: str, finding: str, stance: Stance) -> None:
    assert [one.stance for one in read_report(sentence) if one.finding == finding] == [stance]


def test_sentences_that_disagree() -> None:
    statements = read_report("There is a right pneumothorax.", "No pneumothorax.")
    assert disagreements(statements) == {"pneumothorax"}
    assert stated(statements) == {"pneumothorax"}
    assert disagreements(read_report("The heart is enlarged.", "No abnormality is seen.")) == {"cardiomegaly"}
    assert not read_report("")
