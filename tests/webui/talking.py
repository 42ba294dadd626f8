"""A planner that is no model: it talks as fast as a model does, and at great length."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle

from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.plan import Action, ActionsReady, PlannerRequest, StepDone, ThoughtsDelta, ValueDelta
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray

STREAM = "Tell me everything"
TOKENS_PER_S = 200
LONGEST = 18_000
"""Characters of the long answer."""

SENTENCES = (
    "The **left kidney** is smooth and measures 11.2 cm; its cortex is of even width.\n\n"
    "- no stone\n- no dilated calyx\n- one cyst of 14 mm at the upper pole\n\n"
    "The liver is of usual size. Its density is even, and no lesion stands out from the rest of it. "
    "Vessels and bile ducts are not widened, and there is no free fluid in the abdomen.\n\n"
)
TOKEN = re.compile(r"\s*\S{1,5}|\s+")
ANSWER = (
    "Here is what was found for **{asked}**. One box was drawn around the structure that you asked about [1].\n\n"
    "- its left edge lies at 0.1 of the width\n- its lower edge lies at 0.75 of the height\n\n"
    "The rest of the image was not looked at. That is the end of {asked}."
)


class TalkingPlanner:
    """Calls the tool `echo` and answers at once; asked to tell everything, streams 200 tokens a second."""

    def __init__(self) -> None:
        self.card = PlannerCard(name="talking", backend="talking", version="1.0.0", label="A script, not a model")
        self._never = threading.Event()

    def load(self, device: str) -> None:
        """Nothing to load."""

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        asked = request.messages[-1].text
        if asked == STREAM:
            yield ActionsReady(actions=())
            yield from self._stream(raise_if_cancelled)
        elif not request.steps:
            yield ThoughtsDelta(text="The user wants to know where something is, so I look for it.")
            yield ActionsReady(actions=(Action(API_name="echo", API_params={"text": asked}),))
            yield ValueDelta(text="Let me look.")
        else:
            yield ActionsReady(actions=())
            yield ValueDelta(text=ANSWER.format(asked=asked))
        yield StepDone(planner=self.card.name)

    def _stream(self, raise_if_cancelled: Callable[[], None]) -> Iterator[ValueDelta]:
        began, written = time.monotonic(), 0
        for number, token in enumerate(cycle(TOKEN.findall(SENTENCES))):
            written += len(token)
            if written > LONGEST:
                return
            raise_if_cancelled()
            self._never.wait(max(0.0, began + number / TOKENS_PER_S - time.monotonic()))
            yield ValueDelta(text=token)
