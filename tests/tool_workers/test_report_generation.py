"""The report tool with small random networks: its results follow the card, and other images get no report."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from mmedagent.model_worker.compact.compose import report_generation as composed
from mmedagent.networks.report_generator import Draft
from mmedagent.networks.report_merge import Sentence
from mmedagent.protocol.errors import CancelledError, CheckpointError, InvalidParametersError, NotFoundError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.report_generation import ReportGenerationTool
from support.desk import desk
from support.report_checkpoint import tiny_checkpoint

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)


def call(number: int = 0, modality: str | None = None) -> ToolCall:
    digest = f"{number:064x}"
    image = ImageRef(sha256=digest, source_sha256=digest, width=8, height=8, modality=modality)
    return ToolCall(
        call_id=f"call-{number}", tool="report_generation", parameters={}, image=image, deadline_s=30,
        correlation_id="test",
    )  # fmt: skip


def loaded(folder: Path, **options: Any) -> ReportGenerationTool:
    tool = ReportGenerationTool(checkpoint=folder, **options)
    tool.load("cpu")
    return tool


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> ReportGenerationTool:
    return loaded(tiny_checkpoint(tmp_path_factory.mktemp("open")))


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> ReportGenerationTool:
    return loaded(tiny_checkpoint(tmp_path_factory.mktemp("shut"), frontal=False))


def ask(tool: ReportGenerationTool, image: NDArray[np.uint8] = IMAGE, modality: str | None = None) -> JsonObject:
    (outcome,) = tool.run([call(modality=modality)], desk(image))
    assert isinstance(outcome, ToolOutput), outcome
    Draft202012Validator(tool.card.result).validate(outcome.data)
    return outcome.data


def test_a_report_is_its_sentences(tool: ReportGenerationTool) -> None:
    data = ask(tool)
    sentences: Any = data["sentences"]
    for section in ("findings", "impression"):
        assert data[section] == " ".join(one["text"] for one in sentences if one["section"] == section) != ""
    assert "note" not in data
    linked = [one for one in sentences if one["finding"] is not None]
    assert linked
    chances: Any = data["probabilities"]
    assert all(one["probability"] == chances[one["finding"]] for one in linked)


def test_an_image_that_is_no_chest_radiograph_gets_no_report(shut: ReportGenerationTool) -> None:
    data = ask(shut)
    assert "not a chest X-ray" in str(data["note"])
    assert (data["findings"], data["probabilities"], data["sentences"]) == ("", {}, [])
    assert data["impression"] == data["note"]


def test_the_header_is_believed_before_the_network(tool: ReportGenerationTool) -> None:
    assert "modality CT" in str(ask(tool, modality="CT")["note"])
    assert "note" not in ask(tool, modality="DX")


def test_the_planner_says_why_there_is_no_report(shut: ReportGenerationTool) -> None:
    data = ask(shut)
    said = composed.sentences(data, Action(API_name="report_generation", API_params={}), None)
    assert said == [data["note"]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (600, 40, 3)])
def test_any_size_is_answered(tool: ReportGenerationTool, shape: tuple[int, ...]) -> None:
    ask(tool, np.zeros(shape, np.uint8))


def test_a_batch_has_one_outcome_a_call_in_order(tool: ReportGenerationTool) -> None:
    other = 255 - IMAGE
    blind = call(0).model_copy(update={"image": None})
    outcomes = tool.run([call(0), call(7), blind, call(1), call(0, modality="MR")], desk(IMAGE, other))
    assert isinstance(outcomes[1], NotFoundError)
    assert isinstance(outcomes[2], InvalidParametersError)
    assert isinstance(outcomes[4], ToolOutput)
    for outcome, image in ((outcomes[0], IMAGE), (outcomes[3], other)):
        assert isinstance(outcome, ToolOutput)
        together, alone = cast("list[dict[str, Any]]", outcome.data["sentences"]), ask(tool, image)["sentences"]
        for said, expected in zip(together, cast("list[dict[str, Any]]", alone), strict=True):
            assert said == {**expected, "probability": pytest.approx(expected["probability"], abs=1e-5)}
        assert outcome.preprocessing


def test_another_merger_can_take_the_place_of_the_rules(tmp_path: Path) -> None:
    class OneSentence:
        def merge(self, draft: Draft, probabilities: Any) -> tuple[Sentence, ...]:
            return (Sentence("All is said.", "impression", None, None, "generator"),)

    assert ask(loaded(tiny_checkpoint(tmp_path), merger=OneSentence()))["impression"] == "All is said."


def test_a_caller_who_left_gets_nothing(tool: ReportGenerationTool) -> None:
    with pytest.raises(CancelledError):
        tool.run([call()], desk(IMAGE, gone=True))


def test_the_card_names_the_checkpoint_once_it_is_loaded(tmp_path: Path) -> None:
    fresh = ReportGenerationTool(checkpoint=None)
    assert fresh.card.checkpoint_sha256 is None
    with pytest.raises(CheckpointError, match="needs a checkpoint"):
        fresh.load("cpu")
    with pytest.raises(CheckpointError, match="not loaded"):
        fresh.run([call()], desk(IMAGE))
    assert loaded(tiny_checkpoint(tmp_path)).card.checkpoint_sha256 is not None
