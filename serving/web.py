"""What every HTTP application here has: correlation ids, problem documents for errors, and metrics."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmedagent.protocol.errors import (
    InvalidRequestError,
    MMedAgentError,
    NotFoundError,
    RequestError,
    TooLargeError,
    UnauthorizedError,
)
from mmedagent.serving.logs import correlation_id

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
ROUTINE = ("/health", "/metrics", "/healthz", "/readyz", "/internal/workers/{worker_id}")
"""Routes that are asked every few seconds, whose requests are only worth a line when one looks for something."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class HttpMetrics:
    """Requests and their seconds by route; more metrics can be added to `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("mmedagent_http_requests", "HTTP requests", labels, registry=self.registry)
        self.seconds = Histogram("mmedagent_http_seconds", "Time to the last byte", labels, registry=self.registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        labels = (method, route, str(status))
        self.requests.labels(*labels).inc()
        self.seconds.labels(*labels).observe(seconds)


class RequestMiddleware:
    """Gives each request a correlation id, measures it, and logs it by its route, never by its path or body."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        name = given if _CORRELATION_ID.fullmatch(given) else uuid.uuid4().hex
        token, started, status = correlation_id.set(name), time.perf_counter(), 499

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = name
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - started
            self._metrics.observe(scope["method"], route, status, seconds)
            fields = {"method": scope["method"], "route": route, "status": status, "seconds": round(seconds, 4)}
            log.log(logging.DEBUG if route.endswith(ROUTINE) else logging.INFO, "request", extra=fields)
            correlation_id.reset(token)


def install_web_basics(app: FastAPI) -> HttpMetrics:
    """Add the middleware, the error handlers and GET /metrics to an application."""
    metrics = HttpMetrics()
    app.add_middleware(RequestMiddleware, metrics=metrics)
    app.add_exception_handler(MMedAgentError, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unknown_error)

    @app.get("/metrics", include_in_schema=False)
    async def read_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    return metrics


def bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def require_token(token: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets only requests with this bearer token through; an empty token lets nobody through."""

    async def check(request: Request) -> None:
        given, wanted = (hashlib.sha256(one.encode()).digest() for one in (bearer_token(request), token))
        if not token or not hmac.compare_digest(given, wanted):
            raise UnauthorizedError("Send the right bearer token.")

    return check


def problem_response(error: MMedAgentError) -> Response:
    """The problem document of an error as a response."""
    problem = error.problem(correlation_id.get())
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if error.retry_after is not None else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem.model_dump_json(), problem.status, headers, PROBLEM_JSON)


async def _on_known_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, MMedAgentError):
        raise error
    return problem_response(error)


async def _on_validation_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem_response(InvalidRequestError(describe_validation(error.errors())))


def describe_validation(errors: Sequence[Any]) -> str:
    """Up to five validation errors as one sentence: where, and what is wrong, without repeating the input."""
    parts = [f"{'.'.join(str(part) for part in row['loc'])}: {_told(row)}" for row in errors[:5]]
    return "; ".join(parts)[:2_000] or "The request is not valid."


def _told(row: Any) -> str:
    if row["type"] == "union_tag_invalid":
        return f"Input should have one of these types: {row['ctx']['expected_tags']}"
    return str(row["msg"])


async def _on_http_exception(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        return problem_response(NotFoundError("There is nothing at this address."))
    if error.status_code == TooLargeError.status:
        return problem_response(TooLargeError(str(error.detail)))
    refused = RequestError(str(error.detail))
    problem = refused.problem(correlation_id.get()).model_copy(update={"status": error.status_code})
    return Response(problem.model_dump_json(), error.status_code, error.headers, PROBLEM_JSON)


async def _on_unknown_error(_: Request, error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return problem_response(
        MMedAgentError("Something went wrong on the server. The correlation id names the log line.")
    )
