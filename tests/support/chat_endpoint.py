"""A server that speaks the chat completions API and says what the test wrote down for it, in the pieces given."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from mmedagent.serving.run import BackgroundServer
from support.tools import PATIENCE_S

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """Bytes of the body; an event among them is waited for before the rest is sent."""

    pieces: Sequence[bytes | threading.Event]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    """One event of a stream, with what servers send beside it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    data = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": None,
    }
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def call_piece(index: int | None = 0, call_id: str | None = None, **function: str) -> dict[str, Any]:
    """A piece of a tool call in a delta; what is None is left out."""
    piece = {"index": index, "id": call_id, "function": function}
    return {name: value for name, value in piece.items() if value is not None}


def said(*texts: str, finish: str = "stop", **first: Any) -> Reply:
    """Text in these pieces, after a delta with other fields."""
    return Reply([chunk(role="assistant", **first), *(chunk(content=text) for text in texts), chunk(finish), DONE])


def called(*calls: tuple[str, Any], text: str = "", **first: Any) -> Reply:
    """Calls with their arguments, each in two pieces; arguments that are no string become JSON."""
    pieces = [chunk(role="assistant", content=text or None, **first)]
    for index, (name, arguments) in enumerate(calls):
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        half = len(written) // 2
        pieces.append(chunk(tool_calls=[call_piece(index, f"id-{index}", name=name, arguments=written[:half])]))
        pieces.append(chunk(tool_calls=[call_piece(index, arguments=written[half:])]))
    return Reply([*pieces, chunk("tool_calls"), DONE])


def cut(reply: Reply, size: int) -> Reply:
    """The same bytes in pieces of `size`, wherever that falls."""
    body = b"".join(piece for piece in reply.pieces if isinstance(piece, bytes))
    return Reply([body[start : start + size] for start in range(0, len(body), size)])


class ChatEndpoint:
    """Gives out its `replies` in order. `asked` are the bodies of the requests, `headers` theirs."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.caller_left = threading.Event()
        self.url = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def reply(path: str, request: Request) -> Response:
            self.paths.append(path)
            self.headers.append(dict(request.headers))
            self.asked.append(json.loads(await request.body() or b"{}"))
            made = self.replies.popleft()
            return StreamingResponse(self._pieces(made), made.status, made.headers, "text/event-stream")

        return app

    async def _pieces(self, reply: Reply) -> AsyncIterator[bytes]:
        try:
            for piece in reply.pieces:
                if isinstance(piece, bytes):
                    yield piece
                    await asyncio.sleep(0)
                else:
                    await asyncio.to_thread(piece.wait, PATIENCE_S)
        except asyncio.CancelledError:
            self.caller_left.set()
            raise


@contextmanager
def running_endpoint() -> Iterator[ChatEndpoint]:
    endpoint = ChatEndpoint()
    with BackgroundServer(endpoint.app()) as server:
        endpoint.url = f"{server.url}/v1"
        yield endpoint
