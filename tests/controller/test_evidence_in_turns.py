"""Evidence in whole turns: in answers and streams, stored, and repeated later in a conversation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import Tool, ToolContext, ToolOutput
from support.script import action, answer, plan, rule
from support.system import System, running_system
from support.tools import BrokenTool, EchoTool, make_card

ADDED = "The broken tool failed: The scanner is on fire, so there is no result from it."
SILENT = "The liver looks fine."
RULES = [
    rule("measure", plan(action("measure")), answer("It covers 61.7 mm². [1] That is 99 mm² less.")),
    rule("again", answer("It was 61.7 mm², not 99 mm².")),
    rule("silent", plan(action("broken"), action("measure")), answer(SILENT)),
    rule("open", plan(action("broken")), answer("The broken tool failed. [1]")),
    rule("", answer("Fine.")),
]


class MeasureTool:
    """Gives an area."""

    def __init__(self) -> None:
        self.card = make_card("measure", result={"area_mm2": {"type": "number"}, "score": {"type": "number"}})

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [ToolOutput({"area_mm2": 61.694, "score": 0.75}) for _ in calls]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    tools: list[Tool] = [MeasureTool(), BrokenTool(), EchoTool()]
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools) as running:
        yield running


def streamed(system: System, question: str) -> list[dict[str, Any]]:
    body = {"input": question, "stream": True}
    with system.http.stream("POST", "/v1/responses", json=body) as stream:
        return [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]


def claims_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims of a message, each where the message says."""
    text = message["content"][0]["text"]
    claims: list[dict[str, Any]] = message["mmedagent"]["claims"]
    assert [text[one["start"] : one["end"]] for one in claims] == [one["text"] for one in claims]
    return claims


def test_a_number_leads_to_the_call_whose_result_has_it(system: System) -> None:
    *_, call, _, message = system.outputs("measure")
    good, marker, bad = claims_of(message)
    result = json.loads(call["output"])
    assert call["id"] == f"mcp_{good['call_id']}"
    assert result["data"][good["field"].removeprefix("/")] == 61.694
    assert good["version"] == result["provenance"]["version"]
    assert (good["text"], good["kind"], good["supported"], good["score"]) == ("61.7 mm²", "number", True, 0.75)
    assert (marker["kind"], marker["call_id"]) == ("citation", good["call_id"])
    assert (bad["text"], bad["supported"], bad["call_id"]) == ("99 mm²", False, None)


def test_streamed_and_stored_claims_are_the_same(system: System) -> None:
    events = streamed(system, "measure")
    (done,) = [
        one["item"] for one in events if one["type"] == "response.output_item.done" and one["item"]["type"] == "message"
    ]
    assert len(claims_of(done)) == 3
    assert events[-1]["response"]["output"][-1] == done
    assert not any("mmedagent" in one["item"] for one in events if one["type"] == "response.output_item.added")
    response = events[-1]["response"]
    assert system.http.get(f"/v1/responses/{response['id']}").json()["output"][-1] == done
    items = system.http.get(f"/v1/conversations/{response['conversation']['id']}/items").json()["data"]
    assert items[0] == done


def test_a_failure_that_the_planner_keeps_silent_about_is_told(system: System) -> None:
    events = streamed(system, "silent")
    text = "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta")
    message = events[-1]["response"]["output"][-1]
    assert text == message["content"][0]["text"] == f"{SILENT}\n\n{ADDED}"
    (claim,) = claims_of(message)
    broken = next(one for one in events[-1]["response"]["output"] if one["type"] == "mcp_call")
    assert (claim["text"], claim["kind"], claim["supported"]) == (ADDED, "failure", True)
    assert f"mcp_{claim['call_id']}" == broken["id"]
    conversation = events[-1]["response"]["conversation"]["id"]
    stored = system.http.get(f"/v1/conversations/{conversation}/items").json()["data"][0]
    assert stored["content"][0]["text"] == text


def test_a_failure_is_told_once(system: System) -> None:
    message = system.outputs("open")[-1]
    assert message["content"][0]["text"] == "The broken tool failed. [1]"
    assert [(one["kind"], one["supported"]) for one in claims_of(message)] == [("failure", True), ("citation", True)]


def test_a_later_answer_can_repeat_what_an_earlier_one_has_a_source_for(system: System) -> None:
    first = system.respond("measure").json()
    later = system.respond("again", conversation=first["conversation"]["id"]).json()["output"][-1]
    good, bad = claims_of(later)
    assert (good["text"], good["supported"], bad["supported"]) == ("61.7 mm²", True, False)
    assert good["call_id"] == claims_of(first["output"][-1])[0]["call_id"]
    elsewhere = claims_of(system.outputs("again")[-1])
    assert [one["supported"] for one in elsewhere] == [False, False]


def test_chat_completions_have_claims_and_failures_too(system: System) -> None:
    body = {"messages": [{"role": "user", "content": "silent"}]}
    message = system.http.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]
    assert message["content"] == f"{SILENT}\n\n{ADDED}"
    assert claims_of(message["mmedagent"]["items"][-1])[0]["kind"] == "failure"
    with system.http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as stream:
        chunks = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: {")]
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in chunks) == f"{SILENT}\n\n{ADDED}"
