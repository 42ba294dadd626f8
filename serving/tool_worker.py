"""The application that serves one or several tools over the worker HTTP interface, each under `/<tool name>`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import Histogram
from pydantic import ValidationError

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, MMedAgentError, WorkerError
from mmedagent.protocol.invocation import (
    Artifact,
    ArtifactKind,
    ArtifactType,
    ImageRef,
    Provenance,
    ToolCall,
    ToolResult,
)
from mmedagent.protocol.workers import ToolOffer, WorkerHealth, WorkerRegistration
from mmedagent.serving.blobs import BlobStore, sha256_of
from mmedagent.serving.registration import Membership
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import PixelArray, Tool, ToolOutput
from mmedagent.serving.web import install_web_basics, require_token
from mmedagent.serving.work import CancelToken
from mmedagent.serving.worker import FrameCache, Service, WorkerLife, WorkerSettings, until_disconnect


@dataclass(frozen=True)
class HostedTool:
    """A tool and how many of its calls may run at once."""

    tool: Tool
    concurrency: int = 1


class CallContext:
    """`ToolContext` of one call."""

    def __init__(self, token: CancelToken, frames: FrameCache, blobs: BlobStore) -> None:
        self._token = token
        self._frames = frames
        self._blobs = blobs

    def frame(self, image: ImageRef) -> PixelArray:
        return self._frames.frame(image)

    def store(self, content: bytes, kind: ArtifactKind, media_type: ArtifactType, label: str) -> Artifact:
        return Artifact(sha256=self._blobs.put(content), kind=kind, media_type=media_type, label=label)

    def raise_if_cancelled(self) -> None:
        self._token.raise_if_cancelled()


class ToolService(Service):
    """One tool: checks what goes in and comes out, runs it in its pool, and adds the provenance."""

    def __init__(self, hosted: HostedTool, settings: WorkerSettings, blobs: BlobStore, seconds: Histogram) -> None:
        super().__init__(hosted.tool.card.name, hosted.concurrency, lambda: hosted.tool.load(settings.device))
        self._tool = hosted.tool
        self._label = settings.label
        self._blobs = blobs
        self._frames = FrameCache(blobs)
        self._validator = CardValidator(hosted.tool.card)
        self._seconds = seconds.labels(self.name)
        self.url = f"{settings.url}/{self.name}"

    @property
    def card(self) -> ToolCard:
        return self._tool.card

    def membership(self) -> Membership:
        registration = WorkerRegistration(
            url=self.url, offer=ToolOffer(card=self.card), concurrency=self.pool.concurrency, label=self._label
        )
        return Membership(registration, self.health)

    async def invoke(self, call: ToolCall) -> ToolResult:
        self.require_ready()
        self._validator.check_parameters(call.parameters)
        if self.card.needs_image and call.image is None:
            raise InvalidParametersError(f"{self.name} needs an image.")
        return await self.pool.run(lambda token: self._work(call, token), call.deadline_s)

    def _work(self, call: ToolCall, token: CancelToken) -> ToolResult:
        started = time.perf_counter()
        outcome = self._one(self._tool.run([call], CallContext(token, self._frames, self._blobs)))
        self._validator.check_result(outcome.data)
        seconds = time.perf_counter() - started
        self._seconds.observe(seconds)
        token.raise_if_cancelled()
        try:
            return ToolResult(
                call_id=call.call_id,
                tool=self.name,
                data=outcome.data,
                artifacts=outcome.artifacts,
                provenance=self._provenance(call, outcome, seconds),
            )
        except ValidationError as error:
            raise WorkerError(f"The result of {self.name} holds numbers or texts that are not JSON.") from error

    def _one(self, outcomes: Sequence[ToolOutput | MMedAgentError]) -> ToolOutput:
        if len(outcomes) != 1:
            raise WorkerError(f"{self.name} gave {len(outcomes)} outcomes for one call.")
        if isinstance(outcomes[0], MMedAgentError):
            raise outcomes[0]
        return outcomes[0]

    def _provenance(self, call: ToolCall, outcome: ToolOutput, seconds: float) -> Provenance:
        return Provenance(
            tool=self.name,
            version=self.card.version,
            checkpoint_sha256=self.card.checkpoint_sha256,
            preprocessing=outcome.preprocessing,
            input_sha256=(call.image.source_sha256, call.image.sha256) if call.image else (),
            output_sha256=sha256_of(json.dumps(outcome.data, sort_keys=True).encode()),
            seconds=seconds,
            label=self._label,
        )


def create_tool_worker(hosted: Sequence[HostedTool], settings: WorkerSettings) -> tuple[FastAPI, WorkerLife]:
    """The application, and its life, whose `drain` the process calls before it stops."""
    services: list[ToolService] = []
    life = WorkerLife(settings, services)
    app = FastAPI(title="mmedagent tool worker", lifespan=life.lifespan, docs_url=None, redoc_url=None)
    metrics = install_web_basics(app)
    seconds = Histogram("mmedagent_tool_seconds", "Time of a tool call", ["tool"], registry=metrics.registry)
    blobs = settings.blob_store()
    for one in hosted:
        service = ToolService(one, settings, blobs, seconds)
        services.append(service)
        app.include_router(_routes(service, settings.token), prefix=f"/{service.name}")
    return app, life


def _routes(service: ToolService, token: str) -> APIRouter:
    router = APIRouter()

    @router.get("/card")
    async def read_card() -> ToolCard:
        return service.card

    @router.get("/health")
    async def read_health() -> WorkerHealth:
        return service.health()

    @router.post("/invoke", dependencies=[Depends(require_token(token))])
    async def invoke(call: ToolCall, request: Request) -> ToolResult:
        return await until_disconnect(request, service.invoke(call))

    return router
