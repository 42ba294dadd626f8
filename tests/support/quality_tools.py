"""A tool whose answers a test writes, for the measures of quality, and a look into what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmedagent.evaluation.tool_quality.figures import Figure
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput

Answers = Callable[[ToolCall, ToolContext], ToolOutput]


class WrittenTool:
    """Has the card of a built-in tool and answers as it is told."""

    def __init__(self, name: str, answer: Answers) -> None:
        self.card: ToolCard = load_card(name)
        self.calls: list[ToolCall] = []
        self._answer = answer

    def load(self, device: str) -> None:
        """Nothing to load."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        outcomes: list[ToolOutput | MMedAgentError] = []
        for call in calls:
            self.calls.append(call)
            try:
                outcomes.append(self._answer(call, context))
            except MMedAgentError as error:
                outcomes.append(error)
        return outcomes


def value(figures: Sequence[Figure], name: str, part_of: str = "") -> float | None:
    """The value of the one figure of that name."""
    found = [one.value for one in figures if one.name == name and one.part_of == part_of]
    assert len(found) == 1, [one.name for one in figures]
    return found[0]
