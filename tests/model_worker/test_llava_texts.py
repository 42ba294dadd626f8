"""Free text of the LLaVA planner: outside the grammar of plans, greedy or sampled, and no longer than asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.planner import Completing
from mmedagent.protocol.completion import Completion, CompletionRequest, assemble_text
from mmedagent.protocol.errors import CancelledError, TooLargeError, UnavailableError
from mmedagent.protocol.plan import ChatMessage, PlannerRequest
from mmedagent.serving.tool import PixelArray
from tiny_llava import Lesson, train_adapter, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

BRIGHT: PixelArray = np.full((40, 60), 220, np.uint8)
DARK: PixelArray = np.random.default_rng(0).integers(0, 60, (40, 60, 3), dtype=np.uint8)
ASK = "Is it benign?"
YES, NO = "<think>It is bright.</think><answer>yes</answer>", "<think>It is dark 🌑.</think><answer>no</answer>"


def carry_on() -> None:
    """Nobody cancels."""


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> LlavaPlanner:
    """A planner of the constrained kind, whose model has learnt to answer with a text that is no plan."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("texts")
    request = PlannerRequest(messages=(ChatMessage(role="user", text=ASK),), correlation_id="test")
    lessons = (Lesson(request, BRIGHT, YES), Lesson(request, DARK, NO))
    write_checkpoint(folder, lessons, constrained=True)
    assert train_adapter(folder, lessons, steps=150, loss_below=0.02) < 0.02
    loaded = LlavaPlanner(checkpoint=folder)
    loaded.load("cpu")
    return loaded


def text_of(planner: LlavaPlanner, frame: PixelArray | None, text: str = ASK, **fields: Any) -> Completion:
    messages = (ChatMessage(role="user", text=text),)
    request = CompletionRequest(messages=messages, correlation_id="test", callers=("consultation",), **fields)
    return assemble_text(planner.complete(request, frame, carry_on))


@pytest.mark.parametrize(("frame", "text"), [(BRIGHT, YES), (DARK, NO)], ids=["bright", "dark"])
def test_the_model_looks_and_writes_freely(planner: LlavaPlanner, frame: PixelArray, text: str) -> None:
    assert isinstance(planner, Completing)
    written = text_of(planner, frame)
    assert written == Completion(text=text, model="tiny", checkpoint_sha256=planner.card.checkpoint_sha256)


def test_a_text_ends_at_its_limit_and_says_so(planner: LlavaPlanner) -> None:
    written = text_of(planner, BRIGHT, max_tokens=3)
    assert (written.finish, YES.startswith(written.text)) == ("length", True)


def test_a_temperature_samples_and_a_seed_repeats(planner: LlavaPlanner) -> None:
    texts = [text_of(planner, None, temperature=2.0, seed=seed, max_tokens=20).text for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3
    assert text_of(planner, BRIGHT, temperature=0.0).text == YES


def test_there_is_no_text_without_room_or_a_model(planner: LlavaPlanner) -> None:
    with pytest.raises(TooLargeError, match="1024 tokens"):
        text_of(planner, None, text="is it benign? " * 400)
    with pytest.raises(UnavailableError):
        text_of(LlavaPlanner(checkpoint=Path("nowhere")), None)


def test_who_leaves_is_not_waited_for(planner: LlavaPlanner) -> None:
    def leave() -> None:
        raise CancelledError("The caller left.")

    messages = (ChatMessage(role="user", text=ASK),)
    request = CompletionRequest(messages=messages, correlation_id="test", callers=("consultation",))
    with pytest.raises(CancelledError):
        assemble_text(planner.complete(request, BRIGHT, leave))
