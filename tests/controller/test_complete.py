"""Free text that a tool asks of a planner's model: who may, what comes back, and what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from mmedagent.model_worker.planner import CompletedEvent
from mmedagent.model_worker.scripted import ScriptRule
from mmedagent.protocol.completion import CompletionDone, CompletionRequest, ReasoningDelta, TextDelta
from mmedagent.protocol.errors import CancelledError, DeadlineError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray, ToolContext, ToolOutput, Writing
from support.images import png_bytes
from support.planners import OddPlanner
from support.problems import assert_problem
from support.script import answer, rule
from support.system import WORKER_TOKEN, System, running_controller, running_system
from support.tools import PATIENCE_S, POLL_S, make_card, wait_until
from support.worker import call, running_worker

HEADERS = {"Authorization": f"Bearer {WORKER_TOKEN}"}
RULES = [
    ScriptRule(contains="liver", completion="It is bright."),
    rule("", answer("Fine.")),
    ScriptRule(contains="twice", completion=""),
]
ASK = {
    "messages": [{"role": "user", "text": "Is the liver bright?"}],
    "correlation_id": "request-1",
    "callers": ["writing"],
}


class WritingTool:
    """Has a model continue `text`, and gives what that wrote, or what went wrong."""

    def __init__(self) -> None:
        fields: dict[str, Any] = {name: {"type": "string"} for name in ("text", "model", "image")}
        fields |= {name: {"type": "number"} for name in ("deadline_s", "max_tokens")}
        result = {"found": {"type": "object"}}
        self.card = make_card("writing", fields, result, required=["text"])

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        given: Any = dict(call.parameters)
        message = ChatMessage(role="user", text=given.pop("text"))
        try:
            found = context.of(call).complete([message], call.image, Writing(**given)).model_dump(mode="json")
        except MMedAgentError as error:
            found = {"code": error.code, "detail": error.detail}
        return ToolOutput({"found": found})


class WritingPlanner(OddPlanner):
    """A planner whose model writes what the last message names."""

    def __init__(self) -> None:
        super().__init__()
        self.card = PlannerCard(name="writer", backend="writer", version="1.0.0", adapters=("chest",))
        self.asked: list[CompletionRequest] = []
        self.seen: list[tuple[int, ...] | None] = []

    def complete(
        self, request: CompletionRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[CompletedEvent]:
        self.asked.append(request)
        self.seen.append(None if frame is None else frame.shape)
        match request.messages[-1].text:
            case "die":
                raise ValueError("secret-of-the-model")
            case "stop":
                yield TextDelta(text="The")
                return
            case "long":
                yield from (TextDelta(text="a" * MAX_TEXT) for _ in range(2))
            case "hang":
                yield from self._forever(raise_if_cancelled)
            case _:
                yield ReasoningDelta(text="Let me think.")
                yield TextDelta(text="It is ")
                yield TextDelta(text="so.")
        yield CompletionDone(model=self.card.name, checkpoint_sha256="ab" * 32, finish="length")

    def _forever(self, raise_if_cancelled: Callable[[], None]) -> Iterator[CompletedEvent]:
        never = threading.Event()
        try:
            while not never.wait(POLL_S):
                raise_if_cancelled()
                yield TextDelta(text="a")
        except (CancelledError, DeadlineError) as error:
            self.ended.append(error.code)
            raise


@pytest.fixture(scope="module")
def planner() -> WritingPlanner:
    return WritingPlanner()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, planner: WritingPlanner) -> Iterator[System]:
    """Three planners: one that only plans, one that writes, and a scripted one."""
    with running_system(tmp_path_factory.mktemp("system"), RULES, [WritingTool()], tool_deadline_s=20) as running:
        running.add_planner(OddPlanner())
        running.add_planner(planner)
        wait_until(lambda: len(running.http.get("/v1/models").json()["data"]) == 4, "all models are there")
        yield running


def ask(system: System, text: str, file_id: str | None = None, **fields: Any) -> httpx.Response:
    body = {"parameters": {"text": text, **fields}, "file_id": file_id}
    return system.http.post("/v1/tools/writing/invoke", json=body, headers={"X-Request-Id": "request-1"})


def test_a_text_comes_back_whole_with_who_wrote_it(system: System, planner: WritingPlanner) -> None:
    planner.asked.clear()
    found = ask(system, "x", system.upload(png_bytes()), model="writer:chest", max_tokens=7).json()["data"]["found"]
    assert found == {
        "text": "It is so.",
        "reasoning": "Let me think.",
        "model": "writer",
        "checkpoint_sha256": "ab" * 32,
        "finish": "length",
    }
    (asked,) = planner.asked
    assert (asked.adapter, asked.max_tokens, asked.callers, asked.correlation_id) == (
        "chest",
        7,
        ("writing",),
        "request-1",
    )
    assert 0 < asked.deadline_s <= system.settings.tool_deadline_s
    assert planner.seen == [(16, 24, 3)]


def test_without_a_name_the_first_that_writes_is_asked(system: System) -> None:
    """`odd`, which only plans, would come before `scripted`."""
    found = ask(system, "Is the Liver bright?").json()["data"]["found"]
    assert (found["text"], found["model"]) == ("It is bright.", "scripted")
    assert ask(system, "Ask twice").json()["data"]["found"]["text"] == ""


@pytest.mark.parametrize(
    ("text", "model", "words"),
    [
        ("x", "odd", "writes plans and no free text"),
        ("x", "nobody", "There is no model nobody"),
        ("x", "scripted", "no text for these messages"),
        ("die", "writer", "failed in an unexpected way"),
        ("stop", "writer", "stopped before its text was done"),
        ("long", "writer", "more than a text can hold"),
    ],
)
def test_what_goes_wrong_is_told_to_the_tool(system: System, text: str, model: str, words: str) -> None:
    found = ask(system, text, model=model).json()["data"]["found"]
    assert found["code"] == "worker_failed"
    assert words in found["detail"]
    assert "secret" not in found["detail"]


def test_a_text_ends_at_its_own_deadline_and_nobody_is_blamed(system: System, planner: WritingPlanner) -> None:
    """More often than would open the planner's breaker."""
    planner.ended.clear()
    found = ask(system, "hang", model="writer", deadline_s=0.05).json()["data"]["found"]
    assert found["code"] == "deadline_exceeded"
    body = {**ASK, "messages": [{"role": "user", "text": "hang"}], "model": "writer", "deadline_s": 0.05}
    for _ in range(6):
        answer = system.http.post("/internal/completions", json=body, headers=HEADERS)
        assert_problem(answer, 504, "deadline_exceeded")
    assert ask(system, "x", model="writer").status_code == 200
    assert system.workers_info()["writer"]["state"] == "ready"
    assert set(planner.ended) <= {"deadline_exceeded", "cancelled"}


