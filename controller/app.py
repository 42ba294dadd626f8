"""The controller's application, composed from its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mmedagent.controller.agent import Agent
from mmedagent.controller.api.catalogue import catalogue_routes
from mmedagent.controller.api.chat import chat_routes
from mmedagent.controller.api.conversations import conversation_routes
from mmedagent.controller.api.document import ERRORS, DocumentedApp
from mmedagent.controller.api.exports import export_routes
from mmedagent.controller.api.files import file_routes
from mmedagent.controller.api.frames import frame_routes
from mmedagent.controller.api.guard import GuardMiddleware
from mmedagent.controller.api.health import health_routes
from mmedagent.controller.api.internal import internal_routes
from mmedagent.controller.api.me import me_routes
from mmedagent.controller.api.page import mount_page
from mmedagent.controller.api.plans import plan_routes
from mmedagent.controller.api.reference import mount_reference
from mmedagent.controller.api.reports import report_routes
from mmedagent.controller.api.responses import response_routes
from mmedagent.controller.api.services import Services
from mmedagent.controller.files import Files
from mmedagent.controller.keys import Keys
from mmedagent.controller.prefetching import Prefetcher
from mmedagent.controller.registry import Registry
from mmedagent.controller.routing import Router
from mmedagent.controller.settings import ControllerSettings
from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.turns import Turns
from mmedagent.imaging.sandbox import DecoderPool
from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.clients import WorkerClient, new_http_client
from mmedagent.serving.web import install_web_basics, require_token

DESCRIPTION = (
    "A medical agent: questions about medical images are answered by a planner that calls tools. "
    "For research use only; not a medical device, and no answer is a diagnosis."
)


def create_app(settings: ControllerSettings) -> FastAPI:
    """A controller. Nothing is opened or started before the application's lifespan begins."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    http = new_http_client()
    database = Database(settings.database)
    keys = Keys(database, settings.api_key, settings.is_loopback)
    blobs = FolderBlobStore(settings.blob_folder)
    decoders = DecoderPool()
    registry = Registry(settings.worker_hosts, settings.lease_s)
    client = WorkerClient(http, settings.worker_token.get_secret_value())
    router = Router(registry, client)
    prefetcher = Prefetcher(registry, client)
    agent = Agent(registry, router, settings.max_steps, settings.turn_deadline_s, settings.tool_deadline_s)
    files = Files(database, blobs, decoders, settings.max_upload_bytes)
    turns = Turns(agent, database)
    services = Services(settings, database, keys, blobs, files, registry, router, agent, turns, prefetcher)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(database.migrate)
        database.start()
        await database.write(repository.close_interrupted_turns)
        async with http, decoders:
            yield
            await services.turns.close()
            prefetcher.close()
        await database.close()

    app = DocumentedApp(
        title="mmedagent",
        version="0.1.0",
        description=DESCRIPTION,
        responses=ERRORS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    checks = {"/internal/": require_token(settings.worker_token.get_secret_value()), "/v1/": keys.check}
    app.add_middleware(
        GuardMiddleware, hosts=settings.allowed_hosts, checks=checks, max_upload_bytes=settings.max_upload_bytes
    )
    install_web_basics(app)
    for routes in (
        health_routes,
        me_routes,
        catalogue_routes,
        file_routes,
        frame_routes,
        conversation_routes,
        response_routes,
        report_routes,
        export_routes,
        chat_routes,
        plan_routes,
        internal_routes,
    ):
        app.include_router(routes(services))
    mount_reference(app)
    mount_page(app, settings.page_dir)
    return app
