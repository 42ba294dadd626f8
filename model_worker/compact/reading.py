"""What the planner understands of a request before it decides anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmedagent.networks.planner_checkpoint import LoadedPlanner
from mmedagent.networks.planner_glance import Glance, glance_at
from mmedagent.networks.planner_net import TOOLS
from mmedagent.networks.planner_parts import Part
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_text import AskText, read_ask_text
from mmedagent.protocol.plan import PlannerRequest
from mmedagent.serving.tool import PixelArray


@dataclass(frozen=True)
class Reading:
    """The parts of an ask, its coordinates, and a glance at the image where an outcome needs one."""

    ask: AskText
    parts: tuple[Part, ...]
    glance: Glance | None = None

    @property
    def confidence(self) -> float:
        return min((part.confidence for part in self.parts), default=0.0)

    @property
    def tool_parts(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.outcome in TOOLS)

    def has(self, outcome: str) -> bool:
        return any(part.outcome == outcome for part in self.parts)


def read_request(
    loaded: LoadedPlanner, reader: AskReader, request: PlannerRequest, frame: PixelArray | None
) -> Reading:
    """Read the last message of the user; earlier ones are not used."""
    text = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    size = (request.image.width, request.image.height) if request.image is not None else None
    ask = read_ask_text(text, size)
    parts = reader.read(ask)
    glance = None
    if frame is not None and any(part.outcome == "image_question" for part in parts):
        config = loaded.config
        glance = glance_at(
            loaded.glance, np.asarray(frame), config.modalities, config.anatomies, config.glance_temperature
        )
    return Reading(ask, parts, glance)
