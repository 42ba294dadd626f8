"""Responses and their items in the shape of the OpenAI responses API.

A tool call is an `mcp_call`, never a `function_call`, which clients would try to run themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter

from mmedagent.controller.api.shapes import (
    CallItem,
    Lineage,
    MessageItem,
    OutputItem,
    OutputText,
    QuestionImage,
    QuestionItem,
    QuestionText,
    ReasoningItem,
    ResponseError,
    ResponseObject,
    ResponseStatus,
    SummaryText,
)
from mmedagent.controller.naming import response_id
from mmedagent.controller.store.models import TurnRow
from mmedagent.protocol.claims import Claims
from mmedagent.protocol.events import (
    CallEnded,
    CallStarted,
    PlanMade,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from mmedagent.protocol.invocation import Outcome, ToolResult, ToolSkipped
from mmedagent.protocol.types import JsonObject

SERVER_LABEL = "mmedagent"
STATUSES: dict[str, ResponseStatus] = {
    "running": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""The status of a turn, in OpenAI's words."""

_CLAIMS: TypeAdapter[Claims] = TypeAdapter(Claims)


def lineage(parent: str | None, rerun_of: str | None, reused: Iterable[str]) -> Lineage:
    """From the ids of turns and calls."""
    return {
        "parent": parent and response_id(parent),
        "rerun_of": rerun_of and response_id(rerun_of),
        "reused": list(reused),
    }


def response_object(
    started: TurnStarted,
    created_at: float,
    status: ResponseStatus = "in_progress",
    output: Sequence[OutputItem] = (),
    error: ResponseError | None = None,
) -> ResponseObject:
    origin = lineage(started.parent, started.rerun_of, started.reused)
    return {
        "id": response_id(started.turn_id),
        "object": "response",
        "created_at": created_at,
        "status": status,
        "model": started.planner,
        "conversation": {"id": started.conversation_id},
        "previous_response_id": origin["parent"],
        "output": list(output),
        "error": error,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "mmedagent": origin,
    }


def error_of(events: Iterable[TurnEvent]) -> ResponseError | None:
    """Why a turn failed, if it did."""
    problem = next((event.problem for event in events if isinstance(event, TurnFailed)), None)
    return {"code": problem.code, "message": problem.detail} if problem else None


def reasoning_item(turn_id: str, step: int, text: str) -> ReasoningItem:
    summary: list[SummaryText] = [{"type": "summary_text", "text": text}] if text else []
    return {"id": f"rs_{turn_id}_{step}", "type": "reasoning", "summary": summary}


def call_item(call_id: str, tool: str, parameters: JsonObject, outcome: Outcome | None) -> CallItem:
    item: CallItem = {
        "id": f"mcp_{call_id}",
        "type": "mcp_call",
        "server_label": SERVER_LABEL,
        "name": tool,
        "arguments": json.dumps(parameters),
        "output": None,
        "error": None,
        "status": "in_progress",
    }
    if isinstance(outcome, ToolResult):
        kept = outcome.model_dump(mode="json", include={"data", "artifacts", "provenance"})
        item["output"], item["status"] = json.dumps(kept), "completed"
    elif outcome is not None:
        text = outcome.reason if isinstance(outcome, ToolSkipped) else outcome.message
        item["error"] = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]}
        item["status"] = "incomplete" if isinstance(outcome, ToolSkipped) else "failed"
    return item


def text_part(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def begun_message(turn_id: str) -> MessageItem:
    """An answer before its first word."""
    return {"id": f"msg_{turn_id}", "type": "message", "role": "assistant", "status": "in_progress", "content": []}


def message_item(turn_id: str, text: str, claims: Claims) -> MessageItem:
    return {
        **begun_message(turn_id),
        "status": "completed",
        "content": [text_part(text)] if text else [],
        "mmedagent": {"claims": _CLAIMS.dump_python(claims, mode="json")},
    }


def question_item(turn: TurnRow) -> QuestionItem:
    content: list[QuestionText | QuestionImage] = [{"type": "input_text", "text": turn.question}]
    if turn.file_id:
        content.append({"type": "input_image", "file_id": turn.file_id, "detail": "auto"})
    return {
        "id": f"msg_{turn.id}_user",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": content,
    }


def items_of(turn_id: str, events: Iterable[TurnEvent]) -> list[OutputItem]:
    """The output items of a turn from its stored events, in the order in which they began."""
    items: dict[str, OutputItem] = {}
    parameters: dict[str, JsonObject] = {}
    step = 1
    for event in events:
        match event:
            case PlanMade():
                step = event.step + 1
                _add(items, reasoning_item(turn_id, event.step, event.plan.thoughts))
            case CallStarted():
                parameters[event.call_id] = event.parameters
                _add(items, call_item(event.call_id, event.tool, event.parameters, None))
            case CallEnded(outcome=outcome):
                given = parameters.get(outcome.call_id, {})
                _add(items, call_item(outcome.call_id, outcome.tool, given, outcome))
            case TurnCompleted():
                _add(items, reasoning_item(turn_id, step, event.thoughts))
                _add(items, message_item(turn_id, event.answer, event.claims))
            case _:
                continue
    return list(items.values())


def _add(items: dict[str, OutputItem], item: OutputItem) -> None:
    items[item["id"]] = item
