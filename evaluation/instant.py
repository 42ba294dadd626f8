"""A tool that answers at once, so that a benchmark measures everything but models. It finds nothing, ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput


class InstantTool:
    """Takes the place of `grounding` in benchmarks: no model, no boxes."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self.card: ToolCard = load_card("grounding").model_copy(update={"title": "Instant answer, for benchmarks"})

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [ToolOutput({"boxes": [], "scores": [], "phrases": []}) for _ in calls]
