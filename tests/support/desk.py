"""A tool's surroundings without a worker: frames, files and callers, as the worker itself provides them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.imaging.png import encode_frame
from mmedagent.protocol.errors import NotFoundError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.serving.batching import Ticket
from mmedagent.serving.blobs import sha256_of
from mmedagent.serving.cache import ByteCache
from mmedagent.serving.context import CallTool, RunContext, Surroundings, call_nobody

NOBODY = ToolCall(call_id="gone", tool="gone", parameters={}, deadline_s=1, correlation_id="test")
CACHE_BYTES = 64 * 2**20


class MemoryBlobs:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        sha256 = sha256_of(content)
        self.kept[sha256] = content
        return sha256

    def get(self, sha256: str) -> bytes:
        if sha256 not in self.kept:
            raise NotFoundError("There is no such blob.")
        return self.kept[sha256]


def desk(
    *frames: NDArray[np.uint8],
    calls: Sequence[ToolCall] = (),
    gone: bool = False,
    call_tool: CallTool = call_nobody,
    blobs: MemoryBlobs | None = None,
) -> RunContext:
    """The context of a run of `calls`; the n-th frame is the blob with the name n. Gone: all callers have left."""
    blobs = blobs or MemoryBlobs()
    blobs.kept.update((f"{number:064x}", encode_frame(frame)) for number, frame in enumerate(frames))
    tickets = [Ticket(call) for call in calls] or [Ticket(NOBODY)] * gone
    for ticket in tickets:
        if gone:
            ticket.token.cancel()
    return RunContext("tool of the test", tickets, Surroundings(blobs, ByteCache(CACHE_BYTES), call_tool))


def image_call(tool: str, number: int = 0, **parameters: Any) -> ToolCall:
    """A call of a tool on the image that a desk shows under this number."""
    digest = f"{number:064x}"
    return ToolCall(
        call_id=f"call-{number}",
        tool=tool,
        parameters=parameters,
        image=ImageRef(sha256=digest, source_sha256=digest, width=8, height=8),
        deadline_s=30,
        correlation_id="test",
    )
