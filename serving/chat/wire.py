"""The part of the chat completions API that plans and texts need, as it is sent and as it comes back in a stream.

What is sent is exact. What comes back may have fields that are not read; servers add many.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mmedagent.protocol.types import JsonObject, JsonSchema, WireType


class FunctionCall(WireType):
    """A call as the model wrote it; `arguments` is JSON in a string."""

    name: str
    arguments: str


class CallPart(WireType):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(WireType):
    type: Literal["text"] = "text"
    text: str


class ImageUrl(WireType):
    url: str


class ImagePart(WireType):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class Message(WireType):
    """One message. `tool_calls` are an assistant's, `tool_call_id` is the call that a tool's message answers."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[ImagePart | TextPart, ...]
    tool_calls: tuple[CallPart, ...] | None = None
    tool_call_id: str | None = None


class Function(WireType):
    name: str
    description: str
    parameters: JsonSchema


class FunctionTool(WireType):
    type: Literal["function"] = "function"
    function: Function


class ChatRequest(WireType):
    model: str
    messages: tuple[Message, ...]
    tools: tuple[FunctionTool, ...] | None = None
    response_format: JsonObject | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stream: Literal[True] = True


class _Received(BaseModel):
    model_config = ConfigDict(frozen=True)


class FunctionDelta(_Received):
    name: str | None = None
    arguments: str | None = None


class CallDelta(_Received):
    """A piece of a call. `index` says of which, but some servers give none, or 0 for all; then the `id` tells."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta = FunctionDelta()


class Delta(_Received):
    """What one chunk adds. Reasoning has two names: `reasoning_content` and `reasoning`."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[CallDelta, ...] | None = None


class Choice(_Received):
    delta: Delta = Delta()
    finish_reason: str | None = None


class Chunk(_Received):
    """One event of the stream. `error` is there when the server fails after it has begun."""

    choices: tuple[Choice, ...] | None = None
    error: Any = None
