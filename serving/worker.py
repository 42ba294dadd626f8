"""What tool workers and planner workers share: settings, readiness, membership, and leaving callers."""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import FastAPI, Request

from mmedagent.protocol.errors import CancelledError, MMedAgentError, UnavailableError
from mmedagent.protocol.workers import WorkerHealth
from mmedagent.serving.blobs import BlobStore, FolderBlobStore, HttpBlobStore
from mmedagent.serving.cache import DEFAULT_MEMORY_MB
from mmedagent.serving.clients import ControllerClient, new_http_client
from mmedagent.serving.memory import resident_bytes
from mmedagent.serving.registration import Membership, keep_registered, leave
from mmedagent.serving.work import WorkPool

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOADING = threading.Lock()
"""One model at a time: the model libraries import parts of themselves lazily, which threads cannot do at once."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker process is placed. `url` is where others reach it; without a controller it serves alone.

    `blob_folder` is the controller's blob folder when the disk is shared; otherwise blobs travel over HTTP.
    `label` is attached to every result, such as a note that the weights are for demonstration only. `memory_mb` is what
    decoded images and what tools keep of them may take in memory, in MiB.
    """

    url: str
    controller_url: str | None = None
    token: str = ""
    blob_folder: Path | None = None
    device: str = "cpu"
    label: str = ""
    memory_mb: int = DEFAULT_MEMORY_MB

    def blob_store(self) -> BlobStore:
        if self.blob_folder is not None or self.controller_url is None:
            return FolderBlobStore(self.blob_folder or Path("data/blobs"))
        return HttpBlobStore(self.controller_url, self.token)


class Service(ABC):
    """A model behind a pool: loading, ready, draining or failed."""

    def __init__(self, name: str, concurrency: int, load: Callable[[], None]) -> None:
        self.name = name
        self.pool = WorkPool(concurrency)
        self.status: Literal["loading", "ready", "draining", "failed"] = "loading"
        self._load = load

    @abstractmethod
    def membership(self) -> Membership:
        """What to register when the model is loaded."""

    async def load(self) -> None:
        """Load the model in a thread. A failure is logged and shown in /health; the service never registers then."""
        try:
            await asyncio.to_thread(self._load_alone)
        except Exception as error:
            self.status = "failed"
            detail = error.detail if isinstance(error, MMedAgentError) else "unexpected error"
            log.exception("loading failed: %s", detail, extra={"tool": self.name})
        else:
            self.status = "ready"

    def health(self) -> WorkerHealth:
        return self.health_with(self.pool.in_flight, self.pool.queued)

    def health_with(self, in_flight: int, queued: int) -> WorkerHealth:
        """The health of this service with as many calls at work and waiting."""
        return WorkerHealth(status=self.status, in_flight=in_flight, queued=queued, memory_bytes=resident_bytes())

    def require_ready(self) -> None:
        if self.status != "ready":
            raise UnavailableError(f"{self.name} is {self.status}.", retry_after=1.0)

    def _load_alone(self) -> None:
        with _LOADING:
            self._load()


class WorkerLife:
    """The life of a worker process: load each model, then register it, keep the leases, and leave before the end.

    `controller` is how the process reaches the controller while it lives, if it has one.
    """

    def __init__(self, settings: WorkerSettings, services: Sequence[Service]) -> None:
        self._services = services
        self._members: list[Membership] = []
        self._http = new_http_client()
        self._living: asyncio.Task[None] | None = None
        self.controller: ControllerClient | None = None
        if settings.controller_url:
            self.controller = ControllerClient(self._http, settings.controller_url, settings.token)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self._http:
            self._living = asyncio.create_task(self._live())
            yield
            await self.drain()
            for service in self._services:
                service.pool.close()

    async def drain(self) -> None:
        """Take this worker off the list; requests that are running still end."""
        for service in self._services:
            service.status = "draining"
        if self._living:
            self._living.cancel()
            with suppress(asyncio.CancelledError):
                await self._living
        if self.controller:
            await leave(self.controller, self._members)

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            for service in self._services:
                await service.load()
                if service.status == "ready":
                    member = service.membership()
                    self._members.append(member)
                    if self.controller:
                        group.create_task(keep_registered(self.controller, member))


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the caller closes the connection."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CancelledError("The caller left.")
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
