"""What the routes work with, made once by `create_app`."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from mmedagent.controller.agent import Agent
from mmedagent.controller.files import Files
from mmedagent.controller.keys import Caller, Keys
from mmedagent.controller.prefetching import Prefetcher
from mmedagent.controller.registry import Registry
from mmedagent.controller.routing import Router
from mmedagent.controller.settings import ControllerSettings
from mmedagent.controller.store.database import Database
from mmedagent.controller.turns import Turns
from mmedagent.serving.blobs import FolderBlobStore


@dataclass(frozen=True)
class Services:
    """The parts of a controller."""

    settings: ControllerSettings
    database: Database
    keys: Keys
    blobs: FolderBlobStore
    files: Files
    registry: Registry
    router: Router
    agent: Agent
    turns: Turns
    prefetcher: Prefetcher

    async def caller(self, request: Request) -> Caller:
        """Who asks. Raises `UnauthorizedError` when keys are wanted and the request has no valid one."""
        return await self.keys.caller(request)

    async def owner(self, request: Request) -> str:
        """Whose things the caller sees. Raises `UnauthorizedError` as `caller` does."""
        return (await self.caller(request)).owner
