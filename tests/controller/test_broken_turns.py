"""Turns that cannot be finished: dying planners, passing deadlines, leaving users, failing and busy workers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from mmedagent.serving.tool import Tool
from support.planners import LONG, OddPlanner
from support.problems import assert_problem, assert_unharmed
from support.script import action, answer, rule, told
from support.system import WORKER_TOKEN, System, running_controller, running_system
from support.tools import PATIENCE_S, BrokenTool, EchoTool, SlowTool, wait_until

CANCEL_S = 1.0
WAYS = ("error", "raise", "crash", "lie", "none", "deadline")
RULES = [
    told("slow", action("slow")),
    told("deaf", action("deaf")),
    told("busy", action("busy")),
    told("twin", action("twin")),
    told("once", action("once")),
    told("echo", action("echo")),
    rule("", answer("Fine.")),
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, OddPlanner]]:
    """A system with a planner that misbehaves, and little time for a turn."""
    planner = OddPlanner()
    with running_controller(tmp_path_factory.mktemp("odd"), turn_deadline_s=1.0, lease_s=0.6) as system:
        system.add_planner(planner)
        system.add_tools([EchoTool()])
        wait_until(lambda: "echo" in system.workers_info(), "the tool registers")
        system.wait_until_ready()
        yield system, planner


@pytest.fixture
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, SlowTool]]:
    """A system that gives a tool half a second, and a tool that takes longer."""
    slow = SlowTool()
    with running_system(tmp_path_factory.mktemp("hurried"), RULES, [slow], tool_deadline_s=0.5) as system:
        yield system, slow


@pytest.fixture(scope="module")
def patient_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, SlowTool]]:
    slow = SlowTool()
    with running_system(tmp_path_factory.mktemp("patient"), RULES, [slow]) as system:
        yield system, slow


@pytest.fixture
def patient(patient_system: tuple[System, SlowTool]) -> tuple[System, SlowTool]:
    """A system with a slow tool that has not been called yet."""
    system, slow = patient_system
    slow.was_cancelled.clear()
    slow.ended.clear()
    return system, slow


def events_of(system: System, question: str) -> list[dict[str, Any]]:
    """The stream of a question, to its end."""
    body = {"input": question, "stream": True}
    with system.http.stream("POST", "/v1/responses", json=body) as stream:
        assert stream.status_code == 200
        return [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]


def planner_is_back(system: System) -> None:
    wait_until(lambda: system.workers_info()["odd"]["state"] == "ready", "the planner is trusted again")


@pytest.mark.parametrize(
    ("question", "codes"),
    [
        ("die", {"unavailable", "worker_failed", "internal"}),
        ("stop", {"worker_failed"}),
        ("hang", {"deadline_exceeded"}),
        ("drip", {"deadline_exceeded"}),
        ("long", {"worker_failed", "malformed_plan"}),
    ],
)
def test_a_planner_that_fails_ends_the_turn_with_a_reason(
    odd: tuple[System, OddPlanner], question: str, codes: set[str]
) -> None:
    system, _ = odd
    planner_is_back(system)
    started = time.monotonic()
    events = events_of(system, question)
    assert time.monotonic() - started < PATIENCE_S
    assert events[-1]["type"] == "response.failed"
    error = events[-1]["response"]["error"]
    assert error["code"] in codes, error
    assert "secret" not in json.dumps(events)
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert len(text) <= LONG * 1_000
    planner_is_back(system)
    assert_unharmed(system, "Hi")
    assert_problem(system.respond(question), events_status(error["code"]), error["code"])
    planner_is_back(system)
    for _ in range(3):
        assert_unharmed(system, "Hi")


def events_status(code: str) -> int:
    return {"unavailable": 503, "deadline_exceeded": 504, "internal": 500}.get(code, 502)


def test_a_long_parameter_harms_nothing(odd: tuple[System, OddPlanner]) -> None:
    system, _ = odd
    planner_is_back(system)
    assert events_of(system, "number")[-1]["type"] == "response.failed"
    assert_unharmed(system, "Hi")


def test_a_tool_that_takes_too_long_is_a_failure(hurried: tuple[System, SlowTool]) -> None:
    system, slow = hurried
    (call,) = [item for item in system.outputs("slow") if item["type"] == "mcp_call"]
    assert call["status"] == "failed"
    assert "deadline" in call["error"]["content"][0]["text"]
    wait_until(slow.was_cancelled.is_set, "the tool hears of its deadline")
    assert_unharmed(system, "Hi")


def test_leaving_a_stream_cancels_down_to_the_tool(patient: tuple[System, SlowTool]) -> None:
    system, slow = patient
    body = {"input": "slow", "stream": True}
    with system.http.stream("POST", "/v1/responses", json=body) as stream:
        for line in stream.iter_lines():
            if "mcp_call.in_progress" in line:
                break
        assert slow.started.acquire(timeout=PATIENCE_S)
    left = time.monotonic()
    assert slow.was_cancelled.wait(PATIENCE_S)
    assert time.monotonic() - left < CANCEL_S
    assert slow.ended == ["cancelled"]
    wait_until(lambda: statuses(system)[0] == "cancelled", "the turn is marked as cancelled")
    assert_unharmed(system, "Hi")


def statuses(system: System) -> list[str]:
    """The status of the last response of each conversation, the newest first, by way of the API."""
    found = []
    for conversation in system.http.get("/v1/conversations").json()["data"]:
        items = system.http.get(f"/v1/conversations/{conversation['id']}/items").json()["data"]
        turn_id = items[-1]["id"].removeprefix("msg_").removesuffix("_user")
        found.append(system.http.get(f"/v1/responses/resp_{turn_id}").json()["status"])
    return found


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/tools/slow/invoke"])
def test_leaving_a_request_cancels_down_to_the_tool(patient: tuple[System, SlowTool], path: str) -> None:
    system, slow = patient
    message = [{"role": "user", "content": "slow"}]
    body = json.dumps({} if "tools" in path else {"input": message, "messages": message}).encode()
    place = urlsplit(system.url)
    head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    with closing(socket.create_connection((place.hostname or "", place.port or 0))) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert slow.started.acquire(timeout=PATIENCE_S)
    left = time.monotonic()
    assert slow.was_cancelled.wait(PATIENCE_S)
    assert time.monotonic() - left < CANCEL_S
    wait_until(lambda: system.workers_info()["slow"]["outstanding"] == 0, "nothing is outstanding")
    assert_unharmed(system, "Hi")


def test_another_replica_takes_over(tmp_path_factory: pytest.TempPathFactory) -> None:
    once, good_once = BrokenTool("once", idempotent=False), EchoTool("once", idempotent=False)
    twin, good_twin = BrokenTool("twin"), EchoTool("twin")
    with running_system(tmp_path_factory.mktemp("twins"), RULES, [twin, once]) as system:
        system.add_tools([good_twin, good_once], name="more")
        wait_until(lambda: len(system.http.get("/v1/workers").json()["data"]) == 5, "both replicas register")
        answers = [system.outputs("twin")[1]["status"] for _ in range(4)]
        assert answers == ["completed"] * 4
        assert twin.calls
        assert len(good_twin.calls) == 4
        answers = [system.outputs("once")[1]["status"] for _ in range(4)]
        assert "failed" in answers
        assert len(once.calls) + len(good_once.calls) == 4
        rows = system.http.get("/v1/workers").json()["data"]
        assert [row["outstanding"] for row in rows] == [0] * 5


def test_fifty_failing_calls_leave_nothing_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    broken = BrokenTool()
    tools: list[Tool] = [broken, EchoTool()]
    with running_system(tmp_path_factory.mktemp("broken"), RULES, tools, concurrency=2) as system:
        url = f"{system.workers['tools'].url}/broken"
        call = {"tool": "broken", "deadline_s": 5.0, "correlation_id": "test"}
        headers = {"Authorization": f"Bearer {WORKER_TOKEN}"}
        for number in range(50):
            how = {"how": WAYS[number % len(WAYS)]}
            body = {**call, "call_id": f"call_{number}", "parameters": how}
            assert_problem_of_a_tool(system.http.post(f"{url}/invoke", json=body, headers=headers).json())
        assert len(broken.calls) == 50
        health = system.http.get(f"{url}/health").json()
        assert health.pop("memory_bytes") > 0
        assert health == {"status": "ready", "in_flight": 0, "queued": 0}
        for number in range(50):
            how = {"how": WAYS[number % len(WAYS)]}
            assert_problem_of_a_tool(system.http.post("/v1/tools/broken/invoke", json={"parameters": how}).json())
        assert system.workers_info()["broken"]["outstanding"] == 0
        assert system.workers_info()["broken"]["state"] == "suspect"
        assert system.outputs("echo")[1]["status"] == "completed"


def assert_problem_of_a_tool(problem: dict[str, Any]) -> None:
    assert problem["code"] in {"worker_failed", "deadline_exceeded", "internal", "unavailable", "not_found"}
    assert "secret" not in json.dumps(problem)


def test_a_busy_worker_says_so_and_stays(tmp_path_factory: pytest.TempPathFactory) -> None:
    busy = SlowTool("busy")
    with running_system(tmp_path_factory.mktemp("busy"), RULES, [busy], concurrency=1) as system:
        answers: list[int] = []

        def ask() -> None:
            answers.append(system.http.post("/v1/tools/busy/invoke", json={}).status_code)

        waiting = [threading.Thread(target=ask) for _ in range(5)]
        for thread in waiting:
            thread.start()
        wait_until(lambda: system.workers_info()["busy"]["outstanding"] == 5, "one runs and four wait")
        url = f"{system.workers['tools'].url}/busy/health"
        wait_until(lambda: system.http.get(url).json()["queued"] == 4, "four wait at the worker")
        for _ in range(10):
            refused = system.http.post("/v1/tools/busy/invoke", json={})
            assert_problem(refused, 429, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
        assert system.workers_info()["busy"]["state"] == "ready"
        busy.release.set()
        for thread in waiting:
            thread.join(PATIENCE_S)
        assert answers == [200] * 5
        assert_unharmed(system, "Hi")
