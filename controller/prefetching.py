"""Telling tools of an image that came in, so that an idle one prepares it before anybody asks."""

from __future__ import annotations

import asyncio
import logging

from mmedagent.controller.registry import Registry
from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.workers import ToolOffer
from mmedagent.serving.clients import WorkerClient

log = logging.getLogger(__name__)

MAX_OFFERS = 16


class Prefetcher:
    """Offers images to the workers that want to hear of them. Nobody waits for it, and no failure of it matters.

    At most 16 offers are under way; when uploads come faster, the rest are not made.
    """

    def __init__(self, registry: Registry, client: WorkerClient) -> None:
        self._registry = registry
        self._client = client
        self._offers: set[asyncio.Task[None]] = set()

    def offer(self, image: ImageRef) -> None:
        for worker in self._registry.workers():
            offer = worker.registration.offer
            wanted = isinstance(offer, ToolOffer) and offer.prefetches and worker.ready and not worker.outstanding
            if wanted and len(self._offers) < MAX_OFFERS:
                task = asyncio.create_task(self._tell(worker.url, image))
                self._offers.add(task)
                task.add_done_callback(self._offers.discard)

    def close(self) -> None:
        for task in self._offers:
            task.cancel()

    async def _tell(self, url: str, image: ImageRef) -> None:
        try:
            await self._client.prefetch(url, image)
        except MMedAgentError as error:
            log.info("an image could not be offered", extra={"code": error.code, "url": url})
