"""Whole turns with a model at an endpoint: question in, calls carried out by real workers, answer out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.serving.endpoint import Endpoint
from openai_planners import MODEL
from support.chat_endpoint import ChatEndpoint, Reply, called, chunk, running_endpoint, said
from support.problems import assert_problem
from support.system import System, running_controller
from support.tools import ONE_BOX, PATIENCE_S, BrokenTool, EchoTool

REASON = {"reasoning_content": "I will look."}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, endpoint: ChatEndpoint) -> Iterator[System]:
    endpoint.replies.append(said("Fine."))
    planner = OpenAIPlanner(checkpoint=None)
    planner.connect(Endpoint(url=endpoint.url, model=MODEL))
    with running_controller(tmp_path_factory.mktemp("system"), expected_tools=("echo", "broken")) as running:
        running.add_planner(planner)
        running.add_tools([EchoTool(), BrokenTool()])
        running.wait_until_ready()
        yield running


@pytest.fixture(autouse=True)
def _begin(endpoint: ChatEndpoint, system: System) -> None:
    endpoint.replies.clear()
    endpoint.asked.clear()


def test_a_turn_runs_the_calls_and_answers_from_their_results(system: System, endpoint: ChatEndpoint) -> None:
    calls = called(("echo", {"text": "a"}), ("echo", {"boxes": "$1.boxes"}), ("broken", {}), **REASON)
    endpoint.replies += [calls, said("There is one box [2]. ", "The scanner did not work [3].")]
    reasoning, *done, _, message = system.outputs("Where?")
    assert reasoning["summary"][0]["text"] == "I will look."
    found = {item["name"] + item["arguments"]: item["status"] for item in done}
    assert sorted(found.values()) == ["completed", "completed", "failed"]
    assert message["content"][0]["text"] == "There is one box [2]. The scanner did not work [3]."
    told = [json.loads(one["content"]) for one in endpoint.asked[1]["messages"] if one["role"] == "tool"]
    assert [one["call"] for one in told] == [1, 2, 3]
    assert told[1]["result"]["boxes"] == ONE_BOX
    assert told[2]["failed"] == "The scanner is on fire."
    assert system.http.get("/v1/models").json()["data"][0]["id"] == MODEL


def test_the_answer_streams_through(system: System, endpoint: ChatEndpoint) -> None:
    rest, start = threading.Event(), "There is one box. " * 30
    endpoint.replies.append(Reply([chunk(content=start), rest, chunk(content="End."), chunk("stop")]))
    text = ""
    with system.http.stream("POST", "/v1/responses", json={"input": "Hi", "stream": True}) as stream:
        for line in stream.iter_lines():
            event: dict[str, Any] = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
            if event.get("type") == "response.output_text.delta":
                text += event["delta"]
                rest.set()
    assert text == f"{start}End."


def test_a_model_that_writes_no_plan_ends_the_turn(system: System, endpoint: ChatEndpoint) -> None:
    endpoint.replies += [called(("xray", {})), called(("xray", {}))]
    assert_problem(system.respond("x"), 502, "malformed_plan")


@pytest.mark.parametrize(
    ("status", "code"), [(401, "worker_failed"), (429, "overloaded"), (500, "worker_failed"), (413, "too_large")]
)
def test_a_refusal_ends_the_turn_with_its_own_code(
    system: System, endpoint: ChatEndpoint, status: int, code: str
) -> None:
    endpoint.replies.append(Reply([b"secret-of-the-endpoint"], status))
    answer = system.respond("x")
    assert answer.json()["code"] == code
    assert answer.status_code != 401
    assert "secret-of-the-endpoint" not in answer.text


def test_who_leaves_ends_the_request_at_the_endpoint(system: System, endpoint: ChatEndpoint) -> None:
    never = threading.Event()
    endpoint.caller_left.clear()
    endpoint.replies.append(Reply([chunk(reasoning="Hm. "), never]))
    with system.http.stream("POST", "/v1/chat/completions", json=question("Hi")) as stream:
        next(stream.iter_lines())
    try:
        assert endpoint.caller_left.wait(PATIENCE_S)
    finally:
        never.set()


def question(text: str) -> dict[str, Any]:
    return {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
