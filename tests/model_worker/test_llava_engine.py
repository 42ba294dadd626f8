"""Replies that are written at once are those that would be written one after the other, and nobody disturbs anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.engine import Engine
from mmedagent.model_worker.llava.network import LlavaNetwork, Prompt
from mmedagent.model_worker.llava.stream import PlanSplitter
from mmedagent.model_worker.llava.weights import LoadedLlava
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CancelledError, MalformedPlanError, OverloadedError
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest, assemble
from mmedagent.serving.tool import PixelArray
from tiny_llava import Lesson, edit_json, load_in_double, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

STOP = 2
TURNS = 8


class Greedy:
    """Chooses the best token so many times, then stops. `before` is called with the number of each choice."""

    def __init__(self, tokens: int, before: Callable[[int], object] = lambda _: None) -> None:
        self._tokens = tokens
        self._before = before
        self._chosen = 0

    def choose(self, scores: torch.Tensor) -> int:
        self._before(self._chosen)
        self._chosen += 1
        return STOP if self._chosen > self._tokens else int(scores[STOP + 1 :].argmax()) + STOP + 1


class Gate:
    """Holds the engine at a choice until it is opened."""

    def __init__(self, place: int = 0) -> None:
        self._place = place
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, place: int) -> None:
        if place == self._place:
            self.reached.set()
            assert self.opened.wait(20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("engine")
    write_checkpoint(made, [Lesson(ask("Where is it?"), frame(0), "I will look for it.")], constrained=True)
    edit_json(made / "planner.json", max_new_tokens=120)
    return made


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedLlava:
    return load_in_double(folder)


@pytest.fixture(scope="module")
def model(loaded: LoadedLlava) -> Any:
    return loaded.model


@pytest.fixture
def engine(model: Any) -> Engine:
    return made_engine(model, TURNS)


def made_engine(model: Any, max_batch: int) -> Engine:
    return Engine(LlavaNetwork(model, "test", 0), frozenset({STOP}), max_batch)


def ask(text: str) -> PlannerRequest:
    messages = (ChatMessage(role="user", text=text),)
    return PlannerRequest(messages=messages, tools=built_in_cards(), correlation_id="test")


def frame(seed: int) -> PixelArray:
    return np.random.default_rng(seed).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def prompt(seed: int) -> Prompt:
    """A prompt of 5 to 300 random tokens."""
    rng = np.random.default_rng(seed)
    return Prompt(tuple(rng.integers(5, 250, rng.integers(5, 300)).tolist()))


def carry_on() -> None:
    """Nobody cancels."""


def replies(engine: Engine, turns: int, workers: int) -> list[list[int]]:
    """What is written to so many prompts, each reply of another length."""

    def one(seed: int) -> list[int]:
        return list(engine.write(prompt(seed), Greedy(10 + 13 * (seed % 5)), carry_on))

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(turns)))


@pytest.fixture
def widths(model: Any) -> Iterator[list[int]]:
    """The number of replies in each pass through the model."""
    found: list[int] = []
    hook = model.lm_head.register_forward_hook(lambda _, inputs, __: found.append(len(inputs[0])))
    yield found
    hook.remove()


# Equal to single runs


def test_turns_that_join_and_leave_write_what_they_would_alone(engine: Engine, widths: list[int]) -> None:
    alone = replies(engine, 3 * TURNS, 1)
    assert set(widths) == {1}
    together = replies(engine, 3 * TURNS, 3 * TURNS)
    assert together == alone
    assert max(widths) == TURNS
    assert [len(reply) for reply in alone] == [10 + 13 * (seed % 5) for seed in range(3 * TURNS)]


def test_plans_about_images_are_the_same_together_and_alone(loaded: LoadedLlava, folder: Path) -> None:
    writer = PlanWriter(loaded, read_manifest(folder), "test")

    def plan(seed: int) -> Plan:
        request = ask(f"Where is it, in picture {seed}?")
        return assemble(writer.write(request, frame(seed), PlanSplitter(), carry_on))

    alone = [plan(seed) for seed in range(TURNS)]
    with ThreadPoolExecutor(TURNS) as pool:
        assert list(pool.map(plan, range(TURNS))) == alone
    assert len(set(map(str, alone))) > 1


def test_random_weights_write_nothing_but_plans(folder: Path) -> None:
    planner = LlavaPlanner(checkpoint=folder)
    planner.load("cpu")
    with ThreadPoolExecutor(TURNS) as pool:
        plans = list(pool.map(lambda seed: assemble(planner.step(ask("?" * seed), frame(seed), carry_on)), range(40)))
    assert all(plan.value for plan in plans)


# Leaving and failing


def test_a_turn_that_is_cancelled_disturbs_no_other(engine: Engine) -> None:
    alone = replies(engine, TURNS, 1)
    heard = 0

    def cancel_at_the_fifth() -> None:
        nonlocal heard
        heard += 1
        if heard == 5:
            raise CancelledError("The caller left.")

    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(replies, engine, TURNS - 1, TURNS - 1)
        with pytest.raises(CancelledError):
            list(engine.write(prompt(99), Greedy(10_000), cancel_at_the_fifth))
        assert others.result() == alone[: TURNS - 1]
    assert replies(engine, TURNS, TURNS) == alone


def test_an_error_of_one_turn_is_its_own(engine: Engine) -> None:
    alone = replies(engine, TURNS, 1)

    def fail_at_the_third(place: int) -> None:
        if place == 3:
            raise MalformedPlanError("No plan.")

    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(replies, engine, TURNS - 1, TURNS - 1)
        with pytest.raises(MalformedPlanError, match="No plan"):
            list(engine.write(prompt(99), Greedy(50, fail_at_the_third), carry_on))
        assert others.result() == alone[: TURNS - 1]


def test_a_prompt_that_does_not_fit_the_model_is_its_own_error_too(engine: Engine) -> None:
    with pytest.raises(ValueError, match="no image"):
        list(engine.write(Prompt((5, 4, 6)), Greedy(3), carry_on))
    assert len(list(engine.write(prompt(1), Greedy(3), carry_on))) == 3


def test_when_the_model_fails_all_hear_of_it_and_the_next_turn_works(
    model: Any, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 1:
            raise RuntimeError("out of memory")

    hook = model.lm_head.register_forward_pre_hook(fail)
    gate = Gate(1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: list(engine.write(prompt(1), Greedy(500, gate), carry_on)))
        assert gate.reached.wait(20)
        second = pool.submit(lambda: list(engine.write(prompt(2), Greedy(500), carry_on)))
        gate.opened.set()
        for turn in (first, second):
            with pytest.raises(RuntimeError, match="out of memory"):
                turn.result()
    hook.remove()
    assert "the model failed" in caplog.text
    assert len(list(engine.write(prompt(1), Greedy(3), carry_on))) == 3


# Waiting and streaming


def test_tokens_come_while_the_reply_is_being_written(engine: Engine) -> None:
    gate = Gate(4)
    reply = engine.write(prompt(0), Greedy(6, gate), carry_on)
    begun = [next(reply) for _ in range(4)]
    assert gate.reached.wait(20)
    gate.opened.set()
    assert [*begun, *reply] == list(engine.write(prompt(0), Greedy(6), carry_on))


def test_four_times_as_many_may_wait_as_are_written_and_one_more_is_refused(model: Any) -> None:
    engine = made_engine(model, 1)
    gate = Gate()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(lambda: list(engine.write(prompt(0), Greedy(3, gate), carry_on)))
        assert gate.reached.wait(20)
        waiting = [engine.write(prompt(seed), Greedy(3), carry_on) for seed in range(1, 5)]
        begun = [pool.submit(list[int], reply) for reply in waiting]
        until(lambda: engine.waiting == 4)
        with pytest.raises(OverloadedError):
            next(engine.write(prompt(6), Greedy(3), carry_on))
        gate.opened.set()
        assert [len(turn.result()) for turn in (first, *begun)] == [3] * 5


def test_whoever_leaves_the_queue_gives_up_the_place(model: Any) -> None:
    engine = made_engine(model, 1)
    gate, gone = Gate(), threading.Event()

    def leave_when_told() -> None:
        if gone.is_set():
            raise CancelledError("The caller left.")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: list(engine.write(prompt(0), Greedy(3, gate), carry_on)))
        assert gate.reached.wait(20)
        second = pool.submit(lambda: list(engine.write(prompt(1), Greedy(3), leave_when_told)))
        until(lambda: engine.waiting == 1)
        gone.set()
        with pytest.raises(CancelledError):
            second.result()
        assert engine.waiting == 0
        gate.opened.set()
        assert len(first.result()) == 3


def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; it is looked at over and over, for a bounded number of times."""
    looking = threading.Event()
    assert any(condition() or looking.wait(0.01) for _ in range(2_000))
