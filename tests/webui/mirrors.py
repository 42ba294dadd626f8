"""A planner and tools that put the user's text into every field that a page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import JsonValue

from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import MMedAgentError, WorkerError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.protocol.plan import Action, ActionsReady, PlannerRequest, StepDone, ThoughtsDelta, ValueDelta
from mmedagent.protocol.types import JsonObject
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray, ToolContext, ToolOutput

LONGEST = 100
"""Characters of the text that fit every parameter."""

NAMES = ("classification", "retrieval", "report_generation", "grounding")


class MirrorPlanner:
    """Thinks, calls every tool with, and answers with the user's text."""

    card = PlannerCard(name="mirror", backend="mirror", version="1.0.0", label="A mirror, not a model")

    def load(self, device: str) -> None:
        """Nothing to load."""

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        text = request.messages[-1].text
        said = text[:LONGEST]
        parameters: dict[str, JsonObject] = {
            "classification": {"labels": [said, "other"]},
            "retrieval": {"query": said},
            "report_generation": {"indication": said},
            "grounding": {"prompts": [said]},
        }
        calls = [Action(API_name=name, API_params=parameters[name]) for name in NAMES] if not request.steps else []
        yield ThoughtsDelta(text=text)
        yield ActionsReady(actions=tuple(calls))
        yield ValueDelta(text=f"{text} [1]")
        yield StepDone(planner=self.card.name)


class MirrorTool:
    """Gives back what it was called with as a label, a passage, a finding or a phrase; grounding fails with it."""

    def __init__(self, name: str) -> None:
        card = next(card for card in built_in_cards() if card.name == name)
        self.card: ToolCard = card.model_copy(update={"needs_image": False})

    def load(self, device: str) -> None:
        """Nothing to load."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        match call.tool:
            case "classification":
                labels = call.parameters["labels"]
                return ToolOutput({"labels": labels, "probabilities": [0.9, 0.1], "task": None})
            case "retrieval":
                said = str(call.parameters["query"])
                fields = dict.fromkeys(("text", "condition", "section", "source", "corpus"), said)
                document = context.store(said.encode(), "text", "text/plain", said)
                passage: JsonObject = {**fields, "highlight": [0, len(said)], "score": 0.5, "document": document.sha256}
                return ToolOutput({"passages": [passage]}, (document,))
            case "report_generation":
                said = str(call.parameters["indication"])
                sentence: JsonObject = {"text": said, "finding": said, "probability": 0.5, "source": "classifier"}
                sentences: list[JsonValue] = [{**sentence, "section": one} for one in ("findings", "impression")]
                written: JsonObject = {"findings": said, "impression": said, "probabilities": {said: 0.5}}
                return ToolOutput({**written, "sentences": sentences})
            case _:
                return WorkerError(str(call.parameters["prompts"]))


def mirrors() -> list[MirrorTool]:
    return [MirrorTool(name) for name in NAMES]
