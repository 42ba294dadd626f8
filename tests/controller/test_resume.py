"""Turns that outlive their callers: watched by several, left and found again, cancelled, interrupted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.live import LiveTurn
from mmedagent.controller.store.models import EventRow, TurnRow
from mmedagent.protocol.events import AnswerWritten, TurnCompleted, TurnStarted
from mmedagent.serving.tool import Tool
from support.planners import OddPlanner
from support.problems import assert_problem, assert_unharmed
from support.script import action, answer, rule, told
from support.streams import Event, events_in, in_background, read, watched, watching
from support.system import System, running_controller, running_system
from support.tools import PATIENCE_S, BrokenTool, EchoTool, NothingTool, SlowTool, wait_until

CANCEL_S = 1.0
DELTA = {"response.reasoning_summary_text.delta", "response.output_text.delta"}
RULES = [
    told("mixed", action("echo"), action("broken"), action("nothing"), action("echo", boxes="$3.boxes")),
    told("slow", action("slow")),
    rule("", answer("Fine.")),
]


@pytest.fixture(scope="module")
def module_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, SlowTool]]:
    slow = SlowTool()
    tools: list[Tool] = [slow, EchoTool(), BrokenTool(), NothingTool()]
    with running_system(tmp_path_factory.mktemp("resume"), RULES, tools) as system:
        yield system, slow


@pytest.fixture
def patient(module_system: tuple[System, SlowTool]) -> tuple[System, SlowTool]:
    """A system with a slow tool that has not been called yet."""
    system, slow = module_system
    slow.was_cancelled.clear()
    slow.release.clear()
    slow.ended.clear()
    return system, slow


def until(events: Iterator[Event], kind: str) -> list[Event]:
    """The events up to the first of a kind."""
    seen = []
    for event in events:
        seen.append(event)
        if event["type"] == kind:
            return seen
    raise AssertionError(f"there was no {kind}")


def test_a_turn_in_the_background_goes_on_alone(patient: tuple[System, SlowTool]) -> None:
    system, slow = patient
    response = in_background(system, "slow")
    assert slow.started.acquire(timeout=PATIENCE_S)
    wait_until(lambda: "mcp_call" in {item["type"] for item in read(system, response)["output"]}, "the call is stored")
    running = read(system, response)
    assert (running["status"], running["output"][-1]["status"]) == ("in_progress", "in_progress")
    slow.release.set()
    wait_until(lambda: read(system, response)["status"] == "completed", "the turn ends")
    assert slow.ended == ["released"]
    assert_unharmed(system, "Hi")


def test_several_watch_one_turn_and_whoever_comes_back_gets_the_rest(patient: tuple[System, SlowTool]) -> None:
    system, slow = patient
    with system.http.stream("POST", "/v1/responses", json={"input": "slow", "stream": True, "background": True}) as one:
        seen = until(events_in(one.iter_lines()), "response.mcp_call.in_progress")
    response, last = seen[0]["response"]["id"], seen[-1]["sequence_number"]
    assert slow.started.acquire(timeout=PATIENCE_S)
    with watching(system, response) as first, watching(system, response, starting_after=last) as second:
        assert until(first, "response.mcp_call.in_progress") == seen
        slow.release.set()
        rest = list(first)
        assert list(second) == rest
    assert rest[-1]["type"] == "response.completed"
    assert watched(system, response) == [*seen, *rest]
    assert watched(system, response, {"Last-Event-ID": str(last)}) == rest
    assert watched(system, response, {"Last-Event-ID": "0"}, starting_after=last) == rest
    assert watched(system, response, starting_after=rest[-1]["sequence_number"]) == []


def test_a_turn_lasts_as_long_as_somebody_watches(patient: tuple[System, SlowTool]) -> None:
    system, slow = patient
    with ExitStack() as stack:
        body = {"input": "slow", "stream": True}
        events = events_in(stack.enter_context(system.http.stream("POST", "/v1/responses", json=body)).iter_lines())
        response = until(events, "response.mcp_call.in_progress")[0]["response"]["id"]
        assert slow.started.acquire(timeout=PATIENCE_S)
        with watching(system, response) as second:
            until(second, "response.mcp_call.in_progress")
            stack.close()
            assert not slow.was_cancelled.wait(0.2)
    assert slow.was_cancelled.wait(CANCEL_S)
    wait_until(lambda: read(system, response)["status"] == "cancelled", "the turn is marked as cancelled")


def test_cancelling_reaches_the_tool_within_a_second(patient: tuple[System, SlowTool]) -> None:
    system, slow = patient
    response = in_background(system, "slow")
    assert slow.started.acquire(timeout=PATIENCE_S)
    health = f"{system.workers['tools'].url}/slow/health"
    assert system.http.get(health).json()["in_flight"] == 1
    with watching(system, response) as events:
        began = time.monotonic()
        cancelled = system.http.post(f"/v1/responses/{response}/cancel")
        wait_until(lambda: system.http.get(health).json()["in_flight"] == 0, "the worker is free", CANCEL_S)
        assert time.monotonic() - began < CANCEL_S
        last = list(events)[-1]
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert last["type"] == "response.failed"
    assert (last["response"]["status"], last["response"]["error"]["code"]) == ("cancelled", "cancelled")
    assert cancelled.json() == last["response"] == read(system, response)
    assert slow.ended == ["cancelled"]
    assert system.http.post(f"/v1/responses/{response}/cancel").json() == cancelled.json()
    assert_unharmed(system, "Hi")


def test_a_response_that_has_ended_is_not_cancelled_any_more(patient: tuple[System, SlowTool]) -> None:
    system, _ = patient
    done = system.respond("Hi").json()
    kept = system.http.post(f"/v1/responses/{done['id']}/cancel").json()
    assert (kept["status"], kept["output"]) == ("completed", done["output"])


def test_whoever_waits_for_a_turn_that_another_cancels_is_told(patient: tuple[System, SlowTool]) -> None:
    system, slow = patient
    with system.http.stream("POST", "/v1/responses", json={"input": "slow", "stream": True}) as stream:
        events = events_in(stream.iter_lines())
        response = next(events)["response"]["id"]
        assert slow.started.acquire(timeout=PATIENCE_S)
        system.http.post(f"/v1/responses/{response}/cancel")
        assert list(events)[-1]["response"]["error"]["message"] == "The turn was cancelled."


def test_a_planner_is_cancelled_and_pieces_of_text_are_there_for_a_later_watcher(tmp_path: Path) -> None:
    planner = OddPlanner()
    with running_controller(tmp_path) as system:
        system.add_planner(planner)
        system.wait_until_ready()
        response = in_background(system, "hang")
        with watching(system, response) as events:
            seen = until(events, "response.reasoning_summary_text.delta")
        with watching(system, response) as events:
            assert until(events, "response.reasoning_summary_text.delta") == seen
        assert seen[-1]["delta"] == "Let me "
        system.http.post(f"/v1/responses/{response}/cancel")
        wait_until(lambda: planner.ended == ["cancelled"], "the planner stops", CANCEL_S)


async def test_nobody_waits_for_a_slow_reader() -> None:
    live = LiveTurn("owner", TurnStarted(turn_id="t", conversation_id="c", planner="p"), lambda _: None)

    async def answer_at_length() -> None:
        for _ in range(10_000):
            live.emit(AnswerWritten(text="word " * 100))
        live.emit(TurnCompleted(thoughts="", answer="word"))

    slow_reader = live.events()
    live.start(answer_at_length())
    assert isinstance((await anext(slow_reader)).event, TurnStarted)
    async with asyncio.timeout(PATIENCE_S):
        events = [stored async for stored in live.events()]
    assert isinstance(events[-1].event, TurnCompleted)
    assert [stored.sequence for stored in events] == list(range(1, len(events) + 1))
    assert [stored async for stored in slow_reader] == events[1:]


@pytest.mark.parametrize("question", ["mixed", "slow", "hello"])
def test_a_stream_from_the_database_has_the_same_numbers(tmp_path: Path, question: str) -> None:
    slow = SlowTool()
    slow.release.set()
    with running_system(tmp_path, RULES, [slow, EchoTool(), BrokenTool(), NothingTool()]) as system:
        live = asked_in_a_stream(system, question)
    response = live[0]["response"]["id"]
    with running_controller(tmp_path) as again:
        stored = watched(again, response)
        by_number = {event["sequence_number"]: event for event in live}
        same = [event for event in stored if event["sequence_number"] in by_number]
        assert same == [by_number[event["sequence_number"]] for event in same]
        assert all(is_text(event) for event in stored if event["sequence_number"] not in by_number)
        assert [event for event in same if not is_text(event)] == [event for event in live if not is_text(event)]
        assert stored[-1]["response"] == read(again, response)
        numbers = [event["sequence_number"] for event in stored]
        assert numbers == sorted(set(numbers))
        for after in (live[0], live[len(live) // 2], live[-2]):
            number = after["sequence_number"]
            rest = [event for event in stored if event["sequence_number"] > number]
            assert watched(again, response, starting_after=number) == rest
        assert text_of(stored) == text_of(live)


def is_text(event: Event) -> bool:
    """Whether an event is about thoughts or an answer, which come in pieces that are not stored."""
    name = event.get("item_id") or event.get("item", {}).get("id", "")
    return str(name).startswith(("rs_", "msg_"))


def asked_in_a_stream(system: System, question: str) -> list[Event]:
    with system.http.stream("POST", "/v1/responses", json={"input": question, "stream": True}) as stream:
        return list(events_in(stream.iter_lines()))


def text_of(events: list[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] in DELTA)


def test_a_controller_that_stops_ends_its_turns_in_words(tmp_path: Path) -> None:
    slow = SlowTool()
    with ExitStack() as workers:
        with running_controller(tmp_path, expected_tools=("slow",)) as system:
            system.stack = workers  # they outlive the controller
            system.add_script(RULES)
            system.add_tools([slow])
            system.wait_until_ready()
            response = in_background(system, "slow")
            assert slow.started.acquire(timeout=PATIENCE_S)
        assert slow.was_cancelled.wait(CANCEL_S)
    with running_controller(tmp_path) as again:
        assert_ends_in_words(again, response)


def test_a_turn_that_a_killed_controller_left_ends_in_words(tmp_path: Path) -> None:
    with running_system(tmp_path, RULES, [EchoTool(), BrokenTool(), NothingTool()]) as system:
        live = asked_in_a_stream(system, "mixed")
        response = live[0]["response"]["id"]
        leave_running(system.settings.database, response.removeprefix("resp_"), events=3)
        unbegun = system.respond("Hi").json()["id"]
        leave_running(system.settings.database, unbegun.removeprefix("resp_"), events=0)
    with running_controller(tmp_path) as again:
        stored = assert_ends_in_words(again, response)
        assert stored[-1]["sequence_number"] > live[-1]["sequence_number"]
        assert_ends_in_words(again, unbegun)


def assert_ends_in_words(system: System, response: str) -> list[Event]:
    events = watched(system, response)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert "server was stopped" in last["response"]["error"]["message"]
    assert read(system, response) == last["response"]
    return events


def leave_running(url: str, turn_id: str, events: int) -> None:
    """As a controller that is killed after so many events leaves a turn."""
    engine = sa.create_engine(url)
    with Session(engine) as session, session.begin():
        session.get_one(TurnRow, turn_id).status = "running"
        kept = sa.select(EventRow.sequence).where(EventRow.turn_id == turn_id).order_by(EventRow.sequence).limit(events)
        session.execute(sa.delete(EventRow).where(EventRow.turn_id == turn_id, EventRow.sequence.not_in(kept)))
    engine.dispose()


@pytest.mark.parametrize(
    ("fields", "words"), [({"store": False, "background": True}, "background"), ({"background": "often"}, "background")]
)
def test_a_background_that_makes_no_sense_is_refused(
    patient: tuple[System, SlowTool], fields: dict[str, Any], words: str
) -> None:
    system, _ = patient
    assert words in assert_problem(system.respond("Hi", **fields), 422, "invalid_request")


def test_what_cannot_be_watched_or_cancelled_is_refused(patient: tuple[System, SlowTool]) -> None:
    system, _ = patient
    done = system.respond("Hi").json()["id"]
    url = f"/v1/responses/{done}"
    for number in ("-1", "x", str(2**60)):
        assert_problem(system.http.get(url, params={"stream": True, "starting_after": number}), 422, "invalid_request")
        answer = system.http.get(url, params={"stream": True}, headers={"Last-Event-ID": number})
        assert_problem(answer, 422, "invalid_request")
    foreign = "0123456789abcdef"
    add_foreign(system.settings.database, done.removeprefix("resp_"), foreign)
    for name in (foreign, "nobody", f"resp_{foreign}"):
        assert_problem(system.http.get(f"/v1/responses/{name}", params={"stream": True}), 404, "not_found")
        assert_problem(system.http.post(f"/v1/responses/{name}/cancel"), 404, "not_found")
    unstored = system.respond("Hi", store=False).json()["id"]
    assert_problem(system.http.get(f"/v1/responses/{unstored}", params={"stream": True}), 404, "not_found")


def add_foreign(url: str, turn_id: str, other: str) -> None:
    """A copy of a turn that is somebody else's."""
    engine = sa.create_engine(url)
    with Session(engine) as session, session.begin():
        row = session.get_one(TurnRow, turn_id)
        columns = {column.key: getattr(row, column.key) for column in sa.inspect(TurnRow).columns}
        session.add(TurnRow(**columns | {"id": other, "owner": "somebody else"}))
    engine.dispose()
