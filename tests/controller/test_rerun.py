"""One call of a turn with other parameters: what runs again, what is taken over, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mmedagent.serving.tool import Tool
from support.images import png_bytes
from support.problems import assert_problem, assert_unharmed
from support.script import action, answer, plan, rule, told
from support.streams import events_in, in_background, read, watched
from support.system import System, running_system
from support.tools import ONE_BOX, PATIENCE_S, BrokenTool, EchoTool, MaskTool, SlowTool, wait_until

MOVED: list[Any] = [[0.3, 0.3, 0.6, 0.6]]
RULES = [
    told(
        "chain",
        *(action("find"), action("echo", boxes="$1.boxes", text="second"), action("echo", boxes="$2.boxes")),
        *(action("echo", text="alone"), action("broken")),
    ),
    rule(
        "twice",
        plan(action("find", text="a")),
        plan(action("echo", boxes="$1.boxes"), action("echo", text="b")),
        answer("Outcomes: {1} {2} {3}"),
    ),
    told("outside", action("find", boxes=[[0, 0, 2, 2]]), action("echo", boxes="$1.boxes")),
    told("outline", action("mask", text="one"), action("find")),
    told("slow", action("slow")),
    rule("fail", plan(action("find"))),
    rule("", answer("Fine.")),
]


class Bench:
    """A system with tools that remember what they were called with."""

    def __init__(self, system: System, find: EchoTool, echo: EchoTool, slow: SlowTool) -> None:
        self.system = system
        self.find = find
        self.echo = echo
        self.slow = slow

    def rerun(self, response: str, call_id: str, **parameters: Any) -> httpx.Response:
        body = {"call_id": call_id, "parameters": parameters}
        return self.system.http.post(f"/v1/responses/{response}/rerun", json=body)

    def made_again(self, response: str, call_id: str, **parameters: Any) -> dict[str, Any]:
        """The response of a rerun that works. What the tools were called with before is forgotten."""
        self.find.calls.clear()
        self.echo.calls.clear()
        made = self.rerun(response, call_id, **parameters)
        assert made.status_code == 200, made.text
        found: dict[str, Any] = made.json()
        assert found == {**read(self.system, found["id"]), "created_at": found["created_at"]}
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    find, echo, slow = EchoTool("find"), EchoTool(), SlowTool()
    tools: list[Tool] = [find, echo, MaskTool(), BrokenTool(), slow]
    with running_system(tmp_path_factory.mktemp("rerun"), RULES, tools) as system:
        yield Bench(system, find, echo, slow)


def asked(bench: Bench, question: str, **fields: Any) -> dict[str, Any]:
    answer = bench.system.respond(question, **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def calls_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == "mcp_call"]


def id_of(call: dict[str, Any]) -> str:
    return str(call["id"]).removeprefix("mcp_")


def boxes_of(call: dict[str, Any]) -> Any:
    return json.loads(call["output"])["data"]["boxes"]


def by_text(response: dict[str, Any], text: str) -> dict[str, Any]:
    """The call with this text among its arguments."""
    (found,) = [call for call in calls_of(response) if json.loads(call["arguments"]).get("text") == text]
    return found


def test_only_what_depends_on_the_changed_call_runs_again(bench: Bench) -> None:
    first = asked(bench, "chain")
    find = next(call for call in calls_of(first) if call["name"] == "find")
    made = bench.made_again(first["id"], id_of(find), boxes=MOVED)
    assert [call.parameters for call in bench.find.calls] == [{"boxes": MOVED}]
    assert sorted(str(call.parameters.get("text")) for call in bench.echo.calls) == ["None", "second"]
    assert all(call.parameters["boxes"] == MOVED for call in bench.echo.calls)
    alone, broken = by_text(first, "alone"), next(call for call in calls_of(first) if call["name"] == "broken")
    assert by_text(made, "alone") == alone
    assert broken in calls_of(made)
    assert made["mmedagent"]["reused"] == [id_of(alone), id_of(broken)]
    assert (made["mmedagent"]["rerun_of"], made["mmedagent"]["parent"]) == (first["id"], None)
    text = made["output"][-1]["content"][0]["text"]
    assert text.count(json.dumps(MOVED)) == 3
    assert "on fire" in text
    assert read(bench.system, first["id"])["output"] == first["output"]


def test_what_was_not_changed_stays_a_reference(bench: Bench) -> None:
    first = asked(bench, "chain")
    second = by_text(first, "second")
    arguments = json.loads(second["arguments"])
    renamed = bench.made_again(first["id"], id_of(second), **arguments | {"text": "other"})
    assert bench.find.calls == []
    assert len(bench.echo.calls) == 2
    find = next(call for call in calls_of(renamed) if call["name"] == "find")
    moved = bench.made_again(renamed["id"], id_of(find), boxes=MOVED)
    assert boxes_of(by_text(moved, "other")) == MOVED
    assert moved["mmedagent"]["rerun_of"] == renamed["id"]
    fixed = bench.made_again(moved["id"], id_of(by_text(moved, "other")), boxes=ONE_BOX, text="fixed")
    assert boxes_of(by_text(fixed, "fixed")) == ONE_BOX


def test_a_change_in_a_later_plan_keeps_the_earlier_ones(bench: Bench) -> None:
    first = asked(bench, "twice")
    made = bench.made_again(first["id"], id_of(by_text(first, "b")), text="c")
    assert bench.find.calls == []
    assert [call.parameters for call in bench.echo.calls] == [{"text": "c"}]
    kinds = [item["type"] for item in made["output"]]
    assert kinds == ["reasoning", "mcp_call", "reasoning", "mcp_call", "mcp_call", "reasoning", "message"]
    assert len(made["mmedagent"]["reused"]) == 2


def test_after_a_change_in_an_earlier_plan_the_later_ones_are_made_anew(bench: Bench) -> None:
    first = asked(bench, "twice")
    made = bench.made_again(first["id"], id_of(by_text(first, "a")), text="a", boxes=MOVED)
    assert [call.parameters for call in bench.find.calls] == [{"text": "a", "boxes": MOVED}]
    assert sorted(json.dumps(call.parameters) for call in bench.echo.calls) == sorted(
        json.dumps(parameters) for parameters in ({"boxes": MOVED}, {"text": "b"})
    )
    assert made["mmedagent"]["reused"] == []
    assert not {call["id"] for call in calls_of(first)} & {call["id"] for call in calls_of(made)}


def test_a_call_that_failed_can_be_put_right(bench: Bench) -> None:
    first = asked(bench, "outside")
    failed, skipped = calls_of(first)
    assert (failed["status"], skipped["status"]) == ("failed", "incomplete")
    made = bench.made_again(first["id"], id_of(failed), boxes=MOVED)
    assert [call["status"] for call in calls_of(made)] == ["completed", "completed"]
    assert [boxes_of(call) for call in calls_of(made)] == [MOVED, MOVED]
    alone = bench.made_again(first["id"], id_of(skipped), boxes=MOVED)
    assert sorted(call["status"] for call in calls_of(alone)) == ["completed", "failed"]
    assert alone["mmedagent"]["reused"] == [id_of(failed)]


def test_a_rerun_is_streamed_like_any_turn(bench: Bench) -> None:
    first = asked(bench, "chain")
    alone = by_text(first, "alone")
    body = {"call_id": id_of(alone), "parameters": {"text": "company"}, "stream": True}
    with bench.system.http.stream("POST", f"/v1/responses/{first['id']}/rerun", json=body) as stream:
        events = list(events_in(stream.iter_lines()))
    made = events[-1]["response"]
    assert events[0]["response"]["mmedagent"] == made["mmedagent"]
    done = {event["item"]["id"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert list(done.values()) == sorted(made["output"], key=lambda item: list(done).index(item["id"]))
    before = {id_of(call): call for call in calls_of(first)}
    assert set(made["mmedagent"]["reused"]) == before.keys() - {id_of(alone)}
    assert all(done[f"mcp_{call_id}"] == before[call_id] for call_id in made["mmedagent"]["reused"])
    assert watched(bench.system, made["id"]) == events


def test_a_rerun_goes_on_in_the_background(bench: Bench) -> None:
    system, slow = bench.system, bench.slow
    slow.release.set()
    first = asked(bench, "slow")
    slow.release.clear()
    assert slow.started.acquire(timeout=PATIENCE_S)
    body = {"call_id": id_of(calls_of(first)[0]), "parameters": {"text": "x"}, "background": True}
    made = system.http.post(f"/v1/responses/{first['id']}/rerun", json=body).json()
    assert (made["status"], made["mmedagent"]["rerun_of"]) == ("in_progress", first["id"])
    assert slow.started.acquire(timeout=PATIENCE_S)
    slow.release.set()
    wait_until(lambda: read(system, made["id"])["status"] == "completed", "the rerun ends")
    assert_unharmed(system, "Hi")


def with_image(text: str, file_id: str) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": text}, {"type": "input_image", "file_id": file_id}]
    return {"input": [{"role": "user", "content": parts}]}


def test_a_rerun_is_about_the_image_of_its_turn_and_its_branch(bench: Bench) -> None:
    system = bench.system
    small, large = system.upload(png_bytes(24, 16)), system.upload(png_bytes(48, 32, seed=1))
    hello = system.http.post("/v1/responses", json=with_image("Hello", small)).json()
    first = asked(bench, "outline", previous_response_id=hello["id"])
    system.http.post("/v1/responses", json={**with_image("Hello", large), "previous_response_id": first["id"]})
    made = bench.made_again(first["id"], id_of(by_text(first, "one")), text="two")
    assert json.loads(by_text(made, "two")["output"])["data"]["text"] == "(16, 24, 3)"
    assert made["previous_response_id"] == made["mmedagent"]["parent"] == hello["id"]
    assert made["conversation"] == first["conversation"]
    (find,) = [call for call in calls_of(made) if call["name"] == "find"]
    assert system.http.delete(f"/v1/files/{small}").status_code == 200
    assert_problem(bench.rerun(first["id"], id_of(find)), 404, "not_found")
    assert_problem(bench.rerun(made["id"], id_of(find)), 404, "not_found")


def test_a_rerun_that_makes_no_sense_is_refused(bench: Bench) -> None:
    first = asked(bench, "chain")
    find, second = next(call for call in calls_of(first) if call["name"] == "find"), by_text(first, "second")
    turns = f"/v1/conversations/{first['conversation']['id']}/turns"
    assert_problem(bench.rerun("resp_nobody", id_of(find)), 404, "not_found")
    assert_problem(bench.rerun(first["id"], "call_nobody"), 404, "not_found")
    other = calls_of(asked(bench, "chain"))[0]
    assert_problem(bench.rerun(first["id"], id_of(other)), 404, "not_found")
    for wrong in ({"boxes": [[0, 0, 2, 2]]}, {"colour": "red"}, {"text": "$1.text"}, {"boxes": "$1.boxes"}):
        assert_problem(bench.rerun(first["id"], id_of(second), **wrong), 422, "invalid_parameters")
    for body in ({"call_id": "a b", "parameters": {}}, {"call_id": id_of(find)}, {"call_id": 1, "parameters": []}):
        refused = bench.system.http.post(f"/v1/responses/{first['id']}/rerun", json=body)
        assert_problem(refused, 422, "invalid_request")
    assert len(bench.system.http.get(turns).json()["data"]) == 1


def test_only_an_answered_response_is_run_again(bench: Bench) -> None:
    system, slow = bench.system, bench.slow
    conversation = system.http.post("/v1/conversations").json()["id"]
    assert_problem(system.respond("fail", conversation=conversation), 502, "malformed_plan")
    (failed,) = system.http.get(f"/v1/conversations/{conversation}/turns").json()["data"]
    assert_problem(bench.rerun(failed["id"], id_of(calls_of(failed)[0])), 409, "conflict")
    slow.release.clear()
    running = in_background(system, "slow")
    assert slow.started.acquire(timeout=PATIENCE_S)
    assert_problem(bench.rerun(running, "call_any"), 409, "conflict")
    cancelled = system.http.post(f"/v1/responses/{running}/cancel").json()
    assert_problem(bench.rerun(running, id_of(calls_of(cancelled)[0])), 409, "conflict")


def test_a_tool_that_is_gone_or_was_not_allowed_is_refused_and_the_rest_survives_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("gone")
    with running_system(folder, RULES, [EchoTool("find"), EchoTool(), BrokenTool()]) as system:
        first = system.respond("chain").json()
        kept_away = system.respond("twice", allowed_tools=["find"]).json()
    find = next(call for call in calls_of(first) if call["name"] == "find")
    finder = EchoTool("find")
    with running_system(folder, RULES, [finder]) as system:
        again = Bench(system, finder, EchoTool(), SlowTool())
        refused = again.rerun(first["id"], id_of(by_text(first, "alone")), text="x")
        assert "not available" in assert_problem(refused, 404, "not_found")
        made = again.made_again(first["id"], id_of(find), boxes=MOVED)
        assert [call["status"] for call in calls_of(made)].count("failed") == 3
        assert by_text(made, "alone") == by_text(first, "alone")
        system.add_tools([EchoTool()], name="more")
        wait_until(lambda: "echo" in system.workers_info(), "the tool is back")
        allowed = again.made_again(kept_away["id"], id_of(by_text(kept_away, "a")), text="a")
        assert [call["status"] for call in calls_of(allowed)] == ["completed", "failed", "failed"]
