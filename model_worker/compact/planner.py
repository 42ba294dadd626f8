"""The planner backend `compact`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mmedagent.model_worker.compact.looking import LookAnswerer
from mmedagent.model_worker.compact.planning import answer, first_plan
from mmedagent.model_worker.compact.reading import RequestReader
from mmedagent.model_worker.planner import StepEvent
from mmedagent.networks import checkpoints
from mmedagent.networks.planner_checkpoint import load_planner
from mmedagent.networks.planner_reader import AskReader
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.plan import (
    ActionsReady,
    ChatMessage,
    Plan,
    PlannerRequest,
    StepDone,
    ThoughtsDelta,
    ValueDelta,
)
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray

BACKEND = "compact"
SELF_TEST_ASK = "What is pneumonia and how is it treated?"
_PIECE = re.compile(r"(?:\S+\s*){1,6}|\s+")


class CompactPlanner:
    """MiniLM with LoRA reads the ask; plans are built from what it read, answers from typed results.

    Deterministic. `checkpoint` is a folder with `config.json` and `model.safetensors`, and for questions without a tool
    `glance.json` and `glance.safetensors`.
    """

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._folder = checkpoint
        self._reader: RequestReader | None = None
        self._threshold = 1.0
        self._card = PlannerCard(name=BACKEND, backend=BACKEND, version="0.0.0")

    @property
    def card(self) -> PlannerCard:
        return self._card

    def load(self, device: str) -> None:
        """Load the checkpoint and plan once. Raises `CheckpointError`."""
        if self._folder is None:
            raise CheckpointError("The compact planner needs a checkpoint folder.")
        try:
            loaded = load_planner(self._folder)
            sha256 = checkpoints.sha256_file(self._folder / "model.safetensors")
        except checkpoints.CheckpointError as error:
            raise CheckpointError(str(error)) from error
        loaded.net.to(device)
        config = loaded.config
        asks = AskReader(loaded.net, loaded.tokenizer, config.temperature, config.added)
        self._reader = RequestReader(asks, LookAnswerer(loaded), config.threshold)
        self._threshold = config.threshold
        self._card = PlannerCard(
            name=config.name,
            backend=BACKEND,
            version=config.version,
            checkpoint_sha256=sha256,
            label=config.label,
        )
        self._self_test()

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        """Stream one step. Raises `CheckpointError` when nothing is loaded."""
        if self._reader is None:
            raise CheckpointError("The compact planner is not loaded.")
        raise_if_cancelled()
        reading = self._reader.read(request, frame)
        raise_if_cancelled()
        plan = answer(reading, request) if request.steps else first_plan(reading, request, self._threshold)
        yield from self._streamed(plan, raise_if_cancelled)

    def _streamed(self, plan: Plan, raise_if_cancelled: Callable[[], None]) -> Iterator[StepEvent]:
        for piece in _PIECE.findall(plan.thoughts):
            raise_if_cancelled()
            yield ThoughtsDelta(text=piece)
        yield ActionsReady(actions=plan.actions)
        for piece in _PIECE.findall(plan.value):
            raise_if_cancelled()
            yield ValueDelta(text=piece)
        yield StepDone(planner=self._card.name, checkpoint_sha256=self._card.checkpoint_sha256)

    def _self_test(self) -> None:
        message = ChatMessage(role="user", text=SELF_TEST_ASK)
        request = PlannerRequest(messages=(message,), tools=built_in_cards(), correlation_id="self-test")
        events = list(self.step(request, None, lambda: None))
        if not any(isinstance(event, ActionsReady) and event.actions for event in events):
            raise CheckpointError("The compact planner's checkpoint cannot plan a simple question.")
