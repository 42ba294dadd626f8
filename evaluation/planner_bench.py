"""What a LLaVA planner saves by remembering and by writing together, as ratios of times taken in turns in one run.

Reading: the prompt of the plan, then that of the answer, which goes on from it, and the latter once more by a planner
that remembers nothing. Every round has an image of its own. Writing: the same turns one after the other and at once,
each about an image of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.invocation import Provenance, ToolResult
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step
from mmedagent.serving.tool import PixelArray

T = TypeVar("T")
Read = Callable[[PlannerRequest, PixelArray], NDArray[np.float32]]
"""Reads the whole prompt of a request and gives the scores of the token after it."""

Reply = Callable[[PlannerRequest, PixelArray], Plan]
PLAN = Plan(
    thoughts="The user wants to know where the liver is, so I will look for it with a detector.",
    actions=(Action(API_name="grounding", API_params={"prompts": ["liver"]}),),
    value="Let me look for the liver first.",
)
SIDE = 512
"""Of the images, in pixels."""


@dataclass(frozen=True)
class ReadingRow:
    """Medians of seconds, and of the second turn as a part of the first. `equal` is about every bit of the scores."""

    rounds: int
    first_s: float
    second_s: float
    second_alone_s: float
    ratio: float
    equal: bool


@dataclass(frozen=True)
class WritingRow:
    """Medians of seconds for all turns, and of how many times faster they are at once. `equal` is about the plans."""

    turns: int
    rounds: int
    one_by_one_s: float
    together_s: float
    gain: float
    equal: bool


def measure_reading(remembering: Read, forgetful: Read, rounds: int, advance: Callable[[], None]) -> ReadingRow:
    """`advance` is called after every round; one before them is not counted."""
    rows: list[tuple[float, float, float]] = []
    equal = True
    for number in range(rounds + 1):
        image = _image(number)
        first_s, _ = _timed(partial(remembering, _question(0), image))
        second_s, scores = _timed(partial(remembering, _after_tool(), image))
        alone_s, expected = _timed(partial(forgetful, _after_tool(), image))
        rows.append((first_s, second_s, alone_s))
        equal = equal and np.array_equal(scores, expected)
        advance()
    first_s, second_s, alone_s = (statistics.median(times) for times in zip(*rows[1:], strict=True))
    ratio = statistics.median(second / first for first, second, _ in rows[1:])
    return ReadingRow(rounds, first_s, second_s, alone_s, ratio, equal)


def measure_writing(reply: Reply, turns: int, rounds: int, advance: Callable[[], None]) -> WritingRow:
    """`advance` is called after every turn. The reply must not remember images, or the second time would be easier."""

    def one(number: int) -> Plan:
        plan = reply(_question(number), _image(number))
        advance()
        return plan

    rows: list[tuple[float, float]] = []
    equal = True
    for _ in range(rounds):
        alone_s, alone = _timed(lambda: [one(number) for number in range(turns)])
        with ThreadPoolExecutor(turns) as pool:
            together_s, together = _timed(lambda: list(pool.map(one, range(turns))))
        rows.append((alone_s, together_s))
        equal = equal and alone == together
    alone_s, together_s = (statistics.median(times) for times in zip(*rows, strict=True))
    return WritingRow(turns, rounds, alone_s, together_s, statistics.median(one / two for one, two in rows), equal)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _image(seed: int) -> PixelArray:
    return np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)


def _question(number: int, steps: Sequence[Step] = ()) -> PlannerRequest:
    asked = ("Where is the liver?", "Segment the spleen.", "Is there a nodule in this X-ray?", "What modality is it?")
    messages = (ChatMessage(role="user", text=asked[number % len(asked)]),)
    return PlannerRequest(messages=messages, tools=built_in_cards(), steps=tuple(steps), correlation_id="bench")


def _after_tool() -> PlannerRequest:
    data = {"boxes": [[0.125, 0.25, 0.5, 0.625]], "scores": [0.91], "phrases": ["liver"]}
    made = Provenance(
        tool="grounding",
        version="1.0.0",
        checkpoint_sha256=None,
        preprocessing="",
        input_sha256=(),
        output_sha256="0" * 64,
        seconds=0.1,
    )
    result = ToolResult(call_id="call", tool="grounding", data=data, provenance=made)
    return _question(0, [Step(plan=PLAN, outcomes=(result,))])
