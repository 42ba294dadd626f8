"""Planners that are no models: one misbehaves in the way that the question names, one tells what it was asked with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import CancelledError, DeadlineError
from mmedagent.protocol.plan import Action, ActionsReady, PlannerRequest, StepDone, ThoughtsDelta, ValueDelta
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray
from support.tools import POLL_S

LONG = 25
PIECE = "a" * 1_000


class OddPlanner:
    """Dies, stops in the middle, never ends, says too much, or wants too many actions."""

    def __init__(self) -> None:
        self.card = PlannerCard(name="odd", backend="odd", version="1.0.0")
        self.ended: list[str] = []
        self._never = threading.Event()

    def load(self, device: str) -> None:
        return

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        yield ThoughtsDelta(text="Let me ")
        match request.messages[-1].text:
            case "die":
                raise ValueError("secret-of-the-planner")
            case "stop":
                yield ActionsReady(actions=())
                yield ValueDelta(text="The answer is")
                return
            case "hang":
                self._hang(raise_if_cancelled)
            case "drip":
                yield from self._drip(raise_if_cancelled)
            case "long":
                yield ActionsReady(actions=())
                yield from (ValueDelta(text=PIECE) for _ in range(LONG))
            case "number":
                yield ActionsReady(actions=(Action(API_name="echo", API_params={"text": "a" * 30_000}),))
            case _:
                yield ActionsReady(actions=())
                yield ValueDelta(text="Fine.")
        yield StepDone(planner=self.card.name)

    def _hang(self, raise_if_cancelled: Callable[[], None]) -> None:
        try:
            while not self._never.wait(POLL_S):
                raise_if_cancelled()
        except (CancelledError, DeadlineError) as error:
            self.ended.append(error.code)
            raise

    def _drip(self, raise_if_cancelled: Callable[[], None]) -> Iterator[StepEvent]:
        while not self._never.wait(POLL_S):
            raise_if_cancelled()
            yield ThoughtsDelta(text="a ")


class RecallPlanner:
    """Answers with all the messages that it is sent, and the shape of the image."""

    def __init__(self) -> None:
        self.card = PlannerCard(name="recall", backend="recall", version="1.0.0")

    def load(self, device: str) -> None:
        return

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        texts = [message.text.partition(" after ")[0] for message in request.messages if message.role == "user"]
        shape = "no image" if frame is None else f"{frame.shape[1]} x {frame.shape[0]}"
        yield ActionsReady(actions=())
        yield ValueDelta(text=f"{texts.pop()} after {', '.join(texts) or 'nothing'} on {shape}")
        yield StepDone(planner=self.card.name)
