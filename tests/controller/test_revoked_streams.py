"""A stream whose key is revoked while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.store.models import ApiKeyRow
from support.keys import client, make_key, run_keys
from support.script import action, answer, plan, rule
from support.streams import events_in
from support.system import System, running_system
from support.tools import PATIENCE_S, SlowTool

RULES = [rule("", plan(action("slow")), answer("Never."))]


@pytest.fixture
def slow() -> SlowTool:
    return SlowTool()


@pytest.fixture
def system(tmp_path: Path, slow: SlowTool) -> Iterator[System]:
    with running_system(tmp_path, RULES, [slow]) as running:
        yield running


@pytest.fixture
def alice(system: System) -> httpx.Client:
    make_key(system, "bob")
    return client(system, make_key(system, "alice"))


def revoke(system: System, name: str) -> None:
    engine = sa.create_engine(system.settings.database)
    with Session(engine) as session:
        key_id = session.scalars(sa.select(ApiKeyRow.id).where(ApiKeyRow.name == name)).one()
    engine.dispose()
    run_keys(system, "revoke", key_id)


def test_a_stream_of_a_response_ends_in_an_error(system: System, alice: httpx.Client, slow: SlowTool) -> None:
    with alice.stream("POST", "/v1/responses", json={"input": "Wait.", "stream": True}) as stream:
        events = events_in(stream.iter_lines())
        seen = [next(events)]
        assert slow.started.acquire(timeout=PATIENCE_S)
        revoke(system, "alice")
        seen += events
    assert (seen[0]["type"], seen[-1]["type"], seen[-1]["code"]) == ("response.created", "error", "unauthorized")
    assert seen[-1]["sequence_number"] == seen[-2]["sequence_number"]
    assert not {"response.failed", "response.completed"} & {event["type"] for event in seen}
    assert slow.was_cancelled.wait(PATIENCE_S), "nobody watches the turn any more"


def test_a_stream_of_a_turn_in_the_background_ends_and_the_turn_goes_on(
    system: System, alice: httpx.Client, slow: SlowTool
) -> None:
    begun = alice.post("/v1/responses", json={"input": "Wait.", "background": True}).json()
    assert slow.started.acquire(timeout=PATIENCE_S)
    again = client(system, make_key(system, "alice-at-home", "--owner", "alice"))
    url = f"/v1/responses/{begun['id']}"
    with alice.stream("GET", url, params={"stream": True}) as stream:
        events = events_in(stream.iter_lines())
        first = next(events)
        revoke(system, "alice")
        *_, last = [first, *events]
    assert (last["type"], last["code"]) == ("error", "unauthorized")
    slow.release.set()
    with again.stream("GET", url, params={"stream": True}) as stream:
        *_, last = events_in(stream.iter_lines())
    assert last["type"] == "response.completed"


def test_a_chat_ends_in_an_error(system: System, alice: httpx.Client, slow: SlowTool) -> None:
    body = {"messages": [{"role": "user", "content": "Wait."}], "stream": True}
    with alice.stream("POST", "/v1/chat/completions", json=body) as stream:
        assert slow.started.acquire(timeout=PATIENCE_S)
        revoke(system, "alice")
        lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
    last: dict[str, Any] = json.loads(lines[-1])
    assert last["error"]["code"] == "unauthorized"
    assert slow.was_cancelled.wait(PATIENCE_S)
