"""Questions in the shape of the OpenAI chat completions API. Nothing of them is stored but the images and artifacts.

The answer is the message's content and the thoughts are in `reasoning_content`. The extension `mmedagent` holds the
steps; in a stream the next piece of text carries only the names of the tools that ended and how, because every chunk
repeats so much that more would drown the text.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from typing_extensions import TypedDict

from mmedagent.controller.api.inputs import Messages, ModelName, understand
from mmedagent.controller.api.items import items_of
from mmedagent.controller.api.services import Services
from mmedagent.controller.api.shapes import OutputItem
from mmedagent.controller.api.streaming import compact_json, event_stream, finished_turn
from mmedagent.controller.turns import Question
from mmedagent.protocol.errors import UnauthorizedError
from mmedagent.protocol.events import (
    AnswerWritten,
    CallEnded,
    StoredEvent,
    ThoughtsWritten,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
)
from mmedagent.serving import sse


class Usage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Steps(TypedDict):
    items: list[OutputItem]


class ChatAnswer(TypedDict):
    role: Literal["assistant"]
    content: str
    reasoning_content: str
    mmedagent: Steps


class Choice(TypedDict):
    index: int
    message: ChatAnswer
    finish_reason: Literal["stop"]
    logprobs: None


class Head(TypedDict):
    id: str
    created: int
    model: str


class ChatCompletion(Head):
    object: Literal["chat.completion"]
    choices: list[Choice]
    usage: Usage


NO_USAGE: Usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
TOLD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion or, with `stream`, its chunks",
        "model": ChatCompletion,
        "content": {sse.MEDIA_TYPE: {}},
    }
}


class ChatRequest(BaseModel):
    model: ModelName | None = None
    messages: Messages
    stream: bool = False


def chat_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["chat"])

    @router.post("/chat/completions", response_model=None, responses=TOLD)
    async def complete(body: ChatRequest, request: Request, owner: Annotated[str, Depends(services.owner)]) -> Response:
        """Ask with the whole conversation in the request."""
        asked = await understand(services, owner, body.messages)
        question = Question(
            owner=owner,
            messages=asked.messages,
            model=body.model,
            image=asked.image,
            file_id=asked.file_id,
            store=False,
            find_image=partial(services.files.image, owner),
        )
        live = await services.turns.start(question)
        chat = ChatStream(live.started.turn_id, live.started.planner)
        if body.stream:
            check = partial(services.keys.check, request)
            return event_stream(live.events(), chat, check, last=sse.encode_event("[DONE]"))
        events = await finished_turn(live, request)
        return JSONResponse(chat.completion([stored.event for stored in events]))

    return router


class ChatStream:
    """Translates one turn into chunks, or into one completion."""

    def __init__(self, turn_id: str, model: str) -> None:
        self._turn_id = turn_id
        self._head: Head = {"id": f"chatcmpl-{turn_id}", "created": int(time.time()), "model": model}
        self._answered = False
        self._begun = False
        self._ended: list[dict[str, str]] = []

    def completion(self, events: list[TurnEvent]) -> ChatCompletion:
        last = events[-1]
        answer, thoughts = (last.answer, last.thoughts) if isinstance(last, TurnCompleted) else ("", "")
        message: ChatAnswer = {
            "role": "assistant",
            "content": answer,
            "reasoning_content": thoughts,
            "mmedagent": {"items": items_of(self._turn_id, events)},
        }
        choice: Choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": NO_USAGE}

    def encode(self, stored: StoredEvent) -> bytes:
        """The chunks for one turn event, as server-sent events."""
        return b"".join(sse.encode_event(compact_json(chunk)) for chunk in self._chunks(stored.event))

    def refuse(self, error: UnauthorizedError) -> bytes:
        return sse.encode_event(compact_json(_error(error.code, error.detail)))

    def _chunks(self, event: TurnEvent) -> Iterator[dict[str, Any]]:
        match event:
            case ThoughtsWritten():
                yield self._chunk({"reasoning_content": event.text})
            case CallEnded(outcome=outcome):
                self._ended.append({"tool": outcome.tool, "outcome": outcome.kind})
            case AnswerWritten():
                self._answered = True
                yield self._chunk({"content": event.text})
            case TurnCompleted():
                if not self._answered:
                    yield self._chunk({"content": event.answer})
                yield self._chunk({}, "stop")
            case TurnFailed():
                yield _error(event.problem.code, event.problem.detail)
            case _:
                return

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        if not self._begun:
            self._begun, delta = True, {"role": "assistant", **delta}
        if self._ended:
            delta, self._ended = {**delta, "mmedagent": self._ended}, []
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "server_error"}}
