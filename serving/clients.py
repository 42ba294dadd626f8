"""Typed clients of the worker HTTP interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from mmedagent.protocol.completion import (
    Completion,
    CompletionDone,
    CompletionEvent,
    CompletionRequest,
    ReasoningDelta,
    TextDelta,
    assemble_text,
)
from mmedagent.protocol.errors import DeadlineError, MMedAgentError, Problem, UnavailableError, WorkerError
from mmedagent.protocol.errors import error_from_problem as to_error
from mmedagent.protocol.invocation import ImageRef, InvokeEvent, ToolCall, ToolFailure, ToolProgress, ToolResult
from mmedagent.protocol.plan import PlannerEvent, PlannerFailed, PlannerRequest, StepDone
from mmedagent.protocol.workers import Lease, Prefetch, WorkerHealth, WorkerRegistration
from mmedagent.serving.logs import correlation_id
from mmedagent.serving.sse import MEDIA_TYPE, read_data

Model = TypeVar("Model", bound=BaseModel)

CONNECT_TIMEOUT_S = 2.0
GRACE_S = 1.0
"""A worker gets this much longer than the deadline to report the deadline itself."""

KEEP_ALIVE_S = 3.0
"""Less than the 5 s after which a worker closes an idle connection, so that no request meets one that closes."""

MAX_ANSWER_BYTES = 8 * 2**20
_STEP_EVENTS: TypeAdapter[PlannerEvent] = TypeAdapter(PlannerEvent)
_CALL_EVENTS: TypeAdapter[InvokeEvent] = TypeAdapter(InvokeEvent)
_TEXT_EVENTS: TypeAdapter[CompletionEvent] = TypeAdapter(CompletionEvent)
OnProgress = Callable[[ToolProgress], None]


def new_http_client(max_connections: int = 256) -> httpx.AsyncClient:
    """A client with kept-alive connections that ignores proxies: workers are addressed directly."""
    limits = httpx.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=KEEP_ALIVE_S,
    )
    return httpx.AsyncClient(limits=limits, trust_env=False, follow_redirects=False)


class WorkerClient:
    """Calls workers by their base URL. Every method raises only errors of the one exception tree."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._token = token

    async def invoke(self, url: str, call: ToolCall, on_progress: OnProgress | None = None) -> ToolResult:
        """Run one tool call. Raises what the worker reports, `UnavailableError`, `DeadlineError`, `WorkerError`."""
        timeout_s = call.deadline_s + GRACE_S
        if on_progress:
            return await self._watch(f"{url}/invoke", call, timeout_s, on_progress)
        response = await _exchange(self._http, "POST", f"{url}/invoke", call, self._headers(), timeout_s)
        return _parsed(ToolResult, response)

    async def _watch(self, url: str, call: ToolCall, timeout_s: float, on_progress: OnProgress) -> ToolResult:
        headers = {**self._headers(), "Accept": MEDIA_TYPE}
        async with _streamed(self._http, url, call, headers, timeout_s) as stream:
            async for data in stream:
                match _CALL_EVENTS.validate_json(data):
                    case ToolProgress() as news:
                        on_progress(news)
                    case ToolFailure(code=code, message=message, retryable=retryable):
                        raise to_error(_problem(code, message, GRACE_S if retryable else None))
                    case ToolResult() as result:
                        await _drain(stream)
                        return result
        raise WorkerError("The worker stopped before the call was done.")

    async def prefetch(self, url: str, image: ImageRef) -> Prefetch:
        """Offer an image to a worker, which answers before it prepares it."""
        answer = await _exchange(self._http, "POST", f"{url}/prefetch", image, self._headers(), CONNECT_TIMEOUT_S)
        return _parsed(Prefetch, answer)

    async def step(self, url: str, request: PlannerRequest) -> AsyncIterator[PlannerEvent]:
        """Stream one planner step. Raises like `invoke`, also in the middle of the stream."""
        timeout_s = request.deadline_s + GRACE_S
        async with _streamed(self._http, f"{url}/step", request, self._headers(), timeout_s) as stream:
            async for data in stream:
                event = _STEP_EVENTS.validate_json(data)
                if isinstance(event, PlannerFailed):
                    raise to_error(_problem(event.code, event.message))
                yield event
                if isinstance(event, StepDone):
                    await _drain(stream)
                    return
        raise WorkerError("The planner stopped before its step was done.")

    async def complete(self, url: str, request: CompletionRequest) -> Completion:
        """The whole of a free text. Raises like `step`."""
        timeout_s, events = request.deadline_s + GRACE_S, list[TextDelta | ReasoningDelta | CompletionDone]()
        async with _streamed(self._http, f"{url}/complete", request, self._headers(), timeout_s) as stream:
            async for data in stream:
                event = _TEXT_EVENTS.validate_json(data)
                if isinstance(event, PlannerFailed):
                    raise to_error(_problem(event.code, event.message))
                events.append(event)
                if isinstance(event, CompletionDone):
                    await _drain(stream)
                    break
        return assemble_text(events)

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "X-Request-Id": correlation_id.get(),
        }


