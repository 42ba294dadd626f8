"""Responses and their items in the shape of the OpenAI responses API.

A tool call is an `mcp_call`, never a `function_call`, which clients would try to run themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mmedagent.controller.store.models import TurnRow
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

Item = dict[str, Any]
SERVER_LABEL = "mmedagent"
RESPONSE_PREFIX = "resp_"


def status_of(turn: TurnRow) -> str:
    """The status of a turn in OpenAI's words."""
    return "in_progress" if turn.status == "running" else turn.status


def response_id(turn_id: str | None) -> str | None:
    return turn_id and f"{RESPONSE_PREFIX}{turn_id}"


def response_object(
    started: TurnStarted,
    created_at: float,
    status: str = "in_progress",
    output: Sequence[Item] = (),
    error: Item | None = None,
) -> Item:
    return {
        "id": response_id(started.turn_id),
        "object": "response",
        "created_at": created_at,
        "status": status,
        "model": started.planner,
        "conversation": {"id": started.conversation_id},
        "previous_response_id": response_id(started.parent),
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
        "mmedagent": {
            "parent": response_id(started.parent),
            "rerun_of": response_id(started.rerun_of),
            "reused": list(started.reused),
        },
    }


def error_of(events: Iterable[TurnEvent]) -> Item | None:
    """Why a turn failed, if it did."""
    problem = next((event.problem for event in events if isinstance(event, TurnFailed)), None)
    return {"code": problem.code, "message": problem.detail} if problem else None


def reasoning_item(turn_id: str, step: int, text: str) -> Item:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": f"rs_{turn_id}_{step}", "type": "reasoning", "summary": summary}


def call_item(call_id: str, tool: str, parameters: JsonObject, outcome: Outcome | None) -> Item:
    """A tool call; `output` is the JSON of data, artifacts and provenance."""
    item: Item = {
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
        item |= {"output": json.dumps(kept), "status": "completed"}
    elif outcome is not None:
        text = outcome.reason if isinstance(outcome, ToolSkipped) else outcome.message
        error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]}
        item |= {"error": error, "status": "incomplete" if isinstance(outcome, ToolSkipped) else "failed"}
    return item


def text_part(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(turn_id: str, text: str, status: str = "completed") -> Item:
    content = [text_part(text)] if text else []
    return {"id": f"msg_{turn_id}", "type": "message", "role": "assistant", "status": status, "content": content}


def question_item(turn: TurnRow) -> Item:
    content: list[Item] = [{"type": "input_text", "text": turn.question}]
    if turn.file_id:
        content.append({"type": "input_image", "file_id": turn.file_id, "detail": "auto"})
    return {
        "id": f"msg_{turn.id}_user",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": content,
    }


def items_of(turn_id: str, events: Iterable[TurnEvent]) -> list[Item]:
    """The output items of a turn from its stored events, in the order in which they began."""
    items: dict[str, Item] = {}
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
                _add(items, message_item(turn_id, event.answer))
            case _:
                continue
    return list(items.values())


def _add(items: dict[str, Item], item: Item) -> None:
    items[item["id"]] = item
