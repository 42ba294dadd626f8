"""The application that serves one planner over HTTP: GET /card, GET /health, POST /step and, where the planner can,
POST /complete; both answer with server-sent events."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby

from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry, Histogram

from mmedagent.model_worker.planner import CompletedEvent, Completing, Planner, StepEvent
from mmedagent.protocol.completion import CompletionRequest
from mmedagent.protocol.errors import InvalidRequestError, MMedAgentError, NotFoundError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import PlannerFailed, PlannerRequest, ThoughtsDelta, ValueDelta
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.protocol.workers import PlannerCard, PlannerOffer, WorkerHealth, WorkerRegistration
from mmedagent.serving import sse
from mmedagent.serving.cache import FrameCache, measured_cache
from mmedagent.serving.registration import Membership
from mmedagent.serving.tool import PixelArray
from mmedagent.serving.web import install_web_basics, require_token
from mmedagent.serving.work import CancelToken
from mmedagent.serving.worker import Service, WorkerLife, WorkerSettings

log = logging.getLogger(__name__)

PREFIX = "planner"


class PlannerService(Service):
    """One planner in its pool."""

    def __init__(
        self, planner: Planner, concurrency: int, settings: WorkerSettings, registry: CollectorRegistry
    ) -> None:
        super().__init__(PREFIX, concurrency, lambda: planner.load(settings.device))
        self._planner = planner
        self._settings = settings
        self._frames = FrameCache(settings.blob_store(), measured_cache(settings.memory_mb, registry))
        self._seconds = Histogram("mmedagent_planner_seconds", "Time of a planner step", registry=registry)

    @property
    def card(self) -> PlannerCard:
        card = self._planner.card
        return card.model_copy(update={"label": self._settings.label or card.label})

    def membership(self) -> Membership:
        registration = WorkerRegistration(
            url=f"{self._settings.url}/{PREFIX}",
            offer=PlannerOffer(card=self.card, completes=isinstance(self._planner, Completing)),
            concurrency=self.pool.concurrency,
            label=self._settings.label,
        )
        return Membership(registration, self.health)

    async def step(self, request: PlannerRequest) -> AsyncIterator[bytes]:
        """The step's events as server-sent events; a failure after the first one is an event too."""
        with self._seconds.time():
            try:
                async for events in self.pool.stream(lambda token: self._work(request, token), request.deadline_s):
                    yield b"".join(sse.encode_event(event.model_dump_json()) for event in joined(events))
            except MMedAgentError as error:
                failed = PlannerFailed(code=error.code, message=error.detail)
                yield sse.encode_event(failed.model_dump_json())

    def _work(self, request: PlannerRequest, token: CancelToken) -> Iterator[StepEvent]:
        self._require_adapter(request.adapter)
        yield from self._planner.step(request, self._frame(request.image), token.raise_if_cancelled)

    async def complete(self, request: CompletionRequest) -> AsyncIterator[bytes]:
        """As `step`, for free text."""
        try:
            async for events in self.pool.stream(lambda token: self._text(request, token), request.deadline_s):
                yield b"".join(sse.encode_event(event.model_dump_json()) for event in events)
        except MMedAgentError as error:
            failed = PlannerFailed(code=error.code, message=error.detail)
            yield sse.encode_event(failed.model_dump_json())

    def _text(self, request: CompletionRequest, token: CancelToken) -> Iterator[CompletedEvent]:
        if not isinstance(self._planner, Completing):
            raise InvalidRequestError(f"The planner {self.card.name} writes plans and no free text.")
        self._require_adapter(request.adapter)
        yield from self._planner.complete(request, self._frame(request.image), token.raise_if_cancelled)

    def _require_adapter(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self.card.adapters:
            raise NotFoundError(f"The planner has no adapter {adapter}.")

    def _frame(self, image: ImageRef | None) -> PixelArray | None:
        return self._frames.frame(image) if image else None


def joined(events: Sequence[StepEvent]) -> Iterator[StepEvent]:
    """The events with neighbouring pieces of the same text put together."""
    for kind, run in groupby(events, key=type):
        if kind is ThoughtsDelta:
            text = "".join(event.text for event in run if isinstance(event, ThoughtsDelta))
            yield from (ThoughtsDelta(text=piece) for piece in _pieces(text))
        elif kind is ValueDelta:
            text = "".join(event.text for event in run if isinstance(event, ValueDelta))
            yield from (ValueDelta(text=piece) for piece in _pieces(text))
        else:
            yield from run


def _pieces(text: str) -> Iterator[str]:
    """`text` in pieces that an event can hold."""
    return (text[start : start + MAX_TEXT] for start in range(0, len(text), MAX_TEXT))


def create_planner_worker(
    planner: Planner, settings: WorkerSettings, concurrency: int = 1
) -> tuple[FastAPI, WorkerLife]:
    """The application, and its life, whose `drain` the process calls before it stops."""
    services: list[PlannerService] = []
    life = WorkerLife(settings, services)
    app = FastAPI(title="mmedagent planner", lifespan=life.lifespan, docs_url=None, redoc_url=None)
    metrics = install_web_basics(app)
    service = PlannerService(planner, concurrency, settings, metrics.registry)
    services.append(service)

    @app.get(f"/{PREFIX}/card")
    async def read_card() -> PlannerCard:
        return service.card

    @app.get(f"/{PREFIX}/health")
    async def read_health() -> WorkerHealth:
        return service.health()

    only_controller = [Depends(require_token(settings.token))]

    @app.post(f"/{PREFIX}/step", response_class=StreamingResponse, dependencies=only_controller)
    async def step(request: PlannerRequest) -> StreamingResponse:
        service.require_ready()
        return StreamingResponse(service.step(request), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)

    @app.post(f"/{PREFIX}/complete", response_class=StreamingResponse, dependencies=only_controller)
    async def complete(request: CompletionRequest) -> StreamingResponse:
        service.require_ready()
        return StreamingResponse(service.complete(request), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)

    return app, life
