"""How bright a part of the displayed image is: mean, spread and range of its gray levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.imaging.boxes import validate_box
from mmedagent.protocol.card import CardExample, ToolCard
from mmedagent.protocol.errors import InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import PixelArray, ToolContext, ToolOutput

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a gray level (ITU-R BT.601)."""

COORDINATE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
LEVEL: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 255}

CARD = ToolCard(
    name="brightness",
    title="Brightness",
    description=(
        "Measures the gray levels of the displayed image, 0 (black) to 255 (white), inside a box or in the whole "
        "image. These are levels of the display, not Hounsfield units or other physical values."
    ),
    parameters={
        "type": "object",
        "properties": {
            "box": {
                "type": "array",
                "description": "Corners [x1, y1, x2, y2] as fractions of width and height; without it, all of it.",
                "items": COORDINATE,
                "minItems": 4,
                "maxItems": 4,
            }
        },
        "additionalProperties": False,
    },
    result={
        "type": "object",
        "properties": {
            "mean": LEVEL,
            "standard_deviation": LEVEL,
            "lowest": LEVEL,
            "highest": LEVEL,
            "pixels": {"type": "integer", "minimum": 1},
        },
        "required": ["mean", "standard_deviation", "lowest", "highest", "pixels"],
        "additionalProperties": False,
    },
    needs_image=True,
    typical_seconds=0.01,
    version="1.0.0",
    examples=(CardExample(ask="How bright is the image inside the box?", parameters={"box": [0.2, 0.2, 0.6, 0.7]}),),
)


class BrightnessTool:
    """The whole tool: a card, `load` and `run`. It computes without a checkpoint, so `load` has nothing to do."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self.card = CARD

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._measure(call, context) for call in calls]

    def _measure(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        if call.image is None:
            return InvalidParametersError("Brightness needs an image.")
        given: Any = call.parameters.get("box", (0, 0, 1, 1))
        try:
            x1, y1, x2, y2 = validate_box(given)
        except InvalidParametersError as error:
            return error
        levels = gray_levels(context.frame(call.image))
        height, width = levels.shape
        rows = slice(int(y1 * height), math.ceil(y2 * height))
        columns = slice(int(x1 * width), math.ceil(x2 * width))
        part = levels[rows, columns]
        data: dict[str, Any] = {
            "mean": float(part.mean()),
            "standard_deviation": float(part.std()),
            "lowest": float(part.min()),
            "highest": float(part.max()),
            "pixels": int(part.size),
        }
        return ToolOutput(data, preprocessing="gray levels of the display frame")


def gray_levels(frame: PixelArray) -> NDArray[np.float64]:
    """Gray levels (rows, columns), 0 to 255, of a gray or an RGB frame."""
    return frame.astype(np.float64) if frame.ndim == 2 else frame @ LUMA
