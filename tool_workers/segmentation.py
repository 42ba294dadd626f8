"""The segmentation tool: MedSAM outlines what a box or a point marks, and the area is measured.

One mask is made for each box. Points together prompt one mask; with exactly one box they refine that box's mask.
An image is encoded once and kept; further prompts only need the small mask decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmedagent.imaging.boxes import Box, pixel_window, validate_box
from mmedagent.imaging.masks import area_mm2, area_px, encode_mask, mask_box
from mmedagent.imaging.overlay import render_overlay
from mmedagent.networks.precision import computing
from mmedagent.networks.sam import Embedding, MedSam, load_sam
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import Artifact, ArtifactType, ImageRef, ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import PixelArray, Placement, ToolContext, ToolOutput

Mask = NDArray[np.bool_]
PNG: ArtifactType = "image/png"
EVERYWHERE = (slice(None), slice(None))


@dataclass(frozen=True)
class Prompts:
    """What marks the structures on an image: boxes, or points, or points that refine one box."""

    image: ImageRef
    boxes: list[Box]
    points: list[list[float]]


@dataclass(frozen=True)
class Encoded:
    """An encoded image as it is kept."""

    embedding: Embedding

    @property
    def nbytes(self) -> int:
        return int(self.embedding.features.nbytes + self.embedding.pixels.nbytes)


class SegmentationTool:
    """Box- and point-prompted segmentation of any structure in any modality."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._card = load_card("segmentation")
        self._placement = Placement()
        self._network: MedSam | None = None

    @property
    def card(self) -> ToolCard:
        return self._card

    @property
    def network(self) -> MedSam:
        if self._network is None:
            raise CheckpointError("The segmentation network is not loaded.")
        return self._network

    @property
    def preprocessing(self) -> str:
        """How pixels are prepared, and in what precision the network computes where that is not fp32."""
        half = "" if self._placement.precision == "fp32" else f", {self._placement.precision}"
        return f"medsam-{self.network.config.image_size}{half}"

    def place(self, placement: Placement) -> None:
        self._placement = placement

    def load(self, device: str) -> None:
        if self._checkpoint is None:
            raise CheckpointError("Segmentation needs a checkpoint folder.")
        self._network = load_sam(self._checkpoint, device)
        if self._placement.compile:
            self._network.sam.image_encoder = torch.compile(self._network.sam.image_encoder)
        self._card = self._card.model_copy(update={"checkpoint_sha256": self._network.sha256})
        self._segment(self._embed(np.zeros((64, 64), np.uint8)), (64, 64), [(0.2, 0.2, 0.8, 0.8)], [])

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def prefetch(self, image: ImageRef, context: ToolContext) -> None:
        self._encoded(image, context)

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        try:
            prompts = _prompts(call)
            embedding = self._encoded(prompts.image, context).embedding
            context.of(call).raise_if_cancelled()
            size = (prompts.image.height, prompts.image.width)
            masks, scores = self._segment(embedding, size, prompts.boxes, prompts.points)
            pixels = context.frame(prompts.image)
            masks = _without_blank(masks, prompts, pixels)
            # A picture is for people: a tool that calls this one draws its own.
            return self._output(prompts, masks, scores, None if call.callers else pixels, context)
        except MMedAgentError as error:
            return error

    def _encoded(self, image: ImageRef, context: ToolContext) -> Encoded:
        key = (image.sha256, self.preprocessing, self.network.sha256)
        return context.cached(key, lambda: Encoded(self._embed(context.frame(image))))

    def _embed(self, pixels: PixelArray) -> Embedding:
        with computing(self.network.device, self._placement.precision):
            return self.network.embed(pixels)

    def _segment(
        self, embedding: Embedding, size: tuple[int, int], boxes: list[Box], points: list[list[float]]
    ) -> tuple[list[Mask], list[float]]:
        with computing(self.network.device, self._placement.precision):
            masks, scores = self.network.segment(
                embedding,
                size,
                boxes=np.array(boxes, np.float32) if boxes else None,
                points=np.array(points, np.float32) if points else None,
            )
        return list(masks), [float(score) for score in scores]

    def _output(
        self,
        prompts: Prompts,
        masks: list[Mask],
        scores: list[float],
        pixels: PixelArray | None,
        context: ToolContext,
    ) -> ToolOutput:
        image = prompts.image
        rows: list[JsonObject] = []
        artifacts: list[Artifact] = []
        for number, (mask, score) in enumerate(zip(masks, scores, strict=True), 1):
            artifact = context.store(encode_mask(mask), "mask", PNG, f"mask {number}")
            artifacts.append(artifact)
            rows.append(_measured(mask, score, artifact, image))
        if pixels is not None:
            labels = [str(number) for number in range(1, len(masks) + 1)]
            overlay = render_overlay(pixels, boxes=prompts.boxes, masks=masks, labels=labels)
            artifacts.append(context.store(overlay, "overlay", PNG, "segmentation"))
        data: dict[str, Any] = {
            "masks": rows,
            "spacing_mm": list(image.spacing_mm) if image.spacing_mm else None,
            "spacing_source": image.spacing_source,
        }
        return ToolOutput(data, tuple(artifacts), self.preprocessing)


def _prompts(call: ToolCall) -> Prompts:
    """The prompts of a call. Raises `InvalidParametersError`."""
    if call.image is None:
        raise InvalidParametersError("Segmentation needs an image.")
    boxes = [validate_box(box) for box in _rows(call.parameters, "boxes")]
    points = _rows(call.parameters, "points")
    if points and len(boxes) > 1:
        raise InvalidParametersError("Points refine one box; give them with one box or without boxes.")
    return Prompts(call.image, boxes, points)


def _without_blank(masks: list[Mask], prompts: Prompts, pixels: PixelArray) -> list[Mask]:
    """The masks, empty where all pixels of the box (without one: of the image) are alike: nothing there has an outline,
    and a network that is asked for one makes it up."""
    image = prompts.image
    windows = [pixel_window(box, image.width, image.height) for box in prompts.boxes] or [EVERYWHERE]
    alike = [np.ptp(pixels[window], axis=(0, 1)).max() == 0 for window in windows]
    return [np.zeros_like(mask) if blank else mask for mask, blank in zip(masks, alike, strict=True)]


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
