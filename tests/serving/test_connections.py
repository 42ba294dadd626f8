"""Connections to workers: one that was used is used again, and one that breaks takes no result with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmedagent.model_worker.app import PREFIX, create_planner_worker
from mmedagent.model_worker.scripted import ScriptedPlanner
from mmedagent.protocol.invocation import ToolCall
from mmedagent.protocol.plan import ChatMessage, PlannerRequest
from mmedagent.serving.clients import WorkerClient, new_http_client
from mmedagent.serving.run import BackgroundServer
from mmedagent.serving.tool_service import HostedTool
from mmedagent.serving.tool_worker import create_tool_worker
from mmedagent.serving.worker import WorkerSettings
from support.script import answer, rule, write_script
from support.system import WORKER_TOKEN
from support.tools import EchoTool, wait_until
from support.worker import call

SETTINGS = WorkerSettings(url="http://127.0.0.1", token=WORKER_TOKEN)
REQUEST = PlannerRequest(messages=(ChatMessage(role="user", text="How is it?"),), correlation_id="request-1")


class Doorkeeper:
    """Notes the port of each caller, which is another one for every connection."""

    def __init__(self, app: ASGIApp, ports: list[int]) -> None:
        self._app = app
        self._ports = ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            self._ports.append(scope["client"][1])
        await self._app(scope, receive, send)


class Deserter:
    """Breaks a stream off after its last event."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_all_but_the_end(message: Message) -> None:
            is_end = message["type"] == "http.response.body" and not message.get("more_body")
            if scope["method"] != "POST" or not is_end:
                await send(message)

        await self._app(scope, receive, send_all_but_the_end if scope["type"] == "http" else send)


def watched(app: FastAPI) -> tuple[BackgroundServer, list[int]]:
    ports: list[int] = []
    app.add_middleware(Doorkeeper, ports=ports)
    return BackgroundServer(app), ports


def planner_app(folder: Path) -> FastAPI:
    script = folder / "script.json"
    script.write_text(write_script([rule("", answer("Fine."))]), "utf-8")
    app, _ = create_planner_worker(ScriptedPlanner(checkpoint=script), SETTINGS)
    return app


def wait_until_loaded(url: str) -> None:
    wait_until(lambda: httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ready", "it loads")


@asynccontextmanager
async def client_of(server: BackgroundServer, name: str) -> AsyncIterator[tuple[WorkerClient, str]]:
    """A client for a loaded worker, and the address of what it serves under that name."""
    with server:
        url = f"{server.url}/{name}"
        wait_until_loaded(url)
        async with new_http_client() as http:
            yield WorkerClient(http, WORKER_TOKEN), url


async def test_calls_that_are_watched_share_a_connection() -> None:
    app, _ = create_tool_worker([HostedTool(EchoTool())], SETTINGS)
    server, ports = watched(app)
    async with client_of(server, "echo") as (client, url):
        for text in "abc":
            result = await client.invoke(url, ToolCall(**call("echo", text=text)), lambda _: None)
            assert result.data["text"] == text
    assert len(ports) == 3
    assert len(set(ports)) == 1


async def test_a_result_counts_though_its_connection_breaks() -> None:
    app, _ = create_tool_worker([HostedTool(EchoTool())], SETTINGS)
    app.add_middleware(Deserter)
    async with client_of(BackgroundServer(app), "echo") as (client, url):
        result = await client.invoke(url, ToolCall(**call("echo", text="a")), lambda _: None)
    assert result.data["text"] == "a"


async def test_a_step_counts_though_its_connection_breaks(tmp_path: Path) -> None:
    app = planner_app(tmp_path)
    app.add_middleware(Deserter)
    async with client_of(BackgroundServer(app), PREFIX) as (client, url):
        assert [event.type async for event in client.step(url, REQUEST)][-1] == "done"


async def test_steps_share_a_connection(tmp_path: Path) -> None:
    server, ports = watched(planner_app(tmp_path))
    async with client_of(server, PREFIX) as (client, url):
        for _ in range(3):
            assert [event.type async for event in client.step(url, REQUEST)][-1] == "done"
    assert len(ports) == 3
    assert len(set(ports)) == 1
