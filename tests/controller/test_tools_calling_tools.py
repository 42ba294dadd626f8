"""A tool that asks another one: what it gets, what it passes on, and what cannot go on for ever."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.tool import Tool
from support.images import png_bytes
from support.problems import assert_problem
from support.script import action, answer, rule, told
from support.system import WORKER_TOKEN, System, running_system
from support.tools import PATIENCE_S, BrokenTool, CallingTool, EchoTool, MaskTool, SlowTool, wait_until
from support.worker import call, running_worker

HEADERS = {"Authorization": f"Bearer {WORKER_TOKEN}"}
CHAIN = ("second", "third", "fourth", "fifth")
RULES = [told("ask", action("calling", tool="echo", parameters={"text": "inner"})), rule("", answer("Fine."))]


@pytest.fixture(scope="module")
def echo() -> EchoTool:
    return EchoTool()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, echo: EchoTool) -> Iterator[System]:
    tools: list[Tool] = [*(CallingTool(name) for name in ("calling", *CHAIN)), echo, MaskTool(), BrokenTool()]
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools, concurrency=1) as running:
        yield running


def ask(system: System, tool: str, file_id: str | None = None, **parameters: Any) -> httpx.Response:
    """Have the calling tool call `tool`."""
    body = {"parameters": {"tool": tool, "parameters": parameters}, "file_id": file_id}
    return system.http.post("/v1/tools/calling/invoke", json=body, headers={"X-Request-Id": "request-1"})


def chain(*tools: str) -> dict[str, Any]:
    """The parameters with which each tool calls the next one."""
    first, *others = tools
    return {"tool": first, "parameters": chain(*others) if others else {}}


def test_a_result_names_the_results_that_it_rests_on(system: System, echo: EchoTool) -> None:
    echo.calls.clear()
    result = ask(system, "echo", text="inner").json()
    assert result["data"]["found"]["text"] == "inner"
    (part,) = result["provenance"]["parts"]
    assert (part["tool"], part["version"], part["parts"]) == ("echo", "1.0.0", [])
    (inner,) = echo.calls
    assert (inner.callers, inner.correlation_id) == (("calling",), "request-1")
    assert 0 < inner.deadline_s < system.settings.tool_deadline_s


def test_a_turn_keeps_what_a_result_rests_on(system: System) -> None:
    (item,) = [item for item in system.outputs("ask") if item["type"] == "mcp_call"]
    assert item["status"] == "completed"
    assert '"parts": [{"tool": "echo"' in item["output"]


def test_calls_can_be_nested_but_not_for_ever(system: System) -> None:
    body = {"parameters": chain(*CHAIN[:2], "echo")}
    result = system.http.post("/v1/tools/calling/invoke", json=body).json()
    names = []
    while parts := result.get("provenance", result)["parts"]:
        (result,) = parts
        names.append(result["tool"])
    assert names == ["second", "third", "echo"]
    too_deep = {"parameters": chain(*CHAIN[:3], "echo")}
    answer = system.http.post("/v1/tools/calling/invoke", json=too_deep)
    assert "fourth cannot call echo" in assert_problem(answer, 422, "invalid_request")


@pytest.mark.parametrize("circle", [("calling", "echo"), ("second", "calling", "echo")])
def test_a_tool_never_waits_for_itself(system: System, circle: tuple[str, ...]) -> None:
    answer = system.http.post("/v1/tools/calling/invoke", json={"parameters": chain(*circle)})
    assert "wait for itself" in assert_problem(answer, 422, "invalid_request")


def test_the_image_is_decoded_once_for_both(system: System) -> None:
    def misses() -> int:
        lines = httpx.get(f"{system.workers['tools'].url}/metrics").text.splitlines()
        start = 'mmedagent_cache_requests_total{cache="display frames",outcome="miss"}'
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith(start))

    file_id, before = system.upload(png_bytes(seed=1)), misses()
    result = ask(system, "mask", file_id).json()
    assert result["data"]["found"]["text"] == "(16, 24, 3)"
    assert misses() - before == 1


def test_what_the_inner_tool_made_goes_with_the_file(system: System) -> None:
    """The calling tool does not pass the mask on; it is deleted all the same."""
    file_id = system.upload(png_bytes(seed=2))
    frame = system.http.get(f"/v1/files/{file_id}").json()["frame"]["sha256"]
    assert ask(system, "mask", file_id).json()["artifacts"] == []
    store = FolderBlobStore(system.settings.blob_folder)
    mask = store.put(b"mask of " + frame.encode())
    assert system.http.get(f"/v1/artifacts/{mask}").status_code == 200
    assert system.http.delete(f"/v1/files/{file_id}").status_code == 200
    assert not store.path(mask).exists()


@pytest.mark.parametrize(
    ("tool", "how", "status", "code"),
    [
        ("broken", "error", 502, "worker_failed"),
        ("broken", "crash", 502, "worker_failed"),
        ("broken", "deadline", 504, "deadline_exceeded"),
        ("broken", "sideways", 502, "worker_failed"),
        ("nowhere", "error", 502, "worker_failed"),
    ],
)
def test_a_failure_of_the_inner_tool_is_one_of_the_outer(
    system: System, tool: str, how: str, status: int, code: str
) -> None:
    """Parameters that the inner tool does not take are a mistake of the outer tool, not of whoever called that."""
    assert "secret" not in assert_problem(ask(system, tool, how=how), status, code)
    wait_until(lambda: system.workers_info()["broken"]["state"] == "ready", "the broken tool is trusted again")
    assert system.workers_info()["calling"]["state"] == "ready"
    assert ask(system, "echo", text="next").status_code == 200


def test_tools_that_wait_for_others_do_not_wait_for_each_other(system: System) -> None:
    """One place each, and more callers than places."""
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: ask(system, "echo", text=str(number)), range(12)))
    assert [answer.json()["data"]["found"]["text"] for answer in answers] == [str(number) for number in range(12)]


@pytest.mark.parametrize("ends_by", ["timeout", "deadline"])
def test_the_inner_call_ends_with_the_outer(tmp_path_factory: pytest.TempPathFactory, ends_by: str) -> None:
    slow = SlowTool()
    deadline_s = 0.5 if ends_by == "deadline" else PATIENCE_S
    tools: list[Tool] = [CallingTool(), slow]
    with running_system(tmp_path_factory.mktemp("slow"), RULES, tools, tool_deadline_s=deadline_s) as system:
        body = {"parameters": {"tool": "slow"}}
        if ends_by == "deadline":
            assert_problem(system.http.post("/v1/tools/calling/invoke", json=body), 504, "deadline_exceeded")
        else:
            with pytest.raises(httpx.ReadTimeout):
                system.http.post("/v1/tools/calling/invoke", json=body, timeout=0.5)
        assert slow.was_cancelled.wait(PATIENCE_S)
        wait_until(
            lambda: all(row["outstanding"] == 0 for row in system.workers_info().values()), "nothing is outstanding"
        )
        health = f"{system.workers['tools'].url}/calling/health"
        wait_until(lambda: httpx.get(health).json()["in_flight"] == 0, "its place is free")


def test_only_tools_call_tools(system: System) -> None:
    body = {**call("echo"), "callers": ["calling"]}
    assert system.http.post("/internal/tools/echo/invoke", json=body, headers=HEADERS).status_code == 200
    assert_problem(system.http.post("/internal/tools/echo/invoke", json=body), 401, "unauthorized")
    for wrong in ({**body, "callers": []}, {**body, "tool": "mask"}, {**body, "callers": ["echo"]}):
        answer = system.http.post("/internal/tools/echo/invoke", json=wrong, headers=HEADERS)
        assert_problem(answer, 422, "invalid_request")


def test_without_a_controller_there_is_nobody_to_call(tmp_path: Path) -> None:
    with running_worker(tmp_path, CallingTool(), EchoTool()) as client:
        answer = client.post("/calling/invoke", json={**call("calling"), "parameters": {"tool": "echo"}})
        assert "controller" in assert_problem(answer, 502, "worker_failed")
