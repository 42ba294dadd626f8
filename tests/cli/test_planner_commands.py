"""Commands around planners: teaching tools, comparing planners, and how fast they plan."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.cli.paths import EVALUATION
from mmedagent.protocol.card import CardExample, ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import ConflictError, InvalidRequestError

CARD = EVALUATION / "added_tools" / "cards" / "dose_estimate.json"
ASKS = (
    {"id": "1", "text": "Where is the liver?", "image": "CT", "expect": [["grounding"]], "prompts": ["liver"]},
    {"id": "2", "text": "What is gout?", "image": None, "expect": [["retrieval"]], "prompts": None},
    {"id": "3", "text": "Outline the spleen, please.", "image": "CT", "expect": [["grounded_segmentation"]],
     "prompts": ["spleen"]},
)  # fmt: skip

FEW = ("--steps", "1", "--threads", "1", "--old-asks", "64")


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def test_a_planner_that_has_not_learnt_its_tool_is_not_written(runner: CliRunner, tmp_path: Path) -> None:
    output, card = tmp_path / "planner", tmp_path / "card.json"
    asks = [example.ask for one in built_in_cards() for example in one.examples]
    old = tuple(CardExample(ask=ask, parameters={}) for ask in asks)
    card.write_text(
        ToolCard.model_validate_json(CARD.read_bytes()).model_copy(update={"examples": old}).model_dump_json()
    )
    found = runner.invoke(app, ["train", "add-tool", str(card), "--output", str(output), *FEW])
    assert isinstance(found.exception, ConflictError)
    assert "dose_estimate: only" in str(found.exception)
    assert "call the tool" in found.output
    assert "dose_estimate" in found.output
    assert [*tmp_path.iterdir()] == [card]


def test_a_folder_that_is_there_and_a_file_that_is_no_card_are_refused(runner: CliRunner, tmp_path: Path) -> None:
    there = runner.invoke(app, ["train", "add-tool", str(CARD), "--output", str(tmp_path)])
    assert isinstance(there.exception, ConflictError)
    (tmp_path / "card.json").write_text('{"name": "x"}')
    wrong = runner.invoke(app, ["train", "add-tool", str(tmp_path / "card.json"), "--output", str(tmp_path / "new")])
    assert isinstance(wrong.exception, InvalidRequestError)
    assert "is no tool card" in str(wrong.exception)


def test_planners_are_compared_with_what_they_have_taken_away(runner: CliRunner, tmp_path: Path) -> None:
    asks, figures = tmp_path / "asks.jsonl", tmp_path / "figures.json"
    asks.write_text("".join(f"{json.dumps(ask)}\n" for ask in ASKS))
    command = ["evaluate", "planners", str(asks), "--profile", "embedded", "--json", str(figures)]
    assert runner.invoke(app, command, catch_exceptions=False).exit_code == 0
    rows = json.loads(figures.read_text())["embedded"]
    assert list(rows) == ["as it is", "without image", "without LoRA"]
    assert rows["as it is"]["tools"]["value"] == 1.0
    assert rows["without image"]["tools"]["value"] < 1.0
    assert rows["without LoRA"] is None


def test_the_speed_of_plans_is_measured(runner: CliRunner, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    assert runner.invoke(app, ["bench", "plans", "--json", str(figures)], catch_exceptions=False).exit_code == 0
    row = json.loads(figures.read_text())
    assert row["plans"] > 0
    assert row["p50_ms"] <= row["p95_ms"]
    assert row["plans_per_second"] > 0
