"""Asking a planner in this process: its first plan, with all tools registered and nothing carried out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from mmedagent.cli.ask_pictures import Pixels, phantom_pixels, reference
from mmedagent.evaluation.tool_selection.asks import AskCase
from mmedagent.evaluation.tool_selection.scores import Planned
from mmedagent.imaging.decode import decode_file
from mmedagent.model_worker.planner import Planner
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action, ChatMessage, PlannerRequest, assemble


class FirstPlans:
    """The first plan of a loaded planner for each ask. Without `images`, every ask comes without its image."""

    def __init__(self, planner: Planner, cards: Sequence[ToolCard], images: bool = True) -> None:
        self._planner, self._cards, self._images = planner, tuple(cards), images

    def __call__(self, ask: AskCase) -> Planned:
        pixels, image = _picture(ask.image) if ask.image is not None and self._images else (None, None)
        request = PlannerRequest(
            messages=(ChatMessage(role="user", text=ask.text),),
            image=image,
            tools=self._cards,
            correlation_id="evaluation",
        )
        started = time.perf_counter()
        try:
            plan = assemble(self._planner.step(request, pixels, lambda: None))
        except MalformedPlanError:
            return Planned(None, time.perf_counter() - started)
        seconds = time.perf_counter() - started
        return Planned(tuple(self._under_its_name(action) for action in plan.actions), seconds)

    def _under_its_name(self, action: Action) -> Action:
        """The action under its tool's own name, where the planner used an alias."""
        name = next((card.name for card in self._cards if card.answers_to(action.API_name)), action.API_name)
        return action.model_copy(update={"API_name": name})


@lru_cache(maxsize=32)
def _picture(image: str) -> tuple[Pixels, ImageRef]:
    pixels = decode_file(Path(image)).frame.pixels if Path(image).is_file() else phantom_pixels(image)
    return pixels, reference(pixels)
