"""The segmentation tool: MedSAM outlines what a box or a point marks, and the area is measured.

One mask is made for each box. Points together prompt one mask; with exactly one box they refine that box's mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.imaging.boxes import Box, validate_box
from mmedagent.imaging.masks import area_mm2, area_px, encode_mask, mask_box
from mmedagent.imaging.overlay import render_overlay
from mmedagent.networks.sam import MedSam, load_sam
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import Artifact, ArtifactType, ImageRef, ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import ToolContext, ToolOutput

Mask = NDArray[np.bool_]
PNG: ArtifactType = "image/png"


class SegmentationTool:
    """Box- and point-prompted segmentation of any structure in any modality."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._card = load_card("segmentation")
        self._network: MedSam | None = None

    @property
    def card(self) -> ToolCard:
        return self._card

    @property
    def network(self) -> MedSam:
        if self._network is None:
            raise CheckpointError("The segmentation network is not loaded.")
        return self._network

    def load(self, device: str) -> None:
        if self._checkpoint is None:
            raise CheckpointError("Segmentation needs a checkpoint folder.")
        self._network = load_sam(self._checkpoint, device)
        self._card = self._card.model_copy(update={"checkpoint_sha256": self._network.sha256})
        blank = np.zeros((64, 64), np.uint8)
        self._network.segment(self._network.embed(blank), (64, 64), boxes=np.array([[0.2, 0.2, 0.8, 0.8]]))

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        if call.image is None:
            return InvalidParametersError("Segmentation needs an image.")
        try:
            boxes = [validate_box(box) for box in _rows(call.parameters, "boxes")]
        except InvalidParametersError as error:
            return error
        points = _rows(call.parameters, "points")
        if points and len(boxes) > 1:
            return InvalidParametersError("Points refine one box; give them with one box or without boxes.")
        pixels = context.frame(call.image)
        embedding = self.network.embed(pixels)
        context.raise_if_cancelled()
        size = (call.image.height, call.image.width)
        masks, scores = self.network.segment(
            embedding,
            size,
            boxes=np.array(boxes) if boxes else None,
            points=np.array(points) if points else None,
        )
        return self._output(call.image, pixels, boxes, list(masks), [float(score) for score in scores], context)

    def _output(
        self,
        image: ImageRef,
        pixels: NDArray[np.uint8],
        boxes: list[Box],
        masks: list[Mask],
        scores: list[float],
        context: ToolContext,
    ) -> ToolOutput:
        rows: list[JsonObject] = []
        artifacts: list[Artifact] = []
        for number, (mask, score) in enumerate(zip(masks, scores, strict=True), 1):
            artifact = context.store(encode_mask(mask), "mask", PNG, f"mask {number}")
            artifacts.append(artifact)
            rows.append(_measured(mask, score, artifact, image))
        labels = [str(number) for number in range(1, len(masks) + 1)]
        overlay = render_overlay(pixels, boxes=boxes, masks=masks, labels=labels)
        artifacts.append(context.store(overlay, "overlay", PNG, "segmentation"))
        data: dict[str, Any] = {
            "masks": rows,
            "spacing_mm": list(image.spacing_mm) if image.spacing_mm else None,
            "spacing_source": image.spacing_source,
        }
        return ToolOutput(data, tuple(artifacts), preprocessing=f"medsam-{self.network.config.image_size}")


def _rows(parameters: JsonObject, name: str) -> list[list[float]]:
    """A list of number lists from the parameters, which the card's schema has checked."""
    value: Any = parameters.get(name, [])
    return [[float(number) for number in row] for row in value]


def _measured(mask: Mask, score: float, artifact: Artifact, image: ImageRef) -> JsonObject:
    box = mask_box(mask)
    area = area_mm2(mask, image.spacing_mm)
    return {
        "artifact": artifact.sha256,
        "box": list(box) if box else None,
        "area_px": area_px(mask),
        "area_mm2": None if area is None else round(area, 3),
        "score": min(max(round(score, 4), 0.0), 1.0),
    }
