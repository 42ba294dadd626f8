"""The application that serves one or several tools over the worker HTTP interface, each under `/<tool name>`."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.invocation import ImageRef, ToolCall, ToolResult
from mmedagent.protocol.workers import Prefetch, WorkerHealth
from mmedagent.serving import sse
from mmedagent.serving.batching import Ticket
from mmedagent.serving.cache import measured_cache
from mmedagent.serving.progress import invoke_events
from mmedagent.serving.tool_metrics import ToolMetrics
from mmedagent.serving.tool_service import HostedTool, Shared, ToolService
from mmedagent.serving.web import install_web_basics, require_token
from mmedagent.serving.worker import WorkerLife, WorkerSettings, until_disconnect


def create_tool_worker(hosted: Sequence[HostedTool], settings: WorkerSettings) -> tuple[FastAPI, WorkerLife]:
    """The application, and its life, whose `drain` the process calls before it stops."""
    services: list[ToolService] = []
    life = WorkerLife(settings, services)
    app = FastAPI(title="mmedagent tool worker", lifespan=life.lifespan, docs_url=None, redoc_url=None)
    registry = install_web_basics(app).registry
    cache = measured_cache(settings.memory_mb, registry)
    shared = Shared(settings, settings.blob_store(), cache, ToolMetrics(registry), life.controller)
    for one in hosted:
        service = ToolService(one, shared)
        services.append(service)
        app.include_router(_routes(service, settings.token), prefix=f"/{service.name}")
    return app, life


def _routes(service: ToolService, token: str) -> APIRouter:
    router = APIRouter()
    only_controller = [Depends(require_token(token))]

    @router.get("/card")
    async def read_card() -> ToolCard:
        return service.card

    @router.get("/health")
    async def read_health() -> WorkerHealth:
        return service.health()

    @router.post("/invoke", dependencies=only_controller, response_model=ToolResult)
    async def invoke(call: ToolCall, request: Request) -> ToolResult | StreamingResponse:
        if sse.MEDIA_TYPE in request.headers.get("accept", ""):
            return StreamingResponse(invoke_events(service, call), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
        return await until_disconnect(request, service.invoke(Ticket(call)))

    @router.post("/prefetch", dependencies=only_controller, status_code=202)
    async def prefetch(image: ImageRef) -> Prefetch:
        return Prefetch(begun=service.prefetch(image))

    return router
