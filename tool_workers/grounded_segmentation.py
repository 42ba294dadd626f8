"""The grounded segmentation tool: grounding finds what was named, segmentation outlines it (Ren et al., Grounded SAM,
arXiv 2401.14159). It has no network of its own: both are asked through the controller, wherever they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmedagent.imaging.boxes import Box
from mmedagent.imaging.masks import decode_mask
from mmedagent.imaging.overlay import render_overlay
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import InvalidParametersError, MMedAgentError, WorkerError
from mmedagent.protocol.invocation import Artifact, ImageRef, ToolCall, ToolResult
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import CallContext, ToolContext, ToolOutput

MAX_OBJECTS = 64
"""As many boxes as segmentation takes in one call; of more, those with the highest scores."""

PREPROCESSING = "that of its parts"


class GroundedSegmentationTool:
    """Text-prompted segmentation as a composition of two tools."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self.card: ToolCard = load_card("grounded_segmentation")

    def load(self, device: str) -> None:
        """There is nothing to load: the networks are those of the tools that are called."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        if call.image is None:
            return InvalidParametersError("Grounded segmentation needs an image.")
        mine = context.of(call)
        try:
            found = _find(call, call.image, mine)
            if not found["boxes"]:
                return _output(found, [], call.image)
            mine.progress(0.5, "Outlining what was found")
            outlined = mine.call("segmentation", {"boxes": found["boxes"]}, call.image)
            artifacts = _pictures(call.image, found, outlined, context)
            return _output(found, outlined.data["masks"], call.image, artifacts)
        except MMedAgentError as error:
            return error


def _find(call: ToolCall, image: ImageRef, mine: CallContext) -> dict[str, Any]:
    """Boxes, scores and phrases of what was named, the most certain first where there are too many."""
    mine.progress(0.0, "Looking for what was named")
    wanted: JsonObject = {name: call.parameters[name] for name in ("prompts", "threshold") if name in call.parameters}
    data: dict[str, Any] = mine.call("grounding", wanted, image).data
    rows = list(zip(data["boxes"], data["scores"], data["phrases"], strict=True))
    if len(rows) > MAX_OBJECTS:
        rows = sorted(rows, key=lambda row: -float(row[1]))[:MAX_OBJECTS]
    boxes, scores, phrases = ([row[column] for row in rows] for column in range(3))
    return {"boxes": boxes, "scores": scores, "phrases": phrases}


def _pictures(
    image: ImageRef, found: dict[str, Any], outlined: ToolResult, context: ToolContext
) -> tuple[Artifact, ...]:
    """The masks under the names of what they show, and all of them over the image."""
    masks = [artifact for artifact in outlined.artifacts if artifact.kind == "mask"]
    if len(masks) != len(found["boxes"]):
        raise WorkerError(f"Segmentation gave {len(masks)} masks for {len(found['boxes'])} boxes.")
    boxes: list[Box] = [(x1, y1, x2, y2) for x1, y1, x2, y2 in found["boxes"]]
    pixels = [decode_mask(context.read(mask)) for mask in masks]
    overlay = render_overlay(context.frame(image), boxes=boxes, masks=pixels, labels=found["phrases"])
    named = [mask.model_copy(update={"label": phrase}) for mask, phrase in zip(masks, found["phrases"], strict=True)]
    return *named, context.store(overlay, "overlay", "image/png", "grounded segmentation")


def _output(found: dict[str, Any], masks: Any, image: ImageRef, artifacts: tuple[Artifact, ...] = ()) -> ToolOutput:
    data: JsonObject = {
        **found,
        "masks": masks,
        "spacing_mm": list(image.spacing_mm) if image.spacing_mm else None,
        "spacing_source": image.spacing_source,
    }
    return ToolOutput(data, artifacts, PREPROCESSING)
