"""Logs as JSON lines. Only allow-listed fields are written, so no prompt, pixel, name or key can slip in."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="-")

ALLOWED_FIELDS = (
    "attempt",
    "call_id",
    "child",
    "code",
    "exit_code",
    "in_flight",
    "method",
    "outcome",
    "pid",
    "route",
    "seconds",
    "status",
    "tool",
    "turn_id",
    "url",
    "worker_id",
)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, correlation id, and the allow-listed extras.

    Of an exception only the type and the place are kept: its text may quote what a user sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            "correlation_id": correlation_id.get(),
        }
        line.update((name, getattr(record, name)) for name in ALLOWED_FIELDS if hasattr(record, name))
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["at"] = _place(record)
        return json.dumps(line, default=str)


def configure_logging(level: str | None = None) -> None:
    """Send every logger to standard error as JSON lines, and silence the libraries that log request texts."""
    level = level or os.environ.get("MMEDAGENT_LOG_LEVEL", "INFO")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "uvicorn.access", "alembic", "pydicom", "PIL", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _place(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
