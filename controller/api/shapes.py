"""The JSON of responses and of what is in them, in the shape of the OpenAI responses API.

These types are what is built, what the type checker holds it to, and what `/openapi.json` says; nothing is checked or
copied at run time. What OpenAI's API does not have is under `mmedagent`. Times are in seconds since the Unix epoch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from mmedagent.protocol.claims import Claim

ResponseStatus = Literal["in_progress", "completed", "failed", "cancelled"]


class SummaryText(TypedDict):
    type: Literal["summary_text"]
    text: str


class ReasoningItem(TypedDict):
    """The thoughts of one plan, or behind the answer."""

    id: str
    type: Literal["reasoning"]
    summary: list[SummaryText]


class CallErrorText(TypedDict):
    type: Literal["text"]
    text: str


class CallError(TypedDict):
    type: Literal["mcp_tool_execution_error"]
    content: list[CallErrorText]


class CallItem(TypedDict):
    """A tool call. `arguments` is JSON, and `output` the JSON of data, artifacts and provenance of its result.

    It is `incomplete` when it was skipped, because what it depends on gave nothing; `error` says so.
    """

    id: str
    type: Literal["mcp_call"]
    server_label: str
    name: str
    arguments: str
    output: str | None
    error: CallError | None
    status: Literal["in_progress", "completed", "failed", "incomplete"]


class OutputText(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class Evidence(TypedDict):
    claims: list[Claim]


class MessageItem(TypedDict):
    """The answer. It has its evidence once it is complete."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed"]
    content: list[OutputText]
    mmedagent: NotRequired[Evidence]


OutputItem = TypeAliasType("OutputItem", Annotated[ReasoningItem | CallItem | MessageItem, Field(discriminator="type")])


class QuestionText(TypedDict):
    type: Literal["input_text"]
    text: str


class QuestionImage(TypedDict):
    type: Literal["input_image"]
    file_id: str
    detail: Literal["auto"]


class QuestionItem(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["user"]
    status: Literal["completed"]
    content: list[QuestionText | QuestionImage]


ConversationItem = TypeAliasType("ConversationItem", QuestionItem | OutputItem)


class ResponseError(TypedDict):
    code: str
    message: str


class ConversationRef(TypedDict):
    id: str


class Lineage(TypedDict):
    """`parent` is the response that this one follows; a rerun of `rerun_of` takes over the calls in `reused`."""

    parent: str | None
    rerun_of: str | None
    reused: list[str]


class ResponseObject(TypedDict):
    id: str
    object: Literal["response"]
    created_at: float
    status: ResponseStatus
    model: str
    conversation: ConversationRef
    previous_response_id: str | None
    output: list[OutputItem]
    error: ResponseError | None
    incomplete_details: None
    instructions: None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    temperature: None
    tool_choice: Literal["auto"]
    tools: list[Any]
    top_p: None
    mmedagent: Lineage


class CallTimes(TypedDict):
    started_at: float
    ended_at: NotRequired[float]


class Turn(Lineage):
    """A response as its conversation lists it. `call_times` has the calls that were made, by id."""

    id: str
    created_at: float
    status: ResponseStatus
    question: str
    file_id: str | None
    slice: int | None
    output: list[OutputItem]
    error: ResponseError | None
    ended_at: float | None
    call_times: dict[str, CallTimes]
