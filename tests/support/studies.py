"""Sending several files as one study, and a tool that marks a box on a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from mmedagent.imaging.boxes import pixel_window, validate_box
from mmedagent.imaging.masks import encode_mask
from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.system import System
from support.tools import BOXES, FILE_ID, EchoTool, make_card

BOX = [0.25, 0.5, 0.5, 0.75]
SLICE = {"type": "integer", "minimum": 0, "maximum": 100_000}


class BoxMaskTool(EchoTool):
    """Marks the first box, and tells the mean of the frame in it."""

    def __init__(self) -> None:
        super().__init__("boxmask")
        properties = {"boxes": BOXES, "image": FILE_ID, "slice": SLICE}
        self.card = make_card("boxmask", properties, {"mean": {"type": "number"}}, needs_image=True)

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        self.calls.extend(calls)
        return [self._marked(call, context) for call in calls]

    def _marked(self, call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        frame = context.frame(call.image)
        boxes: Any = call.parameters["boxes"]
        mask = np.zeros(frame.shape[:2], np.bool_)
        mask[pixel_window(validate_box(boxes[0]), call.image.width, call.image.height)] = True
        artifact = context.store(encode_mask(mask), "mask", "image/png", "the box")
        return ToolOutput({"mean": float(frame[mask].mean())}, (artifact,), "none")


def send(system: System, *files: bytes) -> httpx.Response:
    return system.http.post("/v1/files", files=[("file", (f"{number}", one)) for number, one in enumerate(files)])
