"""Free text that a tool wants from a planner's model: what it asks for, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mmedagent.protocol.errors import WorkerError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage, PlannerFailed
from mmedagent.protocol.types import MAX_TEXT, Identifier, Sha256, ShortText, Text, ToolName, WireType

MAX_COMPLETION_TOKENS = 8_192
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


class CompletionRequest(WireType):
    """A conversation that the model continues, without tools and without the form of a plan.

    `model` is a name of GET /v1/models, absent for the first that writes free text; the controller makes an adapter of
    it. The image belongs to the first user message. Without `temperature` the model's own settings hold; with one it
    samples, and the same `seed` samples the same where the backend can. `callers` are the tools for which it is done.
    """

    model: ShortText | None = None
    adapter: ShortText | None = None
    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1, max_length=32)]
    image: ImageRef | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MAX_COMPLETION_TOKENS)] = 512
    temperature: Temperature | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    deadline_s: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)] = 60.0
    correlation_id: Identifier
    callers: Annotated[tuple[ToolName, ...], Field(min_length=1, max_length=4)]


class TextDelta(WireType):
    type: Literal["text"] = "text"
    text: Text


class ReasoningDelta(WireType):
    """What a reasoning model thinks, where its server tells that apart from what it says."""

    type: Literal["reasoning"] = "reasoning"
    text: Text


class CompletionDone(WireType):
    """The last event of a completion that worked. `length` says that the text was cut off at its limit of tokens."""

    type: Literal["done"] = "done"
    model: ShortText
    checkpoint_sha256: Sha256 | None = None
    finish: Literal["stop", "length"] = "stop"


CompletionEvent = Annotated[TextDelta | ReasoningDelta | CompletionDone | PlannerFailed, Field(discriminator="type")]


class Completion(WireType):
    """A whole text, and who wrote it."""

    text: Text
    reasoning: Text = ""
    model: ShortText
    checkpoint_sha256: Sha256 | None = None
    finish: Literal["stop", "length"] = "stop"


def assemble_text(events: Iterable[TextDelta | ReasoningDelta | CompletionDone]) -> Completion:
    """The completion that the events add up to; reasoning that is too long is cut.

    Raises `WorkerError` when its text is over its bounds, or the last event is missing.
    """
    said: dict[str, list[str]] = {"text": [], "reasoning": []}
    for event in events:
        if not isinstance(event, CompletionDone):
            said[event.type].append(event.text)
            continue
        try:
            return Completion(
                text="".join(said["text"]),
                reasoning="".join(said["reasoning"])[:MAX_TEXT],
                model=event.model,
                checkpoint_sha256=event.checkpoint_sha256,
                finish=event.finish,
            )
        except ValidationError as error:
            raise WorkerError("The model wrote more than a text can hold.") from error
    raise WorkerError("The model stopped before its text was done.")
