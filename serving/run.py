"""Running an application as a process: a socket bound before start, and a drain before the end."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Self

import uvicorn
import uvloop
from fastapi import FastAPI

DRAIN_TIMEOUT_S = 30


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises `OSError` when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1_024)
    return listener


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT it first runs `before_exit`, then lets running requests end, then stops."""

    def __init__(self, config: uvicorn.Config, before_exit: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._before_exit = before_exit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is None or self._leaving is not None:
            super().handle_exit(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._start_leaving, sig, frame)

    def _start_leaving(self, sig: int, frame: FrameType | None) -> None:
        self._leaving = asyncio.create_task(self._leave(sig, frame))

    async def _leave(self, sig: int, frame: FrameType | None) -> None:
        try:
            await self._before_exit()
        finally:
            super().handle_exit(sig, frame)


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )


async def _nothing() -> None:
    return


def run_app(app: FastAPI, listener: socket.socket, before_exit: Callable[[], Awaitable[None]] = _nothing) -> None:
    """Serve until a signal ends it. Returns after running requests are done, or after the drain timeout."""
    # What was imported stays; without this, each full garbage collection walks it and halts all requests for 0.1 s.
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(DrainingServer(_config(app), before_exit).serve(sockets=[listener]))


class BackgroundServer:
    """Serves an application from a thread of this process, for one-shot commands and tests.

    `with BackgroundServer(app) as server: ... server.url`; the socket is bound when the object is made.
    """

    def __init__(self, app: FastAPI, listener: socket.socket | None = None) -> None:
        self._listener = listener or bind("127.0.0.1", 0)
        self.url = url_of(self._listener)
        self._server = uvicorn.Server(_config(app))
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(DRAIN_TIMEOUT_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._server.serve(sockets=[self._listener]))


def url_of(listener: socket.socket, host: str | None = None) -> str:
    """The address of a bound socket, under another host name if others know it by one."""
    name, port = listener.getsockname()[:2]
    return f"http://{host or name}:{port}"
