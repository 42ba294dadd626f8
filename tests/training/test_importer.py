"""Instruction data: what is a dialogue, what is not and is said so, and that nothing is lost on the way out and in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.planner_format import render_plan
from mmedagent.training.instructions.dialogues import row_of
from mmedagent.training.instructions.examples import examples
from mmedagent.training.instructions.export import dialogues
from mmedagent.training.instructions.importer import MAX_EXCHANGES, read_dialogues

ASKED = {"from": "human", "value": "<image>\nWhere is the liver?"}
LOOK = {
    "from": "gpt",
    "thoughts": "I will find the liver.",
    "actions": [{"API_name": "grounding dino", "API_params": {"prompts": ["liver"], "image": "<imagepath>"}}],
    "value": "Let me look.",
}
SHOWN = {"from": "human", "value": "grounding dino output: {'boxes': []}\n\nAnswer my first question: Where is it?"}
TOLD = {"from": "gpt", "thoughts": "Nothing was found.", "actions": [], "value": "It is not in the image."}
ROW: dict[str, Any] = {"image_id": "7", "image": "ct/7.png", "conversations": [ASKED, LOOK, SHOWN, TOLD]}


def file_of(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    return path


def with_turn(place: int, **changes: Any) -> dict[str, Any]:
    turns = [dict(turn) for turn in ROW["conversations"]]
    turns[place] |= changes
    return {**ROW, "conversations": turns}


def test_a_row_of_mmedagent_is_a_dialogue(tmp_path: Path) -> None:
    (dialogue,) = read_dialogues(file_of(tmp_path, ROW)).dialogues
    assert (dialogue.name, dialogue.image) == ("7", "ct/7.png")
    first, second = dialogue.exchanges
    assert first.said == "Where is the liver?"
    assert first.plan.actions == (Action(API_name="grounding dino", API_params={"prompts": ["liver"]}),)
    assert second.said == SHOWN["value"]
    assert second.plan == Plan(thoughts="Nothing was found.", value="It is not in the image.")


def test_a_plain_reply_is_a_plan_without_actions_and_a_written_out_plan_is_read(tmp_path: Path) -> None:
    plan = Plan(thoughts="I look.", actions=(Action(API_name="MedSAM"),), value="Wait.")
    plain = {"id": 3, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello. "}]}
    written = {
        "id": 4,
        "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": render_plan(plan)}],
    }
    one, two = read_dialogues(file_of(tmp_path, plain, written)).dialogues
    assert (one.name, one.image, one.exchanges[0].plan) == ("3", "", Plan(thoughts="", value="Hello."))
    assert two.exchanges[0].plan == plan


@pytest.mark.parametrize("asked", ["<image>\nWhere?", "Where?\n<image>", "<image>Where?"])
def test_the_image_stands_before_the_words_wherever_the_marker_was(tmp_path: Path, asked: str) -> None:
    (dialogue,) = read_dialogues(file_of(tmp_path, with_turn(0, value=asked))).dialogues
    assert dialogue.exchanges[0].said == "Where?"
    conversations: Any = row_of(dialogue)["conversations"]
    assert conversations[0]["value"] == "<image>\nWhere?"


def test_what_is_exported_is_imported_and_exported_the_same(tmp_path: Path) -> None:
    rows = dialogues(examples("test", each=1, joined=20, seed=1), seed=1)
    imported = read_dialogues(file_of(tmp_path, *rows))
    assert [row_of(dialogue) for dialogue in imported.dialogues] == rows
    assert not imported.left_out
    assert not imported.ignored


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (["a list"], "it is no JSON object"),
        ({**ROW, "conversations": []}, "conversations are no list"),
        ({**ROW, "conversations": [ASKED]}, "conversations are no list"),
        ({**ROW, "conversations": [ASKED, LOOK] * (MAX_EXCHANGES + 1)}, "conversations are no list"),
        ({**ROW, "conversations": [LOOK, ASKED]}, "in turn"),
        ({**ROW, "image": "../7.png"}, "outside the folder"),
        ({**ROW, "image": "/etc/7.png"}, "outside the folder"),
        ({**ROW, "image": "http://host/7.png"}, "outside the folder"),
        ({**ROW, "image": 7}, "no path"),
        ({**ROW, "image": ""}, "names no image"),
        (with_turn(0, value="Where?"), "does not hold <image> once"),
        (with_turn(0, value="<image>\n<image>\nWhere?"), "does not hold <image> once"),
        (with_turn(0, value="<image>\n "), "first question is empty"),
        (with_turn(0, value="x" * 20_001), "question is not one text"),
        (with_turn(0, weight=1), "question is not one text"),
        (with_turn(2, value="<image>\nAnd here?"), "later question holds <image>"),
        (with_turn(1, value=None), "neither a value alone nor"),
        (with_turn(1, weight=1), "neither a value alone nor"),
        (with_turn(1, actions="[]"), "not a list"),
        (with_turn(1, actions=[{"name": "MedSAM"}]), "API_name and API_params"),
        (with_turn(1, actions=[{"API_name": "MedSAM"}] * 9), "over its bounds"),
        (with_turn(3, value=" "), "neither actions nor a value"),
        ({**ROW, "image_id": ["7"]}, "neither text nor a number"),
    ],
)
def test_a_row_that_is_no_dialogue_is_named_or_left_out_and_counted(tmp_path: Path, row: Any, problem: str) -> None:
    path = file_of(tmp_path, ROW, row)
    with pytest.raises(InvalidRequestError, match=r"^rows\.json, row 2") as caught:
        read_dialogues(path)
    assert problem in caught.value.detail
    imported = read_dialogues(path, leave_out=True)
    assert len(imported.dialogues) == 1
    assert imported.left_out.total() == 1


def test_fields_that_are_not_read_are_counted(tmp_path: Path) -> None:
    imported = read_dialogues(file_of(tmp_path, {**ROW, "domain": {"ct": True}}, ROW))
    assert dict(imported.ignored) == {"domain": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'[{"id": 1},\n {]', "not valid JSON, line 2"),
        (b'[{"id": 1, "id": 2}]', "not valid JSON"),
        (b'{"id": 1}\n{"id": 2}', "not one JSON list"),
        (b'["\xff"]', "not UTF-8"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=problem):
        read_dialogues(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="There is no file"):
        read_dialogues(tmp_path / "rows.json")
