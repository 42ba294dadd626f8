"""Classification, reports and retrieval, measured on tools whose answers are written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mmedagent.evaluation.tool_quality import classification, reports, retrieval
from mmedagent.evaluation.tool_quality.cases import Case
from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.quality_tools import WrittenTool, value


def scan(number: int) -> Case:
    """An even picture that is a CT."""
    return Case("ct", np.full((8, 8), number, np.uint8), labels={"modality": frozenset({"CT"})})


def labelled(answers: Mapping[int, tuple[list[str], list[float]]]) -> WrittenTool:
    """Answers by the brightness of the first pixel."""

    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        labels, chances = answers[int(context.frame(call.image)[0, 0])]
        data: Any = {"labels": labels, "probabilities": chances, "task": call.parameters["task"]}
        return ToolOutput(data)

    return WrittenTool("classification", answer)


def test_classification_counts_right_answers_and_abstentions() -> None:
    tool = labelled(
        {
            0: (["CT", "MRI"], [0.8, 0.2]),
            1: (["MRI", "CT"], [0.6, 0.4]),
            2: ([], []),
            3: ([classification.NOT_MEDICAL, "CT"], [0.7, 0.3]),
        }
    )
    figures = classification.measure(Driver(tool), [scan(number) for number in range(4)])
    assert value(figures, "modality on phantoms") == 0.25
    assert value(figures, "answered at all", "modality on phantoms") == 0.5
    assert value(figures, "ct", "modality on phantoms") == 0.25
    assert value(figures, "anatomy on phantoms") is None


def test_calibration_error_of_ten_bins() -> None:
    assert classification.calibration_error([0.95, 0.95, 0.95, 0.95], [True, True, True, False]) == pytest.approx(0.2)
    assert classification.calibration_error([1.0, 0.0], [True, False]) == 0.0
    assert classification.calibration_error([], []) is None


def test_real_images_and_pictures_that_are_not_medical() -> None:
    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        frame = context.frame(call.image)
        flat = frame.ndim == 3 and bool((np.ptp(frame.astype(np.int16), axis=2) < 30).mean() < 0.5)
        data: Any = {"labels": [] if flat else ["CT", "MRI"], "probabilities": [] if flat else [0.9, 0.1], "task": ""}
        return ToolOutput(data)

    driver = Driver(WrittenTool("classification", answer))
    figures = classification.measure_real(driver, "development")
    assert value(figures, "CT_small", figures[0].name) == 1.0
    assert value(figures, "examples_overlay", figures[0].name) == 0.0
    assert not figures[0].met
    assert figures[1].name == "abstention on other modalities, development half"
    assert value(figures, "retina", figures[1].name) == 1.0
    assert value(figures, "examples_rgb_color", figures[1].name) == 0.0
    silent = classification.measure_abstention(driver, "development")
    assert silent[0].value is not None
    assert 0 < silent[0].value < 1
    assert silent[0].count == sum(one.count for one in silent[1:])


def reporter(reported: Mapping[int, tuple[str, dict[str, float]]]) -> WrittenTool:
    """Writes by the brightness of the first pixel."""

    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        text, chances = reported[int(context.frame(call.image)[0, 0])]
        data: JsonObject = {"findings": text, "impression": "", "probabilities": {**chances}}
        return ToolOutput(data)

    return WrittenTool("report_generation", answer)


def chest(number: int, *findings: str, view: str = reports.CHEST_RADIOGRAPH) -> Case:
    return Case("xray", np.full((8, 8), number, np.uint8), findings=frozenset(findings), view=view)


def test_reports_are_read_and_held_against_truth_and_classifier() -> None:
    tool = reporter(
        {
            0: (
                "There is a small left pleural effusion. No pneumothorax.",
                {"pleural effusion": 0.9, "pneumothorax": 0.1},
            ),
            1: ("The lungs are clear. The heart is enlarged.", {"cardiomegaly": 0.2}),
            2: ("No pleural effusion.", {"pleural effusion": 0.7}),
            3: ("This is not a chest radiograph, so no report is written.", {}),
        }
    )
    cases = [
        chest(0, "pleural effusion"),
        chest(1, "cardiomegaly"),
        chest(2, "pleural effusion"),
        chest(3, view="CT abdomen"),
        chest(1, view="MR brain"),
    ]
    figures = reports.measure(Driver(tool), cases)
    label = "macro F1 of stated findings"
    assert value(figures, "pleural effusion", label) == pytest.approx(2 / 3)
    assert value(figures, "cardiomegaly", label) == 1.0
    assert value(figures, label) == pytest.approx(5 / 6)
    assert value(figures, "contradictions with the classifier or in the text") == 2
    assert value(figures, "other images refused") == 0.5
    assert value(figures, "chest radiographs reported") == 1.0


def test_retrieval_counts_the_right_section_among_three() -> None:
    found: Mapping[str, list[tuple[str, str]]] = {
        "a": [("Gout", "Treatment"), ("Gout", "Overview")],
        "b": [("Gout", "Overview"), ("Gout", "Symptoms")],
        "c": [],
        "d": [],
        "e": [("Gout", "Overview")],
    }

    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        rows: Any = [{"condition": name, "section": section} for name, section in found[str(call.parameters["query"])]]
        return ToolOutput({"passages": rows})

    questions = retrieval.read_questions(
        """
        [held_out]
        on_topic = [["a", "Gout", "Treatment"], ["b", "Gout", "Symptoms"], ["c", "Gout", "Overview"]]
        off_topic = ["d", "e"]
        """
    )
    figures = retrieval.measure(Driver(WrittenTool("retrieval", answer)), questions)
    assert figures[0].value == pytest.approx(2 / 3)
    assert value(figures, "right section first", figures[0].name) == pytest.approx(1 / 3)
    assert value(figures, "questions without an answer left unanswered") == 0.5
    assert figures[-1].met


def test_questions_may_be_tables_or_a_list_of_three_texts() -> None:
    rows = retrieval.read_questions('x = [{question = "q", condition = "c", section = "s"}]\ny = ["1", "2", "3"]')
    assert rows == [
        retrieval.Question("q", "c", "s"), retrieval.Question("1"), retrieval.Question("2"), retrieval.Question("3"),
    ]  # fmt: skip
    with pytest.raises(InvalidRequestError, match="no questions"):
        retrieval.read_questions("")
