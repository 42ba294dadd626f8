"""The JSON of the events that a response is streamed in, for `/openapi.json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from mmedagent.controller.api.shapes import OutputItem, OutputText, ResponseObject, SummaryText


class Event(TypedDict):
    """`sequence_number` rises and leaves numbers out; `at` is in seconds since the Unix epoch."""

    sequence_number: int
    at: float


class ResponseEvent(Event):
    """The response begins, or ends in one of the last two."""

    type: Literal["response.created", "response.in_progress", "response.completed", "response.failed"]
    response: ResponseObject


class ItemEvent(Event):
    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem


class PlacedEvent(Event):
    """About the item `item_id`, which is number `output_index` of the output."""

    item_id: str
    output_index: int


class ThoughtsPartEvent(PlacedEvent):
    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int
    part: SummaryText


class ThoughtsDelta(PlacedEvent):
    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: int
    delta: str


class ThoughtsDone(PlacedEvent):
    type: Literal["response.reasoning_summary_text.done"]
    summary_index: int
    text: str


class ArgumentsDone(PlacedEvent):
    type: Literal["response.mcp_call_arguments.done"]
    arguments: str


class Progress(TypedDict):
    """How much is done, 0 to 1, and what is being done."""

    fraction: float
    text: str


class CallEvent(PlacedEvent):
    """A call begins, tells how far it is, or ends."""

    type: Literal["response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed"]
    mmedagent: NotRequired[Progress]


class AnswerPartEvent(PlacedEvent):
    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int
    part: OutputText


class AnswerDelta(PlacedEvent):
    type: Literal["response.output_text.delta"]
    content_index: int
    delta: str
    logprobs: list[Any]


class AnswerDone(PlacedEvent):
    type: Literal["response.output_text.done"]
    content_index: int
    text: str
    logprobs: list[Any]


class ErrorEvent(Event):
    """The stream ends before the response does: its caller may not watch it any more."""

    type: Literal["error"]
    code: str
    message: str
    param: None


StreamEvent = TypeAliasType(
    "StreamEvent",
    Annotated[
        ResponseEvent
        | ItemEvent
        | ThoughtsPartEvent
        | ThoughtsDelta
        | ThoughtsDone
        | ArgumentsDone
        | CallEvent
        | AnswerPartEvent
        | AnswerDelta
        | AnswerDone
        | ErrorEvent,
        Field(discriminator="type"),
    ],
)
