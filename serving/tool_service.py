"""One tool behind its pool: calls are checked and run in batches, results are checked and get their provenance."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, InvalidRequestError, MMedAgentError, WorkerError
from mmedagent.protocol.invocation import ImageRef, Provenance, ToolResult
from mmedagent.protocol.workers import ToolOffer, WorkerHealth, WorkerRegistration
from mmedagent.serving.batching import Batcher, Outcome, Ticket
from mmedagent.serving.blobs import BlobStore, sha256_of
from mmedagent.serving.cache import ByteCache
from mmedagent.serving.clients import ControllerClient
from mmedagent.serving.context import RunContext, Surroundings, through_controller
from mmedagent.serving.registration import Membership
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import (
    Batched,
    Batching,
    Placeable,
    Placement,
    Precision,
    Prefetching,
    Tool,
    ToolOutput,
)
from mmedagent.serving.tool_metrics import PrefetchOutcome, ToolMetrics
from mmedagent.serving.worker import Service, WorkerSettings

log = logging.getLogger(__name__)

PREFETCH_DEADLINE_S = 60.0


@dataclass(frozen=True)
class HostedTool:
    """A tool, how many of its runs may be at work at once, and where and how they compute.

    Without `device` it is that of the process, without `batching` it is the tool's own, if it has one.
    """

    tool: Tool
    concurrency: int = 1
    device: str | None = None
    precision: Precision = "fp32"
    compile: bool = False
    batching: Batching | None = None

    def chosen_batching(self) -> Batching:
        if self.batching is not None:
            return self.batching
        return self.tool.batching if isinstance(self.tool, Batched) else Batching()

    def load(self, default_device: str) -> None:
        """Place and load the tool. Raises `InvalidRequestError` for a precision it does not know."""
        placement = Placement(self.device or default_device, self.precision, self.compile)
        if isinstance(self.tool, Placeable):
            self.tool.place(placement)
        elif placement != Placement(placement.device):
            raise InvalidRequestError(f"{self.tool.card.name} computes in fp32 and is not compiled.")
        self.tool.load(placement.device)


@dataclass(frozen=True)
class Shared:
    """What the tools of one process share."""

    settings: WorkerSettings
    blobs: BlobStore
    cache: ByteCache
    metrics: ToolMetrics
    controller: ControllerClient | None


class ToolService(Service):
    """One tool: checks what goes in and comes out, runs it in its pool, and adds the provenance."""

    def __init__(self, hosted: HostedTool, shared: Shared) -> None:
        settings = shared.settings
        super().__init__(hosted.tool.card.name, hosted.concurrency, lambda: hosted.load(settings.device))
        self._tool = hosted.tool
        self._shared = shared
        self._batching = hosted.chosen_batching()
        self._batcher = Batcher(self.pool, self._batching, self._run)
        self._validator = CardValidator(hosted.tool.card)
        self._metrics = shared.metrics.of(self.name, lambda: self._batcher.in_flight, lambda: self._batcher.queued)
        self._around = Surroundings(shared.blobs, shared.cache)
        self._preparing: set[asyncio.Task[None]] = set()
        self.url = f"{settings.url}/{self.name}"

    @property
    def card(self) -> ToolCard:
        return self._tool.card

    async def load(self) -> None:
        if self._shared.controller:
            ways = through_controller(self._shared.controller, asyncio.get_running_loop())
            self._around = Surroundings(self._shared.blobs, self._shared.cache, *ways)
        await super().load()

    def membership(self) -> Membership:
        registration = WorkerRegistration(
            url=self.url,
            offer=ToolOffer(card=self.card, prefetches=isinstance(self._tool, Prefetching)),
            concurrency=self.pool.concurrency * self._batching.max_size,
            label=self._shared.settings.label,
        )
        return Membership(registration, self.health)

    def health(self) -> WorkerHealth:
        return self.health_with(self._batcher.in_flight, self._batcher.queued)

    async def invoke(self, ticket: Ticket) -> ToolResult:
        """The result of a call. Raises what is wrong with it, and what the tool reports."""
        self.require_ready()
        self._validator.check_parameters(ticket.call.parameters)
        if self.card.needs_image and ticket.call.image is None:
            raise InvalidParametersError(f"{self.name} needs an image.")
        return await self._batcher.submit(ticket)

    def prefetch(self, image: ImageRef) -> bool:
        """Begin to prepare an image, if the tool can and nothing else is to be done; whether it was begun."""
        idle = self.status == "ready" and not self.pool.in_flight and not self.pool.queued
        if not idle or not isinstance(self._tool, Prefetching):
            self._metrics.prefetches("dropped")
            return False
        task = asyncio.create_task(self._prepare(self._tool, image))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return True

    async def _prepare(self, tool: Prefetching, image: ImageRef) -> None:
        outcome: PrefetchOutcome = "done"
        try:
            await self.pool.run(lambda _: tool.prefetch(image, self._context(())), PREFETCH_DEADLINE_S)
        except MMedAgentError as error:
            outcome = "failed"
            log.info("an image could not be prepared", extra={"tool": self.name, "code": error.code})
        self._metrics.prefetches(outcome)

    def _context(self, tickets: Sequence[Ticket]) -> RunContext:
        return RunContext(self.name, tickets, self._around)

    def _run(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        started = time.perf_counter()
        outcomes = self._tool.run([ticket.call for ticket in tickets], self._context(tickets))
        if len(outcomes) != len(tickets):
            raise WorkerError(f"{self.name} gave {len(outcomes)} outcomes for {len(tickets)} calls.")
        seconds = time.perf_counter() - started
        self._metrics.batch_size.observe(len(tickets))
        for ticket in tickets:
            self._metrics.wait_seconds.observe(started - ticket.since)
            self._metrics.seconds.observe(seconds)
        return [
            outcome if isinstance(outcome, MMedAgentError) else self._result(ticket, outcome, seconds)
            for ticket, outcome in zip(tickets, outcomes, strict=True)
        ]

    def _result(self, ticket: Ticket, output: ToolOutput, seconds: float) -> Outcome:
        try:
            self._validator.check_result(output.data)
            return ToolResult(
                call_id=ticket.call.call_id,
                tool=self.name,
                data=output.data,
                artifacts=output.artifacts,
                provenance=self._provenance(ticket, output, seconds),
            )
        except MMedAgentError as error:
            return error
        except ValidationError:
            return WorkerError(f"The result of {self.name} holds numbers or texts that are not JSON.")

    def _provenance(self, ticket: Ticket, output: ToolOutput, seconds: float) -> Provenance:
        image = ticket.call.image
        return Provenance(
            tool=self.name,
            version=self.card.version,
            checkpoint_sha256=self.card.checkpoint_sha256,
            preprocessing=output.preprocessing,
            input_sha256=(image.source_sha256, image.sha256) if image else (),
            output_sha256=sha256_of(json.dumps(output.data, sort_keys=True).encode()),
            seconds=seconds,
            label=self._shared.settings.label,
            parts=tuple(ticket.parts),
        )
