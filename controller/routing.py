"""Calling workers: the least loaded one, and once more elsewhere when that is safe."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from mmedagent.controller.registry import Registry
from mmedagent.protocol.completion import Completion, CompletionRequest
from mmedagent.protocol.errors import MMedAgentError, OverloadedError, UnavailableError, WorkerError
from mmedagent.protocol.invocation import ToolCall, ToolResult
from mmedagent.protocol.plan import PlannerEvent, PlannerRequest
from mmedagent.serving.clients import OnProgress, WorkerClient

RETRYABLE = (UnavailableError, OverloadedError, WorkerError)


class Router:
    """Sends calls and planner steps to registered workers."""

    def __init__(self, registry: Registry, client: WorkerClient) -> None:
        self._registry = registry
        self._client = client

    async def invoke(self, call: ToolCall, idempotent: bool, on_progress: OnProgress | None = None) -> ToolResult:
        """Run a call. An idempotent one whose worker fails is sent once more, to another replica if there is one."""
        worker, ends_at = self._registry.pick(call.tool), time.monotonic() + call.deadline_s
        try:
            with worker.working():
                return await self._client.invoke(worker.url, call, on_progress)
        except RETRYABLE as error:
            if not idempotent:
                raise
            try:
                other = self._registry.pick(call.tool, exclude=frozenset({worker.worker_id}))
            except UnavailableError:
                raise error from None
            remaining_s = ends_at - time.monotonic()
            if remaining_s <= 0:
                raise
        with other.working():
            again = call.model_copy(update={"deadline_s": remaining_s})
            return await self._client.invoke(other.url, again, on_progress)

    async def step(self, planner: str, request: PlannerRequest) -> AsyncIterator[PlannerEvent]:
        """Stream one step from the least loaded worker with that planner, as `Registry.planner_name` gives it.

        The request gets the adapter that the name stands for.
        """
        worker = self._registry.pick(planner)
        named = request.model_copy(update={"adapter": worker.names[planner]})
        with worker.working():
            async for event in self._client.step(worker.url, named):
                yield event

    async def complete(self, request: CompletionRequest) -> Completion:
        """A free text from the least loaded worker that writes them with the model of the request.

        Raises `NotFoundError` for a model that there is not, `InvalidRequestError` for one that writes only plans, and
        `UnavailableError` when no worker is there.
        """
        planner = self._registry.writer_name(request.model)
        worker = self._registry.pick(planner)
        named = request.model_copy(update={"adapter": worker.names[planner]})
        # Texts may fail in numbers, or be too long for a tool in haste. The planner is still there for plans.
        with worker.working(MMedAgentError):
            return await self._client.complete(worker.url, named)
