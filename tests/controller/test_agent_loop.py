"""What becomes of the actions of a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.store.models import FileRow
from mmedagent.serving.tool import Tool
from support.images import png_bytes
from support.problems import assert_problem
from support.script import action, answer, plan, rule, told
from support.system import System, running_controller, running_system
from support.tools import ONE_BOX, BrokenTool, EchoTool, MaskTool, MeetingTool, NothingTool, StagesTool

BOXES = [[0.0, 0.0, 1.0, 1.0], [0.25, 0.25, 0.5, 0.5]]
ROUND = plan(action("echo", text="again"))
RULES = [
    told("stages", action("stages", text="done")),
    told("together", action("meeting"), action("meeting")),
    told("chain", action("echo", boxes=BOXES), action("echo", boxes="$1.boxes"), action("echo", boxes=["$2.boxes"])),
    told("empty", action("nothing"), action("echo", boxes="$1.boxes"), action("echo", boxes="$2.boxes")),
    told("break", action("broken"), action("echo", boxes="$1.boxes"), action("echo", text="alone")),
    told("unknown tool", action("xray"), action("echo", text="alone")),
    told("forward", action("echo", boxes="$2.boxes"), action("echo")),
    told("itself", action("echo", boxes="$1.boxes")),
    told("no field", action("echo"), action("echo", text="$1.words")),
    told("words in a box", action("echo", text="here"), action("echo", boxes="$1.text")),
    told("outside", action("echo", boxes=[[0, 0, 2, 2]])),
    told("no image", action("mask")),
    told("aliases", action(" Grounding DINO ", text="a"), action("BiomedClip", text="b")),
    told("my file", action("mask", image="file-mine")),
    told("foreign file", action("mask", image="file-foreign")),
    told("no file", action("mask", image="file-0")),
    told("a path", action("mask", image="/etc/passwd")),
    told("long id", action("mask", image="a" * 15_000)),
    told("no id", action("mask", image=["file-mine"])),
    rule("twice", ROUND, plan(action("echo", boxes="$1.boxes")), answer("{1} {2}")),
    rule("four rounds", *[ROUND] * 4, answer("{4}")),
    rule("five rounds", *[ROUND] * 5, answer("Never.")),
    rule("", answer("Fine.")),
]


@pytest.fixture(scope="module")
def stages() -> StagesTool:
    return StagesTool()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, stages: StagesTool) -> Iterator[System]:
    tools: list[Tool] = [EchoTool(), MaskTool(), BrokenTool(), NothingTool(), MeetingTool(), stages]
    tools.append(EchoTool("grounding", aliases=("grounding dino",)))
    tools.append(EchoTool("classification", aliases=("BiomedClip",)))
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools) as running:
        _add_files(running)
        yield running


def _add_files(system: System) -> None:
    """One file of the user's with a known id, and one of somebody else's."""
    file_id = system.upload(png_bytes(24, 16))
    engine = sa.create_engine(system.settings.database)
    with Session(engine) as session, session.begin():
        row = session.get_one(FileRow, file_id)
        columns = {column.key: getattr(row, column.key) for column in sa.inspect(FileRow).columns}
        session.add(FileRow(**columns | {"id": "file-mine"}))
        session.add(FileRow(**columns | {"id": "file-foreign", "owner": "somebody else"}))
    engine.dispose()


def calls(system: System, question: str) -> list[dict[str, Any]]:
    """The tool calls of a question whose turn completes, in order."""
    return [item for item in system.outputs(question) if item["type"] == "mcp_call"]


def data_of(call: dict[str, Any]) -> dict[str, Any]:
    assert call["status"] == "completed", call
    data = json.loads(call["output"])["data"]
    assert isinstance(data, dict)
    return data


def reason_of(call: dict[str, Any], status: str) -> str:
    assert (call["status"], call["output"]) == (status, None)
    return str(call["error"]["content"][0]["text"])


def test_independent_actions_run_at_the_same_time(system: System) -> None:
    first, second = calls(system, "together")
    assert data_of(first) == data_of(second) == {"boxes": ONE_BOX}


def test_a_result_is_handed_on_by_reference(system: System) -> None:
    first, second, third = calls(system, "chain")
    assert data_of(first)["boxes"] == data_of(second)["boxes"] == BOXES
    assert json.loads(second["arguments"]) == {"boxes": BOXES}
    assert "boxes.0" in reason_of(third, "failed")


def test_what_depends_on_nothing_found_is_skipped_and_so_is_what_depends_on_that(system: System) -> None:
    nothing, second, third = calls(system, "empty")
    assert data_of(nothing)["boxes"] == []
    assert "Action 1" in reason_of(second, "incomplete")
    assert "Action 2" in reason_of(third, "incomplete")


def test_a_failure_is_disclosed_and_harms_only_what_depends_on_it(system: System) -> None:
    found = {call["status"]: call for call in calls(system, "break")}
    assert reason_of(found["failed"], "failed") == "The scanner is on fire."
    assert "Action 1" in reason_of(found["incomplete"], "incomplete")
    assert data_of(found["completed"])["text"] == "alone"
    told_user = system.outputs("break")[-1]["content"][0]["text"]
    assert "broken failed: The scanner is on fire." in told_user
    assert "echo was not run" in told_user


def test_a_tool_that_is_not_there_is_a_failure(system: System) -> None:
    missing, second = calls(system, "unknown tool")
    assert "not available" in reason_of(missing, "failed")
    assert data_of(second)["text"] == "alone"


@pytest.mark.parametrize(
    ("question", "number", "words"),
    [
        ("forward", 0, "does not come before"),
        ("itself", 0, "does not come before"),
        ("no field", 1, "words"),
        ("words in a box", 1, "boxes"),
        ("outside", 0, "maximum"),
        ("no image", 0, "image"),
        ("foreign file", 0, "no file"),
        ("no file", 0, "no file"),
        ("a path", 0, "image"),
        ("long id", 0, "image"),
        ("no id", 0, "image"),
    ],
)
def test_an_action_that_makes_no_sense_is_a_failure(system: System, question: str, number: int, words: str) -> None:
    assert words in reason_of(calls(system, question)[number], "failed")


def test_an_image_can_be_named_by_its_file(system: System) -> None:
    (mask,) = calls(system, "my file")
    assert data_of(mask)["text"] == "(16, 24, 3)"
    (artifact,) = json.loads(mask["output"])["artifacts"]
    kept = system.http.get(f"/v1/artifacts/{artifact['sha256']}")
    assert (kept.status_code, kept.headers["content-type"]) == (200, "image/png")
    assert kept.content.startswith(b"mask of ")


def test_tools_answer_to_their_aliases(system: System) -> None:
    first, second = calls(system, "aliases")
    assert (first["name"], second["name"]) == ("grounding", "classification")
    assert (data_of(first)["text"], data_of(second)["text"]) == ("a", "b")


def test_a_later_plan_uses_an_earlier_result(system: System) -> None:
    items = system.outputs("twice")
    kinds = [item["type"] for item in items]
    assert kinds == ["reasoning", "mcp_call", "reasoning", "mcp_call", "reasoning", "message"]
    assert data_of(items[3])["boxes"] == data_of(items[1])["boxes"]
    assert items[-1]["content"][0]["text"].count("boxes") == 2


def test_there_are_at_most_so_many_rounds(system: System) -> None:
    assert len(calls(system, "four rounds")) == 4
    answer = system.respond("five rounds")
    assert_problem(answer, 502, "malformed_plan")
    assert "4 rounds" in answer.json()["detail"]


def test_tools_can_be_kept_from_the_planner(system: System) -> None:
    answer = system.respond("chain", allowed_tools=["mask"])
    assert "not available" in reason_of(answer.json()["output"][1], "failed")


def test_a_plan_can_be_made_without_running_it(system: System) -> None:
    before = len(system.http.get("/v1/conversations").json()["data"])
    answer = system.http.post("/v1/plans", json={"messages": [{"role": "user", "content": "chain"}]})
    assert answer.json()["actions"][1] == {"API_name": "echo", "API_params": {"boxes": "$1.boxes"}}
    assert len(system.http.get("/v1/conversations").json()["data"]) == before


def test_a_tool_can_be_called_without_the_planner(system: System) -> None:
    called = system.http.post("/v1/tools/mask/invoke", json={"file_id": "file-mine"})
    assert called.status_code == 200
    assert system.http.get(f"/v1/artifacts/{called.json()['artifacts'][0]['sha256']}").status_code == 200
    foreign = system.http.post("/v1/tools/mask/invoke", json={"file_id": "file-foreign"})
    assert_problem(foreign, 404, "not_found")


def test_the_image_of_a_direct_call_can_be_a_parameter(system: System) -> None:
    called = system.http.post("/v1/tools/echo/invoke", json={"parameters": {"image": "file-mine"}})
    assert len(called.json()["provenance"]["input_sha256"]) == 2
    body = {"parameters": {"image": "file-foreign"}, "file_id": "file-mine"}
    assert_problem(system.http.post("/v1/tools/echo/invoke", json=body), 404, "not_found")


def test_without_a_planner_nothing_is_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_controller(tmp_path_factory.mktemp("alone")) as alone:
        for path, key in (("responses", "input"), ("chat/completions", "messages"), ("plans", "messages")):
            for stream in (False, True):
                body = {key: [{"role": "user", "content": "Hi"}], "stream": stream}
                answer = alone.http.post(f"/v1/{path}", json=body)
                assert_problem(answer, 503, "unavailable")
                assert int(answer.headers["retry-after"]) >= 1
        assert alone.http.get("/v1/conversations").json()["data"] == []
        assert_problem(alone.http.get("/readyz"), 503, "unavailable")
        assert alone.http.get("/healthz").status_code == 200


def test_whoever_watches_sees_how_far_a_tool_is(system: System, stages: StagesTool) -> None:
    news, item = [], {}
    with system.http.stream("POST", "/v1/responses", json={"input": "stages", "stream": True}) as stream:
        for line in stream.iter_lines():
            event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if event.get("type") == "response.mcp_call.in_progress" and "mmedagent" in event:
                news.append(event)
                stages.release.set()
            if event.get("type") == "response.output_item.done" and event["item"]["type"] == "mcp_call":
                item = event["item"]
    assert news[0]["mmedagent"] == {"fraction": 0.25, "text": "Looking"}
    assert {event["item_id"] for event in news} == {item["id"]}
    assert item["status"] == "completed"
    (stored,) = calls(system, "stages")
    assert data_of(stored) == data_of(item)
