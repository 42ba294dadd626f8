"""Checks before any route: the host that was addressed, the page that asks, and the size of the body."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmedagent.protocol.errors import ForbiddenError, TooLargeError
from mmedagent.serving.web import problem_response

MAX_JSON_BYTES = 96 * 2**20
"""A chat message may carry an image as a data URI."""


class GuardMiddleware:
    """Refuses other hosts (DNS rebinding), other origins (cross-site requests), and bodies over their limit."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], max_upload_bytes: int) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        limit = self._limit(scope["path"])
        if not self._allowed(headers):
            refusal = problem_response(
                ForbiddenError("This host or origin is not allowed; see the setting allowed_hosts.")
            )
            await refusal(scope, receive, send)
        elif _announced(headers) > limit:
            await problem_response(_too_large(limit))(scope, receive, send)
        else:
            await self._app(scope, _limited(receive, limit), send)

    def _limit(self, path: str) -> int:
        if path == "/v1/files" or path.startswith("/internal/blobs/"):
            return self._max_upload_bytes + 2**20
        return MAX_JSON_BYTES

    def _allowed(self, headers: dict[str, str]) -> bool:
        if _hostname(f"//{headers.get('host', '')}") not in self._hosts:
            return False
        origin = headers.get("origin")
        return origin is None or _hostname(origin) in self._hosts


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _announced(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdigit() else 0


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"A request here is at most {limit // 2**20} MiB.")


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that stops a body which was not announced, or announced too small."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(TooLargeError.status, _too_large(limit).detail)
        return message

    return limited