class ControllerClient:
    """What a worker tells the controller: that it is here, that it still is, that it leaves, and what it needs."""

    def __init__(self, http: httpx.AsyncClient, controller_url: str, token: str) -> None:
        self._http = http
        self._url = f"{controller_url}/internal/workers"
        self._tools = f"{controller_url}/internal/tools"
        self._completions = f"{controller_url}/internal/completions"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def register(self, registration: WorkerRegistration) -> Lease:
        return _parsed(Lease, await self._send("POST", self._url, registration))

    async def renew(self, worker_id: str, health: WorkerHealth) -> Lease:
        """Raises `NotFoundError` when the controller does not know the lease any more."""
        return _parsed(Lease, await self._send("PUT", f"{self._url}/{worker_id}", health))

    async def leave(self, worker_id: str) -> None:
        await self._send("DELETE", f"{self._url}/{worker_id}", None)

    async def invoke(self, call: ToolCall) -> ToolResult:
        """Have another tool answer a call. Raises what it reports, or as `WorkerClient.invoke` does."""
        headers = {**self._headers, "X-Request-Id": call.correlation_id}
        url, timeout_s = f"{self._tools}/{call.tool}/invoke", call.deadline_s + GRACE_S
        return _parsed(ToolResult, await _exchange(self._http, "POST", url, call, headers, timeout_s))

    async def complete(self, request: CompletionRequest) -> Completion:
        """Have a planner's model write free text. Raises what it reports, or as `WorkerClient.complete` does."""
        headers = {**self._headers, "X-Request-Id": request.correlation_id}
        timeout_s = request.deadline_s + GRACE_S
        return _parsed(Completion, await _exchange(self._http, "POST", self._completions, request, headers, timeout_s))

    async def _send(self, method: str, url: str, body: BaseModel | None) -> httpx.Response:
        return await _exchange(self._http, method, url, body, self._headers, CONNECT_TIMEOUT_S)


async def _exchange(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    body: BaseModel | None,
    headers: dict[str, str],
    timeout_s: float,
) -> httpx.Response:
    """A request and its good answer; anything else is an error of the tree."""
    content = body.model_dump_json() if body else None
    timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
    try:
        response = await http.request(method, url, content=content, headers=headers, timeout=timeout)
    except httpx.HTTPError as error:
        raise _unreachable(error) from error
    if response.is_error:
        raise _reported(response)
    return response


@asynccontextmanager
async def _streamed(
    http: httpx.AsyncClient, url: str, body: BaseModel, headers: dict[str, str], timeout_s: float
) -> AsyncIterator[AsyncIterator[str]]:
    """The data of each event of a good answer; whatever goes wrong inside the context is an error of the tree.

    A stream that is read to its end leaves its connection for the next request.
    """
    content, timeout = body.model_dump_json(), httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
    try:
        async with http.stream("POST", url, content=content, headers=headers, timeout=timeout) as response:
            if response.is_error:
                await response.aread()
                raise _reported(response)
            yield read_data(response.aiter_lines())
    except httpx.HTTPError as error:
        raise _unreachable(error) from error
    except ValidationError as error:
        raise WorkerError("The worker answered in a way that makes no sense.") from error


async def _drain(stream: AsyncIterator[str]) -> None:
    """Read a stream to its end after its last event, which counts however the stream ends."""
    with suppress(httpx.HTTPError):
        await anext(stream, None)


def _parsed(model: type[Model], response: httpx.Response) -> Model:
    if len(response.content) > MAX_ANSWER_BYTES:
        raise WorkerError("The answer is too large.")
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise WorkerError("The worker answered in a way that makes no sense.") from error


def _reported(response: httpx.Response) -> MMedAgentError:
    try:
        return to_error(Problem.model_validate_json(response.content))
    except ValidationError:
        return WorkerError("The worker failed without saying why.")


def _problem(code: str, detail: str, retry_after: float | None = None) -> Problem:
    """A failure that was reported in a stream, where there is no problem document."""
    return Problem(title="", status=500, detail=detail, code=code, correlation_id="-", retry_after=retry_after)


def _unreachable(error: httpx.HTTPError) -> MMedAgentError:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return UnavailableError("The worker cannot be reached.", retry_after=GRACE_S)
    if isinstance(error, httpx.TimeoutException):
        return DeadlineError("The worker did not answer in time.")
    return UnavailableError("The connection to the worker broke while it was working.", retry_after=GRACE_S)
