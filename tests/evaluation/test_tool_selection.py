"""Tool selection: files of asks, scores, and the command, with a planner here and with a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmedagent.cli.ask_pictures import as_file
from mmedagent.cli.first_plans import FirstPlans
from mmedagent.cli.main import app
from mmedagent.evaluation.tool_selection.asks import AskCase, read_asks, read_dialogues
from mmedagent.evaluation.tool_selection.scores import Planned, Selection, score, share
from mmedagent.model_worker.scripted import ScriptedPlanner
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import InvalidRequestError
from support.script import action, answer, plan, rule, told, write_script
from support.system import running_system
from support.tools import EchoTool

FILE = Path(__file__).parents[2] / "evaluation" / "tool_selection" / "held_out.jsonl"


def ask(number: int, text: str, *expect: tuple[str, ...], **fields: object) -> AskCase:
    return AskCase.model_validate({"id": str(number), "text": text, "expect": expect, **fields})


def planned(*calls: tuple[str, list[str]], seconds: float = 0.1) -> Planned:
    return Planned(tuple(action(name, prompts=names) for name, names in calls), seconds)


def write(folder: Path, asks: list[AskCase]) -> Path:
    path = folder / "asks.jsonl"
    path.write_text("\n".join(one.model_dump_json() for one in asks), "utf-8")
    return path


def test_scores_of_right_wrong_and_malformed_plans() -> None:
    rows = [
        (ask(1, "a", ("grounding",), prompts=["left kidney", "spleen"], category="find"),
         planned(("grounding", ["Spleen", "the left kidney"]), seconds=0.3)),
        (ask(2, "b", ("grounding",), prompts=["liver"], category="find"), planned(("grounding", ["liver lobe"]))),
        (ask(3, "c", ("grounding", "retrieval"), ("retrieval", "grounding")),
         planned(("retrieval", []), ("grounding", []))),
        (ask(4, "d", ()), planned(("grounding", []))),
        (ask(5, "e", (), category="chat"), Planned(None, 0.2)),
        (ask(6, "f", (), category="chat"), planned()),
    ]  # fmt: skip
    result = score("tested", rows)
    assert (result.tools.value, result.tools.count) == (4 / 6, 6)
    assert {name: value.value for name, value in result.by_category.items()} == {
        "chat": 0.5, "find": 1.0, "grounding + retrieval": 1.0, "no tool": 0.0,
    }  # fmt: skip
    assert (result.arguments.value, result.arguments.count) == (0.5, 2)
    assert result.parsed.value == 5 / 6
    assert result.wrong == ("4", "5")
    assert {(one.wanted, one.found) for one in result.confusions} == {
        ("no tool", "grounding"), ("no tool", "malformed"),
    }  # fmt: skip
    assert result.p50_ms == pytest.approx(100)


def test_the_interval_is_that_of_wilson() -> None:
    whole = share([True] * 95 + [False] * 5)
    assert whole.low == pytest.approx(0.8882, abs=1e-4)
    assert whole.high == pytest.approx(0.9785, abs=1e-4)
    assert share([]).count == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2"),
        ('{"id": "1", "text": "a", "expect": [[]]}', "occurs twice"),
        ('{"id": "2", "text": "a", "expect": []}', "expect"),
        ('{"id": "2", "text": "a", "expect": [["grounding"]], "tool": 1}', "tool"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = write(tmp_path, [ask(1, "a", ())])
    path.write_text(f"{path.read_text('utf-8')}\n{line}", "utf-8")
    with pytest.raises(InvalidRequestError, match=why):
        read_asks(path)


def test_an_empty_or_missing_file_and_an_unknown_modality_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_asks(tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InvalidRequestError, match="holds 0 lines"):
        read_asks(tmp_path / "empty.jsonl")
    with pytest.raises(InvalidRequestError, match="neither a modality"):
        as_file("aura", tmp_path)


def test_the_held_out_asks_are_many_and_name_known_tools() -> None:
    asks = read_asks(FILE)
    known = {card.name for card in built_in_cards()}
    assert len(asks) >= 300
    assert {tool for one in asks for tools in one.expect for tool in tools} <= known
    for one in asks:
        assert all(name.casefold() in one.text.casefold() for name in one.prompts or ()), one.id


def test_a_planner_in_this_process_is_asked_with_picture_and_cards(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    rules = [rule("find", plan(action("grounding", prompts=["liver"]))), rule("", answer("Hello."))]
    script.write_text(write_script(rules), "utf-8")
    planner = ScriptedPlanner(checkpoint=script)
    planner.load("cpu")
    asking = FirstPlans(planner, built_in_cards())
    assert asking(ask(1, "find it", ("grounding",), image="CT")).tools == ("grounding",)
    assert asking(ask(2, "hello", ())).tools == ()


def test_the_command_measures_the_embedded_planner(tmp_path: Path) -> None:
    path = write(tmp_path, [ask(1, "Where is the liver?", ("grounding",), image="CT", prompts=["liver"])])
    written = tmp_path / "figures.json"
    result = CliRunner().invoke(app, ["evaluate", "tool-selection", str(path), "--json", str(written)])
    assert result.exit_code == 0, result.output
    assert "100.0 %" in result.output
    figures = Selection.model_validate_json(written.read_text("utf-8"))
    assert (figures.tools.value, figures.arguments.value, figures.parsed.value) == (1, 1, 1)


def test_the_command_measures_whole_turns_of_a_server(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        [
            ask(1, "say it twice", ("echo", "echo"), image="CT", prompts=[]),
            ask(2, "be quiet", ("echo",)),
        ],
    )
    rules = [told("twice", action("echo", text="a"), action("echo", text="b")), rule("", answer("Hello."))]
    written = tmp_path / "figures.json"
    with running_system(tmp_path / "system", rules, [EchoTool()]) as system:
        arguments = ["evaluate", "tool-selection", str(path), "--url", system.url, "--json", str(written)]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(written.read_text("utf-8"))
    assert figures["wrong"] == ["2"]
    assert figures["confusions"] == [{"wanted": "echo", "found": "no tool", "times": 1}]


def test_the_command_measures_dialogues_turn_by_turn(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    turns = [{"text": "say it", "expect": [["echo"]]}, {"text": "thanks", "expect": [[]]}]
    rows = [{"id": name, "image": "CT", "turns": turns} for name in ("a", "b")]
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    written = tmp_path / "figures.json"
    script = [told("say it", action("echo", text="a")), rule("", answer("You are welcome."))]
    with running_system(tmp_path / "system", script, [EchoTool()]) as system:
        arguments = ["evaluate", "dialogues", str(path), "--url", system.url, "--json", str(written)]
        result = CliRunner().invoke(app, arguments)
        conversations = system.http.get("/v1/conversations").json()["data"]
    assert result.exit_code == 0, result.output
    figures = Selection.model_validate_json(written.read_text("utf-8"))
    assert {name: (one.value, one.count) for name, one in figures.by_category.items()} == {
        "turn 1": (1.0, 2), "turn 2": (1.0, 2),
    }  # fmt: skip
    assert len(conversations) == 2


def test_the_held_out_dialogues_are_many_and_have_several_turns() -> None:
    dialogues = read_dialogues(FILE.with_name("dialogues.jsonl"))
    known = {card.name for card in built_in_cards()}
    assert len(dialogues) >= 100
    assert all(2 <= len(one.turns) <= 5 for one in dialogues)
    assert {tool for one in dialogues for turn in one.turns for tools in turn.expect for tool in tools} <= known
