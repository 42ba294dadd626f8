"""Server-sent events: writing and reading them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def encode_event(data: str, event: str | None = None, event_id: int | None = None) -> bytes:
    """One event. `data` is a single line, such as JSON; a reader who comes back names the last id that it saw."""
    name = f"event: {event}\n" if event else ""
    number = f"id: {event_id}\n" if event_id is not None else ""
    return f"{number}{name}data: {data}\n\n".encode()


async def read_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The data of each event in a stream of lines whose events have one data line each."""
    async for line in lines:
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()
