"""The events of a turn as the streaming events of the OpenAI responses API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmedagent.controller.api.items import (
    begun_message,
    call_item,
    error_of,
    items_of,
    message_item,
    reasoning_item,
    response_object,
    text_part,
)
from mmedagent.controller.api.shapes import OutputItem, ResponseError, ResponseStatus
from mmedagent.protocol.errors import CancelledError
from mmedagent.protocol.events import (
    AnswerWritten,
    CallEnded,
    CallProgressed,
    CallStarted,
    PlanMade,
    StoredEvent,
    ThoughtsWritten,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from mmedagent.protocol.invocation import ToolResult

StreamEvent = dict[str, Any]
PLACES = 16
"""Sequence numbers that each event of a turn has for the stream events it becomes."""

NOTHING = (None, None, None)
"""In place of the three events that begin a text or end it, when they came with a piece of it before."""


class ResponseStream:
    """Translates one turn. `response` is the response object as it stands.

    A stream event's number follows from the place of the turn event that it comes from, and from its own place among
    what that can become. So it is the same for a watcher who sees every piece of text and for one who gets only what is
    stored; to the latter, an item that began with a piece of text begins with the whole text.
    """

    def __init__(self, started: TurnStarted, created_at: float) -> None:
        self.response = response_object(started, created_at)
        self._turn_id = started.turn_id
        self._indexes: dict[str, int] = {}
        self._events: list[TurnEvent] = []
        self._thinking: tuple[int, str] | None = None
        self._thought_through = 0
        self._answer: str | None = None

    def translate(self, stored: StoredEvent) -> Iterator[StreamEvent]:
        """The stream events for one turn event, in order."""
        self._events.append(stored.event)
        for place, made in enumerate(self._made(stored.event)):
            if made is not None:
                yield {**made, "sequence_number": (stored.sequence - 1) * PLACES + place, "at": stored.at}

    def _made(self, event: TurnEvent) -> Iterator[StreamEvent | None]:
        match event:
            case TurnStarted():
                yield {"type": "response.created", "response": self.response}
                yield {"type": "response.in_progress", "response": self.response}
            case ThoughtsWritten():
                yield from self._think(event.step, event.text)
            case PlanMade():
                yield from self._think_through(event.step, event.plan.thoughts)
            case CallStarted():
                yield from self._call_started(event)
            case CallProgressed(progress=news):
                place = {"item_id": f"mcp_{event.call_id}", "output_index": self._indexes[f"mcp_{event.call_id}"]}
                told = {"fraction": news.fraction, "text": news.text}
                yield {"type": "response.mcp_call.in_progress", **place, "mmedagent": told}
            case CallEnded():
                yield from self._call_ended(event)
            case AnswerWritten():
                yield from self._stop_thinking()
                yield from self._write(event.text)
            case TurnCompleted():
                yield from self._complete(event)
            case TurnFailed():
                cancelled = event.problem.code == CancelledError.code
                self._finish("cancelled" if cancelled else "failed", error_of([event]))
                yield {"type": "response.failed", "response": self.response}

    def _think(self, step: int, text: str) -> Iterator[StreamEvent]:
        item = reasoning_item(self._turn_id, step, "")
        if self._thinking is None:
            self._thinking = (step, "")
            place = self._place(item)
            part = {"type": "summary_text", "text": ""}
            yield self._added(item)
            yield {"type": "response.reasoning_summary_part.added", **place, "summary_index": 0, "part": part}
        self._thinking = (step, self._thinking[1] + text)
        place = self._place(item)
        yield {"type": "response.reasoning_summary_text.delta", **place, "summary_index": 0, "delta": text}

    def _think_through(self, step: int, thoughts: str) -> Iterator[StreamEvent | None]:
        begins = bool(thoughts) and self._thinking is None and step > self._thought_through
        yield from self._think(step, thoughts) if begins else NOTHING
        yield from self._stop_thinking()

    def _stop_thinking(self) -> Iterator[StreamEvent | None]:
        if self._thinking is None:
            yield from NOTHING
            return
        step, text = self._thinking
        self._thinking, self._thought_through = None, step
        item = reasoning_item(self._turn_id, step, text)
        place = {**self._place(item), "summary_index": 0}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": item["summary"][0]}
        yield self._done(item)

    def _call_started(self, event: CallStarted) -> Iterator[StreamEvent]:
        item = call_item(event.call_id, event.tool, event.parameters, None)
        place = self._place(item)
        yield self._added(item)
        yield {"type": "response.mcp_call_arguments.done", **place, "arguments": item["arguments"]}
        yield {"type": "response.mcp_call.in_progress", **place}

    def _call_ended(self, event: CallEnded) -> Iterator[StreamEvent]:
        known = {item["id"]: item for item in items_of(self._turn_id, self._events)}
        item = known[f"mcp_{event.outcome.call_id}"]
        if item["id"] not in self._indexes:
            yield {
                "type": "response.output_item.added",
                "output_index": self._place(item)["output_index"],
                "item": item,
            }
        word = "completed" if isinstance(event.outcome, ToolResult) else "failed"
        yield {"type": f"response.mcp_call.{word}", **self._place(item)}
        yield self._done(item)

    def _write(self, text: str) -> Iterator[StreamEvent]:
        item = begun_message(self._turn_id)
        place = self._place(item)
        if self._answer is None:
            self._answer = ""
            yield self._added(item)
            yield {"type": "response.content_part.added", **place, "content_index": 0, "part": text_part("")}
        self._answer += text
        yield {"type": "response.output_text.delta", **place, "content_index": 0, "delta": text, "logprobs": []}

    def _complete(self, event: TurnCompleted) -> Iterator[StreamEvent | None]:
        plans = sum(isinstance(one, PlanMade) for one in self._events)
        yield from self._think_through(plans + 1, event.thoughts)
        yield from self._write(event.answer) if self._answer is None else NOTHING
        item = message_item(self._turn_id, event.answer, event.claims)
        place = {**self._place(item), "content_index": 0}
        yield {"type": "response.output_text.done", **place, "text": event.answer, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": text_part(event.answer)}
        yield self._done(item)
        self._finish("completed", None)
        yield {"type": "response.completed", "response": self.response}

    def _finish(self, status: ResponseStatus, error: ResponseError | None) -> None:
        output = items_of(self._turn_id, self._events)
        self.response = {**self.response, "status": status, "error": error, "output": output}

    def _place(self, item: OutputItem) -> StreamEvent:
        index = self._indexes.setdefault(item["id"], len(self._indexes))
        return {"item_id": item["id"], "output_index": index}

    def _added(self, item: OutputItem) -> StreamEvent:
        return {"type": "response.output_item.added", "output_index": self._place(item)["output_index"], "item": item}

    def _done(self, item: OutputItem) -> StreamEvent:
        return {"type": "response.output_item.done", "output_index": self._place(item)["output_index"], "item": item}
