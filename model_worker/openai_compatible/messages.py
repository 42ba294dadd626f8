"""How a planner request becomes a chat request: the conversation, the image, and the steps so far."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from mmedagent.model_worker.openai_compatible.instructions import CORRECTION, parameters_of, system_text
from mmedagent.model_worker.openai_compatible.plan_schema import plan_schema
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import TooLargeError
from mmedagent.protocol.invocation import Outcome, ToolFailure, ToolResult
from mmedagent.protocol.plan import PlannerRequest, Step
from mmedagent.protocol.prompts import without_earliest_turn
from mmedagent.serving.chat.picture import with_picture
from mmedagent.serving.chat.wire import (
    CallPart,
    ChatRequest,
    Function,
    FunctionCall,
    FunctionTool,
    Message,
    TextPart,
)
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.tool import PixelArray

MAX_OUTCOME_CHARACTERS = 6_000
"""Of one result in a request; a longer one is cut."""


def usable_tools(request: PlannerRequest) -> tuple[ToolCard, ...]:
    """The tools that can run on this request: those that need an image only if there is one."""
    return tuple(card for card in request.tools if request.image is not None or not card.needs_image)


def chat_request(
    endpoint: Endpoint,
    request: PlannerRequest,
    tools: Sequence[ToolCard],
    frame: PixelArray | None,
    problem: str | None = None,
) -> ChatRequest:
    """What is sent for one step. `problem` is what was wrong with a first reply to the same request.

    Raises `TooLargeError` when the present turn alone is longer than the endpoint's context.
    """
    native = endpoint.plans == "tools"
    picture = frame if endpoint.vision else None
    others = [message.text for message in request.messages if message.role == "system"]
    system = system_text(request, tools, native=native, sees_image=picture is not None, others=others)
    limit = endpoint.context_characters - sum(map(len, others))
    talk, steps = _fitting(request, native, limit)
    if picture is not None:
        talk[-1] = with_picture(talk[-1], picture)
    messages = [Message(role="system", content=system), *talk, *steps]
    return ChatRequest(
        model=endpoint.model,
        messages=tuple(_corrected(messages, problem) if problem is not None else messages),
        tools=tuple(_function(card) for card in tools) if native and tools else None,
        response_format=None if native else plan_schema(tools),
    )


def _fitting(request: PlannerRequest, native: bool, limit: int) -> tuple[list[Message], list[Message]]:
    """Conversation and steps; earlier turns are left out, oldest first, as long as there is too much."""
    steps = list(_steps_as_calls(request.steps) if native else _steps_as_json(request.steps))
    spoken = tuple(message for message in request.messages if message.role != "system")
    shortened: PlannerRequest | None = request.model_copy(update={"messages": spoken})
    while shortened is not None:
        talk = list(_conversation(shortened))
        if sum(map(_size, [*talk, *steps])) <= limit:
            return talk, steps
        shortened = without_earliest_turn(shortened)
    raise TooLargeError(f"The question and its results exceed the planner's context of {limit} characters.")


def _conversation(request: PlannerRequest) -> Iterator[Message]:
    """Messages in turn: neighbours of one role become one, because many chat templates refuse them."""
    for role, group in groupby(request.messages, key=lambda message: message.role):
        yield Message(role=role, content="\n\n".join(message.text for message in group))


def _steps_as_calls(steps: Sequence[Step]) -> Iterator[Message]:
    number = 0
    for step in steps:
        calls: list[CallPart] = []
        results: list[Message] = []
        for action, outcome in zip(step.plan.actions, step.outcomes, strict=True):
            number += 1
            arguments = json.dumps(action.API_params, ensure_ascii=False)
            call_id = f"call{number:05d}"
            calls.append(CallPart(id=call_id, function=FunctionCall(name=outcome.tool, arguments=arguments)))
            results.append(Message(role="tool", content=_told(number, outcome), tool_call_id=call_id))
        yield Message(role="assistant", content=step.plan.value, tool_calls=tuple(calls))
        yield from results


def _steps_as_json(steps: Sequence[Step]) -> Iterator[Message]:
    number = 0
    for step in steps:
        yield Message(role="assistant", content=json.dumps(step.plan.model_dump(mode="json"), ensure_ascii=False))
        told = [_told(number + place, outcome) for place, outcome in enumerate(step.outcomes, 1)]
        number += len(step.outcomes)
        yield Message(role="user", content="\n".join(["The calls gave:", *told]))


def _told(number: int, outcome: Outcome) -> str:
    """What a call gave. A failure or a skip is told as such, and never as a result."""
    told: dict[str, object] = {"call": number}
    if isinstance(outcome, ToolResult):
        told["result"] = outcome.data
    elif isinstance(outcome, ToolFailure):
        told["failed"] = outcome.message
    else:
        told["not_run"] = outcome.reason
    text = json.dumps(told, ensure_ascii=False)
    if len(text) <= MAX_OUTCOME_CHARACTERS:
        return text
    return f"{text[:MAX_OUTCOME_CHARACTERS]}… (cut here, of {len(text)} characters)"


def _function(card: ToolCard) -> FunctionTool:
    function = Function(name=card.name, description=card.description, parameters=parameters_of(card))
    return FunctionTool(function=function)


def _corrected(messages: Sequence[Message], problem: str) -> list[Message]:
    correction = CORRECTION.format(problem=problem)
    last = messages[-1]
    if last.role != "user":
        return [*messages, Message(role="user", content=correction)]
    if isinstance(last.content, str):
        return [*messages[:-1], Message(role="user", content=f"{last.content}\n\n{correction}")]
    return [*messages[:-1], Message(role="user", content=(*last.content, TextPart(text=correction)))]


def _size(message: Message) -> int:
    calls = sum(len(call.function.arguments) for call in message.tool_calls or ())
    return len(message.content) + calls
