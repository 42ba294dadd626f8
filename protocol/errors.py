"""The one exception tree, and the problem document it becomes at the HTTP edge (RFC 9457).

MMedAgentError
├── RequestError                what the caller sent is wrong, and sending it again will not help
│   ├── InvalidRequestError     422  a field is missing, unknown, of the wrong type or out of bounds
│   ├── InvalidParametersError  422  tool parameters against the tool's JSON Schema
│   ├── UnreadableImageError    422  the bytes are no image, or a broken one
│   ├── UnsupportedImageError   415  a known format that is not accepted
│   ├── TooLargeError           413  over a stated limit
│   ├── UnauthorizedError       401  no valid key or token
│   ├── ForbiddenError          403  a host, origin or address that is not allowed
│   ├── NotFoundError           404  no such thing, or not the caller's
│   ├── ConflictError           409  the thing is not in a state that allows this
│   └── PreconditionFailedError 412  the thing was changed since the caller read it
├── ServiceError                this side failed; the same request may succeed later
│   ├── UnavailableError        503  nobody is there who could do it
│   ├── OverloadedError         429  queues are full
│   ├── DeadlineError           504  it took longer than allowed
│   ├── WorkerError             502  a worker died, or answered nonsense
│   └── CheckpointError         500  a checkpoint is missing, altered or of another architecture
├── MalformedPlanError          502  planner text that is not a plan
└── CancelledError              499  the caller left, or it was cancelled
"""

from __future__ import annotations

from typing import ClassVar

from mmedagent.protocol.types import Identifier, ShortText, Text, WireType

MAX_DETAIL = 2_000
"""Characters of a detail. It may quote a name that somebody sent, and a name may be long."""


class Problem(WireType):
    """Problem details for HTTP APIs (RFC 9457), with a stable `code` and the request's correlation id.

    `message` is the detail again, under the name by which OpenAI clients look for it.
    """

    type: ShortText = "about:blank"
    title: ShortText
    status: int
    detail: Text
    message: Text = ""
    code: Identifier
    correlation_id: Identifier
    retry_after: float | None = None


class MMedAgentError(Exception):
    """Base of all errors with a meaning for the caller. `str(error)` is a sentence that may be shown to anyone."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail[:MAX_DETAIL]
        self.retry_after = retry_after

    def problem(self, correlation_id: str) -> Problem:
        return Problem(
            title=self.title,
            status=self.status,
            detail=self.detail,
            message=self.detail,
            code=self.code,
            correlation_id=correlation_id,
            retry_after=self.retry_after,
        )


class RequestError(MMedAgentError):
    code, status, title = "bad_request", 400, "Bad request"


class InvalidRequestError(RequestError):
    code, status, title = "invalid_request", 422, "Invalid request"


class InvalidParametersError(RequestError):
    code, status, title = "invalid_parameters", 422, "Invalid tool parameters"


class UnreadableImageError(RequestError):
    code, status, title = "unreadable_image", 422, "Unreadable image"


class UnsupportedImageError(RequestError):
    code, status, title = "unsupported_image", 415, "Unsupported image"


class TooLargeError(RequestError):
    code, status, title = "too_large", 413, "Too large"


class UnauthorizedError(RequestError):
    code, status, title = "unauthorized", 401, "Unauthorized"


class ForbiddenError(RequestError):
    code, status, title = "forbidden", 403, "Forbidden"


class NotFoundError(RequestError):
    code, status, title = "not_found", 404, "Not found"


class ConflictError(RequestError):
    code, status, title = "conflict", 409, "Conflict"


class PreconditionFailedError(RequestError):
    code, status, title = "precondition_failed", 412, "Precondition failed"


class ServiceError(MMedAgentError):
    code, status, title = "service_error", 500, "Service error"


class UnavailableError(ServiceError):
    code, status, title = "unavailable", 503, "Unavailable"


class OverloadedError(ServiceError):
    code, status, title = "overloaded", 429, "Overloaded"


class DeadlineError(ServiceError):
    code, status, title = "deadline_exceeded", 504, "Deadline exceeded"


class WorkerError(ServiceError):
    code, status, title = "worker_failed", 502, "Worker failed"


class CheckpointError(ServiceError):
    code, status, title = "bad_checkpoint", 500, "Bad checkpoint"


class MalformedPlanError(MMedAgentError):
    code, status, title = "malformed_plan", 502, "Malformed plan"


class CancelledError(MMedAgentError):
    code, status, title = "cancelled", 499, "Cancelled"


def error_types() -> dict[str, type[MMedAgentError]]:
    """Every concrete error by its code, so that a problem document can become the same exception again."""
    found: dict[str, type[MMedAgentError]] = {}
    pending: list[type[MMedAgentError]] = [MMedAgentError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found


def error_from_problem(problem: Problem) -> MMedAgentError:
    """The exception that a problem document stands for."""
    kind = error_types().get(problem.code, ServiceError)
    return kind(problem.detail, retry_after=problem.retry_after)
