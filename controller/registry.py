"""Who is there: workers with leases, and the choice among them."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import (
    CancelledError,
    ForbiddenError,
    InvalidRequestError,
    MalformedPlanError,
    MMedAgentError,
    NotFoundError,
    OverloadedError,
    RequestError,
    UnavailableError,
)
from mmedagent.protocol.workers import (
    KEPT_FAILURES,
    Lease,
    PlannerOffer,
    ToolOffer,
    WorkerFailure,
    WorkerHealth,
    WorkerInfo,
    WorkerRegistration,
)

HITS_TO_RETURN = 2
BREAKER_RUN = 5
BREAKER_CALLS = 10
BREAKER_WINDOW_S = 30.0
BREAKER_PAUSE_S = 5.0
RETRY_AFTER_S = 2.0
PLANNER_PREFIX = "planner/"
NOT_THE_WORKERS_FAULT = (RequestError, OverloadedError, MalformedPlanError, CancelledError)
"""A worker is never dropped for being busy, nor for what it was asked."""


class Breaker:
    """Opens at five failures in a row, or at half of ten or more calls in 30 s.

    After 5 s calls go through again; the first that fails opens it again, the first that works closes it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: deque[tuple[float, bool]] = deque(maxlen=100)
        self._run = 0
        self._opened_at: float | None = None

    @property
    def closed(self) -> bool:
        return self._opened_at is None or self._clock() - self._opened_at >= BREAKER_PAUSE_S

    def note(self, ok: bool) -> None:
        now = self._clock()
        self._calls.append((now, ok))
        self._run = 0 if ok else self._run + 1
        recent = [good for at, good in self._calls if now - at <= BREAKER_WINDOW_S]
        failing = len(recent) >= BREAKER_CALLS and recent.count(False) * 2 >= len(recent)
        if ok:
            self._opened_at = None
        elif self._run >= BREAKER_RUN or failing or self._opened_at is not None:
            self._opened_at = now


@dataclass
class Worker:
    """One registered worker.

    `hits` counts renewals since it was last out of reach; `health` is what the last one told.
    """

    worker_id: str
    registration: WorkerRegistration
    expires_at: float
    registered_at: float
    breaker: Breaker
    hits: int = HITS_TO_RETURN
    outstanding: int = 0
    completed: int = 0
    failed: int = 0
    health: WorkerHealth | None = None
    errors: deque[WorkerFailure] = field(default_factory=lambda: deque(maxlen=KEPT_FAILURES))

    @property
    def url(self) -> str:
        return self.registration.url

    @property
    def name(self) -> str:
        offer = self.registration.offer
        return offer.card.name if isinstance(offer, ToolOffer) else PLANNER_PREFIX + offer.card.name

    @property
    def names(self) -> dict[str, str | None]:
        """Every name that calls may go by: a tool's own, or those of a planner's models, each with its adapter."""
        offer = self.registration.offer
        if isinstance(offer, ToolOffer):
            return {offer.card.name: None}
        return {PLANNER_PREFIX + model: adapter for model, adapter in offer.card.models().items()}

    @property
    def ready(self) -> bool:
        return self.hits >= HITS_TO_RETURN and self.breaker.closed

    @contextmanager
    def working(self, *excused: type[MMedAgentError]) -> Iterator[None]:
        """Count a call as outstanding, and its end as completed or failed. Only the worker's own failures count, and of
        them none of the kinds that are `excused`."""
        self.outstanding += 1
        try:
            yield
        except MMedAgentError as error:
            if not isinstance(error, (*NOT_THE_WORKERS_FAULT, *excused)):
                self.failed += 1
                self.errors.appendleft(WorkerFailure(at=time.time(), code=error.code, message=error.title))
                self.breaker.note(ok=False)
                self.hits = 0 if isinstance(error, UnavailableError) else self.hits
            raise
        else:
            self.completed += 1
            self.breaker.note(ok=True)
        finally:
            self.outstanding -= 1

    def info(self) -> WorkerInfo:
        card = self.registration.offer.card
        return WorkerInfo(
            worker_id=self.worker_id,
            kind=self.registration.offer.kind,
            name=card.name,
            version=card.version,
            checkpoint_sha256=card.checkpoint_sha256,
            label=self.registration.label,
            state="ready" if self.ready else "suspect",
            outstanding=self.outstanding,
            queued=self.health.queued if self.health else 0,
            concurrency=self.registration.concurrency,
            completed=self.completed,
            failed=self.failed,
            memory_bytes=self.health.memory_bytes if self.health else None,
            last_errors=tuple(self.errors),
            registered_at=self.registered_at,
        )


