"""What a tool has of its surroundings while it runs: `ToolContext` and `CallContext` as workers provide them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from mmedagent.protocol.completion import Completion, CompletionRequest
from mmedagent.protocol.errors import (
    CancelledError,
    InvalidParametersError,
    InvalidRequestError,
    RequestError,
    UnavailableError,
    WorkerError,
)
from mmedagent.protocol.invocation import (
    Artifact,
    ArtifactKind,
    ArtifactType,
    ImageRef,
    ToolCall,
    ToolProgress,
    ToolResult,
)
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.batching import Ticket
from mmedagent.serving.blobs import BlobStore
from mmedagent.serving.cache import ByteCache, FrameCache
from mmedagent.serving.clients import ControllerClient
from mmedagent.serving.tool import PixelArray, Sized, Writing
from mmedagent.serving.work import CancelToken

S = TypeVar("S", bound=Sized)
T = TypeVar("T")
LEAST_S = 0.01
CallTool = Callable[[ToolCall, CancelToken], ToolResult]
"""Has another tool answer, and blocks until it has. Gives up when the token is cancelled."""

Complete = Callable[[CompletionRequest, CancelToken], Completion]
"""Has a planner's model write free text, in the same way."""


def call_nobody(call: ToolCall, _: CancelToken) -> ToolResult:
    """For workers without a controller. Raises `UnavailableError`."""
    raise UnavailableError(f"Without a controller there is no {call.tool} to call.")


def no_model(_: CompletionRequest, __: CancelToken) -> Completion:
    """For workers without a controller. Raises `UnavailableError`."""
    raise UnavailableError("Without a controller there is no model to ask.")


@dataclass(frozen=True)
class Surroundings:
    """What the runs of a worker process share: blobs, caches, and the way to other tools and to models."""

    blobs: BlobStore
    cache: ByteCache
    call_tool: CallTool = call_nobody
    complete: Complete = no_model

    @property
    def frames(self) -> FrameCache:
        return FrameCache(self.blobs, self.cache)


class OneCall:
    """`CallContext` of a call that somebody waits for."""

    def __init__(self, ticket: Ticket, around: Surroundings) -> None:
        self._ticket = ticket
        self._around = around

    def call(self, tool: str, parameters: JsonObject, image: ImageRef | None = None) -> ToolResult:
        self.raise_if_cancelled()
        try:
            result = self._around.call_tool(self._inner(tool, parameters, image), self._ticket.token)
        except (UnavailableError, InvalidParametersError) as error:
            # To the outer caller this tool was there, and the inner parameters are not theirs.
            raise WorkerError(error.detail, retry_after=error.retry_after) from error
        self._ticket.parts.append(result.provenance)
        return result

    def complete(self, messages: Sequence[ChatMessage], image: ImageRef | None, writing: Writing) -> Completion:
        self.raise_if_cancelled()
        request = self._asked(messages, image, writing)
        try:
            return self._around.complete(request, self._ticket.token)
        except (UnavailableError, RequestError) as error:
            # To the outer caller this tool was there, and which model it asks is not theirs to choose.
            raise WorkerError(error.detail, retry_after=error.retry_after) from error

    def progress(self, fraction: float, text: str) -> None:
        self._ticket.on_progress(ToolProgress(fraction=fraction, text=text))

    @property
    def remaining_s(self) -> float:
        return self._ticket.token.remaining_s

    def raise_if_cancelled(self) -> None:
        self._ticket.token.raise_if_cancelled()

    def _inner(self, tool: str, parameters: JsonObject, image: ImageRef | None) -> ToolCall:
        outer = self._ticket.call
        try:
            return ToolCall(
                call_id=f"call_{uuid.uuid4().hex[:20]}",
                tool=tool,
                parameters=parameters,
                image=image,
                deadline_s=max(self.remaining_s, LEAST_S),
                correlation_id=outer.correlation_id,
                callers=(*outer.callers, outer.tool),
            )
        except ValidationError as error:
            raise InvalidRequestError(f"{outer.tool} cannot call {tool}: {_reason(error)}.") from error

    def _asked(self, messages: Sequence[ChatMessage], image: ImageRef | None, writing: Writing) -> CompletionRequest:
        outer = self._ticket.call
        try:
            return CompletionRequest(
                model=writing.model,
                messages=tuple(messages),
                image=image,
                max_tokens=writing.max_tokens,
                temperature=writing.temperature,
                seed=writing.seed,
                deadline_s=max(min(self.remaining_s, writing.deadline_s), LEAST_S),
                correlation_id=outer.correlation_id,
                callers=(*outer.callers, outer.tool),
            )
        except ValidationError as error:
            raise InvalidRequestError(f"{outer.tool} cannot ask for a text: {_reason(error)}.") from error


class RunContext:
    """`ToolContext` of a run. `name` is the tool's, under which it caches."""

    def __init__(self, name: str, tickets: Sequence[Ticket], around: Surroundings) -> None:
        self._name = name
        self._tickets = tickets
        self._around = around

    def frame(self, image: ImageRef) -> PixelArray:
        return self._around.frames.frame(image)

    def store(self, content: bytes, kind: ArtifactKind, media_type: ArtifactType, label: str) -> Artifact:
        return Artifact(sha256=self._around.blobs.put(content), kind=kind, media_type=media_type, label=label)

    def read(self, artifact: Artifact) -> bytes:
        return self._around.blobs.get(artifact.sha256)

    def cached(self, key: tuple[str, ...], make: Callable[[], S]) -> S:
        return self._around.cache.get((self._name, *key), make)

    def of(self, call: ToolCall) -> OneCall:
        ticket = next(ticket for ticket in self._tickets if ticket.call is call)
        return OneCall(ticket, self._around)

    def raise_if_cancelled(self) -> None:
        if self._tickets and all(ticket.token.ended for ticket in self._tickets):
            self._tickets[0].token.raise_if_cancelled()


def through_controller(controller: ControllerClient, loop: asyncio.AbstractEventLoop) -> tuple[CallTool, Complete]:
    """Calls other tools and models by way of the controller, whose client lives on `loop`, from any other thread."""

    def waited_for(asking: Coroutine[Any, Any, T], token: CancelToken) -> T:
        asked = asyncio.run_coroutine_threadsafe(asking, loop)
        with token.on_cancel(asked.cancel):
            try:
                return asked.result()
            except futures.CancelledError as error:
                token.raise_if_cancelled()
                raise CancelledError("What this tool asked of another was given up.") from error

    def call_tool(call: ToolCall, token: CancelToken) -> ToolResult:
        return waited_for(controller.invoke(call), token)

    def complete(request: CompletionRequest, token: CancelToken) -> Completion:
        return waited_for(controller.complete(request), token)

    return call_tool, complete


def _reason(error: ValidationError) -> str:
    return str(error.errors(include_url=False, include_input=False)[0]["msg"])
