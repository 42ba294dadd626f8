"""The grounding tool: Grounding DINO finds what the prompts name, and gives a box around each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from mmedagent.imaging.overlay import render_overlay
from mmedagent.networks.grounding import Detections, GroundingDino, load_grounding
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import PixelArray, ToolContext, ToolOutput

DEFAULT_THRESHOLD = 0.3
"""Least score of a box, the published demo's value."""


class GroundingTool:
    """Open-vocabulary detection in any modality."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._card = load_card("grounding")
        self._network: GroundingDino | None = None

    @property
    def card(self) -> ToolCard:
        return self._card

    @property
    def network(self) -> GroundingDino:
        if self._network is None:
            raise CheckpointError("The grounding network is not loaded.")
        return self._network

    def load(self, device: str) -> None:
        if self._checkpoint is None:
            raise CheckpointError("Grounding needs a checkpoint folder.")
        self._network = load_grounding(self._checkpoint).to(device)
        self._card = self._card.model_copy(update={"checkpoint_sha256": self._network.sha256})
        self._network.detect([np.zeros((64, 64), np.uint8)], [["liver", "left kidney"]], [DEFAULT_THRESHOLD])

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        outcomes: list[ToolOutput | MMedAgentError | None] = [None] * len(calls)
        frames: dict[int, PixelArray] = {}
        for place, call in enumerate(calls):
            if call.image is None:
                outcomes[place] = InvalidParametersError("Grounding needs an image.")
                continue
            try:
                frames[place] = context.frame(call.image)
            except MMedAgentError as error:
                outcomes[place] = error
        context.raise_if_cancelled()
        found = self.network.detect(
            list(frames.values()),
            [prompts_of(calls[place]) for place in frames],
            [float(cast("float", calls[place].parameters.get("threshold", DEFAULT_THRESHOLD))) for place in frames],
        )
        context.raise_if_cancelled()
        for place, detections in zip(frames, found, strict=True):
            outcomes[place] = self._output(frames[place], detections, context)
        return [outcome for outcome in outcomes if outcome is not None]

    def _output(self, pixels: PixelArray, found: Detections, context: ToolContext) -> ToolOutput:
        boxes = [cast("tuple[float, float, float, float]", tuple(map(float, box))) for box in found.boxes]
        labels = [f"{phrase} {score:.2f}" for phrase, score in zip(found.phrases, found.scores, strict=True)]
        overlay = context.store(render_overlay(pixels, boxes=boxes, labels=labels), "overlay", "image/png", "grounding")
        return ToolOutput(
            {
                "boxes": [list(box) for box in boxes],
                "scores": [float(score) for score in found.scores],
                "phrases": list(found.phrases),
            },
            (overlay,) if boxes else (),
            preprocessing=str(self.network.preprocessing),
        )


def prompts_of(call: ToolCall) -> list[str]:
    """The names asked for, each once, which the card's schema has checked."""
    return list(dict.fromkeys(cast("list[str]", call.parameters["prompts"])))
