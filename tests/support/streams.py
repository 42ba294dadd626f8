"""Streams of responses, read as a page reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from support.system import System

Event = dict[str, Any]


def events_in(lines: Iterable[str]) -> Iterator[Event]:
    """The events as they come. The id of each is its sequence number, and its name is its type."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            event = json.loads(fields["data"])
            assert (fields["id"], fields["event"]) == (str(event["sequence_number"]), event["type"])
            fields = {}
            yield event


@contextmanager
def watching(system: System, response_id: str, headers: dict[str, str] | None = None, **params: int) -> Iterator[Any]:
    """The events of a response from a place on, while it lasts."""
    url = f"/v1/responses/{response_id}"
    with system.http.stream("GET", url, params={"stream": True, **params}, headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        yield events_in(stream.iter_lines())


def watched(system: System, response_id: str, headers: dict[str, str] | None = None, **params: int) -> list[Event]:
    """The events of a response from a place on, to its end."""
    with watching(system, response_id, headers, **params) as events:
        return list(events)


def in_background(system: System, text: str, **fields: Any) -> str:
    """Ask and leave; returns the response's id."""
    answer = system.respond(text, background=True, **fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["output"]) == ("in_progress", [])
    return str(body["id"])


def read(system: System, response_id: str) -> dict[str, Any]:
    """A stored response."""
    answer = system.http.get(f"/v1/responses/{response_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
