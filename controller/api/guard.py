"""Checks before any route reads a body: the host that was addressed, the page that asks, the key, and the size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmedagent.protocol.errors import ForbiddenError, RequestError, TooLargeError
from mmedagent.serving.web import problem_response

MAX_JSON_BYTES = 96 * 2**20
"""A chat message may carry an image as a data URI."""

Check = Callable[[Request], Awaitable[None]]
"""Raises a `RequestError` for a request that may not come in."""


class GuardMiddleware:
    """Refuses other hosts (DNS rebinding), other origins (cross-site requests), strangers, and bodies over their limit.

    `checks` tell strangers apart on paths with a prefix. The routes check again; here a stranger is turned away before
    anything of a body is kept.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], checks: Mapping[str, Check], max_upload_bytes: int) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._checks = dict(checks)
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        try:
            await self._check(Request(scope), limit)
        except RequestError as error:
            await problem_response(error)(scope, receive, send)
        else:
            await self._app(scope, _limited(receive, limit), send)

    async def _check(self, request: Request, limit: int) -> None:
        if not self._allowed(request.headers):
            raise ForbiddenError("This host or origin is not allowed; see the setting allowed_hosts.")
        for prefix, check in self._checks.items():
            if request.url.path.startswith(prefix):
                await check(request)
        if _announced(request.headers) > limit:
            raise _too_large(limit)

    def _limit(self, path: str) -> int:
        if path == "/v1/files" or path.startswith("/internal/blobs/"):
            return self._max_upload_bytes + 2**20
        return MAX_JSON_BYTES

    def _allowed(self, headers: Headers) -> bool:
        """The host is one of ours, and a page that asks, if any, came from this very host and port."""
        host = headers.get("host", "")
        origin = headers.get("origin")
        return _hostname(f"//{host}") in self._hosts and (origin is None or origin.partition("://")[2] == host)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _announced(headers: Headers) -> int:
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
