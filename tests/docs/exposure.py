"""A tool that measures how bright an image is. docs/tools.md shows this file, and the tests run it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput

FRACTION = {"type": "number", "minimum": 0, "maximum": 1}
CARD = ToolCard(
    name="exposure",
    title="Measure exposure",
    description="Measures how bright the image is. Use it when the user asks about exposure.",
    parameters={"type": "object", "properties": {"above": FRACTION}, "additionalProperties": False},
    result={"type": "object", "properties": {"mean": FRACTION, "share": FRACTION}, "required": ["mean", "share"]},
    needs_image=True,
    typical_seconds=0.1,
    version="1.0.0",
)


class ExposureTool:
    """Mean brightness, and the share of pixels above a threshold; both from 0 to 1."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self.card = CARD

    def load(self, device: str) -> None:
        """There is nothing to load. A network would be read here from `checkpoint`, and tried once."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        if call.image is None:
            return InvalidParametersError("Exposure needs an image.")
        pixels = context.frame(call.image) / 255
        above: Any = call.parameters.get("above", 0.5)
        return ToolOutput({"mean": float(pixels.mean()), "share": float((pixels > above).mean())})
