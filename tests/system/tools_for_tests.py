"""Tools that a test's worker processes load as `system.tools_for_tests:Class`.

Their "checkpoint" is a folder that test and tool share: the tool leaves a file there when a call has begun, and waits
for another one to appear.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from mmedagent.imaging.masks import encode_mask
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.tools import make_card

STARTED = "started"
RELEASE = "release"
POLL_S = 0.01
PIXELS = {"type": "integer", "minimum": 0}


class WaitingTool:
    """Works until the file `release` is in its folder, and says how many pixels wide its image was, if it had one."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self.card = make_card("waiting", result={"waited": {"type": "boolean"}})
        self._folder = checkpoint

    def load(self, device: str) -> None:
        if self._folder is None or not self._folder.is_dir():
            raise CheckpointError("The waiting tool needs its folder.")

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        folder = self._folder or Path()
        (folder / STARTED).touch()
        tick = threading.Event()
        while not (folder / RELEASE).exists():
            context.raise_if_cancelled()
            tick.wait(POLL_S)
        return [ToolOutput({"waited": True}) for _ in calls]


class BrightTool:
    """Marks every pixel of the image that is brighter than the middle of the gray scale."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self.card = make_card("bright", result={"area_px": PIXELS, "total_px": PIXELS}, needs_image=True)

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        if call.image is None:
            return InvalidParametersError("The bright tool needs an image.")
        frame = context.frame(call.image)
        mask = (frame if frame.ndim == 2 else frame.max(axis=2)) > 127
        artifact = context.store(encode_mask(mask), "mask", "image/png", "bright")
        return ToolOutput({"area_px": int(mask.sum()), "total_px": int(mask.size)}, (artifact,))
