"""What the routes work with, made once by `create_app`."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from mmedagent.controller.agent import Agent
from mmedagent.controller.files import Files
from mmedagent.controller.prefetching import Prefetcher
from mmedagent.controller.registry import Registry
from mmedagent.controller.routing import Router
from mmedagent.controller.settings import ControllerSettings
from mmedagent.controller.store.database import Database
from mmedagent.controller.turns import Turns
from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.web import require_token

OWNER = "local"


@dataclass(frozen=True)
class Services:
    """The parts of a controller."""

    settings: ControllerSettings
    database: Database
    blobs: FolderBlobStore
    files: Files
    registry: Registry
    router: Router
    agent: Agent
    turns: Turns
    prefetcher: Prefetcher

    async def owner(self, request: Request) -> str:
        """Who asks. Raises `UnauthorizedError` when a key is set and the request does not carry it."""
        if self.settings.api_key is not None:
            await require_token(self.settings.api_key.get_secret_value())(request)
        return OWNER
