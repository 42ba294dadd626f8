"""Free text from a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from mmedagent.protocol.completion import CompletionDone, CompletionRequest, ReasoningDelta, TextDelta
from mmedagent.protocol.errors import DeadlineError, TooLargeError, WorkerError
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.serving.chat.client import EndpointClient
from mmedagent.serving.chat.picture import with_picture
from mmedagent.serving.chat.wire import ChatRequest, Message
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.tool import PixelArray

TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
"""Where an endpoint's parameters set one of them, it holds: some servers know only one of the two names."""


def stream_text(
    client: EndpointClient,
    endpoint: Endpoint,
    request: CompletionRequest,
    frame: PixelArray | None,
    raise_if_over: Callable[[], None],
) -> Iterator[TextDelta | ReasoningDelta | CompletionDone]:
    """The text as it comes, then how it ended. The frame goes with the first user message, if the model takes images.

    Raises what `EndpointClient.stream` raises; `TooLargeError` for messages beyond the endpoint's context;
    `WorkerError` for a text that is refused, breaks off or never ends.
    """
    ended, left = None, MAX_TEXT
    for choice in client.stream(_asked(endpoint, request, frame), raise_if_over):
        ended = choice.finish_reason or ended
        if reasoning := choice.delta.reasoning_content or choice.delta.reasoning:
            yield ReasoningDelta(text=reasoning[:MAX_TEXT])
        if text := choice.delta.content:
            left -= len(text)
            if left < 0:
                raise WorkerError(f"The endpoint wrote more than {MAX_TEXT} characters.")
            yield TextDelta(text=text)
    if ended is None:
        raise WorkerError("The endpoint stopped in the middle of its answer.")
    if ended == "content_filter":
        raise WorkerError("The endpoint's content filter stopped the reply.")
    yield CompletionDone(model=endpoint.model, finish="length" if ended == "length" else "stop")


def until(deadline_s: float, raise_if_cancelled: Callable[[], None]) -> Callable[[], None]:
    """`raise_if_cancelled`, which from now on also raises `DeadlineError` after so many seconds."""
    ends = time.monotonic() + deadline_s

    def raise_if_over() -> None:
        raise_if_cancelled()
        if time.monotonic() > ends:
            raise DeadlineError("The endpoint did not answer in time.")

    return raise_if_over


def _asked(endpoint: Endpoint, request: CompletionRequest, frame: PixelArray | None) -> ChatRequest:
    if sum(len(message.text) for message in request.messages) > endpoint.context_characters:
        raise TooLargeError(f"The messages exceed the model's context of {endpoint.context_characters} characters.")
    messages = [Message(role=message.role, content=message.text) for message in request.messages]
    first = next((place for place, message in enumerate(messages) if message.role == "user"), None)
    if endpoint.vision and frame is not None and first is not None:
        messages[first] = with_picture(messages[first], frame)
    return ChatRequest(
        model=endpoint.model,
        messages=tuple(messages),
        max_tokens=None if TOKEN_LIMITS & endpoint.parameters.keys() else request.max_tokens,
        temperature=request.temperature,
        seed=request.seed,
    )