class Registry:
    """The workers with a valid lease. It never calls a worker: workers renew, and calls show who is out of reach."""

    def __init__(
        self, worker_hosts: Iterable[str], lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hosts = frozenset(worker_hosts)
        self._lease_s = lease_s
        self._clock = clock
        self._workers: dict[str, Worker] = {}

    def register(self, registration: WorkerRegistration) -> Lease:
        """Add a worker; one with the same URL is replaced. Raises `ForbiddenError` for a host that is not allowed."""
        if urlsplit(registration.url).hostname not in self._hosts:
            raise ForbiddenError("Workers on this host are not allowed; see the setting worker_hosts.")
        for old in [worker for worker in self._workers.values() if worker.url == registration.url]:
            del self._workers[old.worker_id]
        worker = Worker(
            worker_id=f"worker_{uuid.uuid4().hex[:16]}",
            registration=registration,
            expires_at=self._clock() + self._lease_s,
            registered_at=time.time(),
            breaker=Breaker(self._clock),
        )
        self._workers[worker.worker_id] = worker
        return Lease(worker_id=worker.worker_id, seconds=self._lease_s)

    def renew(self, worker_id: str, health: WorkerHealth | None = None) -> Lease:
        worker = {one.worker_id: one for one in self.workers()}.get(worker_id)
        if worker is None:
            raise NotFoundError("This lease has ended; register again.")
        worker.expires_at = self._clock() + self._lease_s
        worker.hits += 1
        worker.health = health or worker.health
        return Lease(worker_id=worker_id, seconds=self._lease_s)

    def remove(self, worker_id: str) -> None:
        self._workers.pop(worker_id, None)

    def workers(self) -> list[Worker]:
        """All workers whose lease has not run out."""
        now = self._clock()
        for worker_id in [name for name, worker in self._workers.items() if worker.expires_at < now]:
            del self._workers[worker_id]
        return list(self._workers.values())

    def tools(self) -> dict[str, ToolCard]:
        """The card of each tool that some ready worker offers, by name."""
        return {
            worker.name: worker.registration.offer.card
            for worker in self.workers()
            if worker.ready and isinstance(worker.registration.offer, ToolOffer)
        }

    def planners(self) -> list[Worker]:
        return [worker for worker in self.workers() if isinstance(worker.registration.offer, PlannerOffer)]

    def models(self) -> dict[str, Worker]:
        """The public names of the planners and of their adapters, in order, each with a worker that has it."""
        found = {name.removeprefix(PLANNER_PREFIX): worker for worker in self.planners() for name in worker.names}
        return dict(sorted(found.items()))

    def planner_name(self, model: str | None = None) -> str:
        """The registry's name of the planner, and adapter, with that model name, or of the first planner.

        Raises `NotFoundError` for a name that no planner has, `UnavailableError` without any planner.
        """
        names = list(self.models())
        if not names:
            raise UnavailableError("No planner is available at present.", retry_after=RETRY_AFTER_S)
        if model is not None and model not in names:
            raise NotFoundError(f"There is no model {model}; there is: {', '.join(names)}.")
        return PLANNER_PREFIX + (model or names[0])

    def writer_name(self, model: str | None = None) -> str:
        """As `planner_name`, for a planner that writes free text; without a model name, the first that does.

        Raises `InvalidRequestError` for a model that writes only plans.
        """
        writers = [
            name
            for name, worker in self.models().items()
            if isinstance(worker.registration.offer, PlannerOffer) and worker.registration.offer.completes
        ]
        if model is None and not writers:
            raise UnavailableError("No model that writes free text is available at present.", retry_after=RETRY_AFTER_S)
        name = self.planner_name(model or writers[0])
        if name.removeprefix(PLANNER_PREFIX) not in writers:
            raise InvalidRequestError(f"The model {model} writes plans and no free text.")
        return name

    def pick(self, name: str, exclude: frozenset[str] = frozenset()) -> Worker:
        """The ready worker of that tool, or planner and adapter, with the fewest outstanding calls for its size.

        Raises `UnavailableError` when there is none.
        """
        candidates = [
            worker
            for worker in self.workers()
            if name in worker.names and worker.ready and worker.worker_id not in exclude
        ]
        if not candidates:
            raise UnavailableError(f"No worker for {name} is available at present.", retry_after=RETRY_AFTER_S)
        return min(
            candidates,
            key=lambda worker: (
                worker.outstanding / worker.registration.concurrency,
                worker.completed + worker.failed,
            ),
        )