def test_a_text_ends_when_its_caller_leaves(system: System, planner: WritingPlanner) -> None:
    planner.ended.clear()
    body = {"parameters": {"text": "hang", "model": "writer"}}
    with pytest.raises(httpx.ReadTimeout):
        system.http.post("/v1/tools/writing/invoke", json=body, timeout=0.5)
    wait_until(lambda: planner.ended == ["cancelled"], "the model stops")
    wait_until(lambda: system.workers_info()["writer"]["outstanding"] == 0, "its place is free")


def test_only_tools_ask_for_texts(system: System) -> None:
    where = "/internal/completions"
    assert system.http.post(where, json={**ASK, "model": "scripted"}, headers=HEADERS).json()["text"] == "It is bright."
    assert_problem(system.http.post(where, json=ASK), 401, "unauthorized")
    refused: list[dict[str, Any]] = [
        {"callers": []},
        {"messages": []},
        {"max_tokens": 0},
        {"temperature": 3},
        {"prompt": "x"},
    ]
    for wrong in refused:
        assert_problem(system.http.post(where, json={**ASK, **wrong}, headers=HEADERS), 422, "invalid_request")
    assert_problem(system.http.post(where, json={**ASK, "model": "odd"}, headers=HEADERS), 422, "invalid_request")


def test_a_planner_that_only_plans_says_so_itself(system: System) -> None:
    worker = next(row for row in system.http.get("/v1/workers").json()["data"] if row["name"] == "scripted")
    assert worker["state"] == "ready"
    url = f"{system.workers['planner'].url}/planner/complete"
    assert_problem(httpx.post(url, json=ASK), 401, "unauthorized")


def test_without_a_planner_that_writes_there_is_no_text(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        odd = system.add_planner(OddPlanner())
        system.wait_until_ready()
        said = httpx.post(f"{odd.url}/planner/complete", json=ASK, headers=HEADERS).text
        assert "writes plans and no free text" in said
        assert_problem(system.http.post("/internal/completions", json=ASK, headers=HEADERS), 503, "unavailable")
    with running_worker(tmp_path, WritingTool()) as client:
        answered = client.post("/writing/invoke", json=call("writing", text="x"), timeout=PATIENCE_S).json()
        assert "no model to ask" in answered["data"]["found"]["detail"]
