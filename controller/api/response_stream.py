"""The events of a turn as the streaming events of the OpenAI responses API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmedagent.controller.api.items import (
    Item,
    call_item,
    items_of,
    message_item,
    reasoning_item,
    text_part,
)
from mmedagent.protocol.events import (
    AnswerWritten,
    CallEnded,
    CallProgressed,
    CallStarted,
    PlanMade,
    ThoughtsWritten,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from mmedagent.protocol.invocation import ToolResult

StreamEvent = dict[str, Any]


class ResponseStream:
    """Translates one turn. `response` is the response object as it stands."""

    def __init__(self, response: Item, turn_id: str) -> None:
        self.response = response
        self._turn_id = turn_id
        self._sequence = 0
        self._indexes: dict[str, int] = {}
        self._events: list[TurnEvent] = []
        self._thinking: tuple[int, str] | None = None
        self._answer: str | None = None

    def translate(self, event: TurnEvent) -> Iterator[StreamEvent]:
        """The stream events for one turn event, in order."""
        for made in self._made(event):
            made["sequence_number"] = self._sequence
            self._sequence += 1
            yield made

    def _made(self, event: TurnEvent) -> Iterator[StreamEvent]:
        self._events.append(event)
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
                error = {"code": event.problem.code, "message": event.problem.detail}
                self._finish("failed", error)
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

    def _think_through(self, step: int, thoughts: str) -> Iterator[StreamEvent]:
        if thoughts and self._thinking is None:
            yield from self._think(step, thoughts)
        yield from self._stop_thinking()

    def _stop_thinking(self) -> Iterator[StreamEvent]:
        if self._thinking is None:
            return
        step, text = self._thinking
        self._thinking = None
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
        item = message_item(self._turn_id, "", "in_progress")
        place = self._place(item)
        if self._answer is None:
            self._answer = ""
            yield self._added(item)
            yield {"type": "response.content_part.added", **place, "content_index": 0, "part": text_part("")}
        self._answer += text
        yield {"type": "response.output_text.delta", **place, "content_index": 0, "delta": text, "logprobs": []}

    def _complete(self, event: TurnCompleted) -> Iterator[StreamEvent]:
        yield from self._stop_thinking()
        if self._answer is None:
            yield from self._write(event.answer)
        item = message_item(self._turn_id, event.answer, claims=event.claims)
        place = {**self._place(item), "content_index": 0}
        yield {"type": "response.output_text.done", **place, "text": event.answer, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": text_part(event.answer)}
        yield self._done(item)
        self._finish("completed", None)
        yield {"type": "response.completed", "response": self.response}

    def _finish(self, status: str, error: Item | None) -> None:
        output = items_of(self._turn_id, self._events)
        self.response = {**self.response, "status": status, "error": error, "output": output}

    def _place(self, item: Item) -> StreamEvent:
        index = self._indexes.setdefault(item["id"], len(self._indexes))
        return {"item_id": item["id"], "output_index": index}

    def _added(self, item: Item) -> StreamEvent:
        return {"type": "response.output_item.added", "output_index": self._place(item)["output_index"], "item": item}

    def _done(self, item: Item) -> StreamEvent:
        return {"type": "response.output_item.done", "output_index": self._place(item)["output_index"], "item": item}
