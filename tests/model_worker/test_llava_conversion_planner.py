"""From an original folder to a plan: a LoRA that was taught to plan is converted, and `LlavaPlanner` plans with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.conversion import Conversion, Originals
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, assemble
from mmedagent.protocol.prompts import render_prompt, render_reply
from mmedagent.serving.tool import PixelArray
from support.original_llava import (
    LLAVA_MED_1_0,
    MMEDAGENT,
    learn_words,
    random_lora,
    random_model,
    random_projector,
    random_tower,
    write_clip,
    write_lora,
    write_model,
)
from tiny_llava import Lesson, train_adapter

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

WIDE = {"hidden_size": 128, "intermediate_size": 256}
FRAME: PixelArray = np.full((40, 60), 220, np.uint8)
REQUEST = PlannerRequest(
    messages=(ChatMessage(role="user", text="Where is it?"),), tools=built_in_cards(), correlation_id="test"
)
PLAN = Plan(
    thoughts="I will find the liver.",
    actions=(Action(API_name="grounding dino", API_params={"prompts": ["liver"]}),),
    value="Let me look.",
)


def carry_on() -> None:
    """Nobody cancels."""


def convert(folder: Path, lora: str, target: str) -> Path:
    originals = Originals(folder / "llava_med", lora=folder / lora, vision_tower=folder / "clip")
    Conversion(originals).write(folder / target, "tiny", lambda _: None)
    return folder / target


def test_a_converted_lora_plans(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = MMEDAGENT | WIDE
    words = learn_words([render_prompt(REQUEST, has_image=True), render_reply(PLAN)])
    write_model(tmp_path / "llava_med", LLAVA_MED_1_0 | WIDE, random_model(LLAVA_MED_1_0 | WIDE, words.size), words)
    write_clip(tmp_path / "clip", random_tower())
    factors, projector = random_lora(config, rank=32), random_projector(config)
    write_lora(tmp_path / "untaught", config, factors, projector)
    untaught = convert(tmp_path, "untaught", "first")
    assert train_adapter(untaught, [Lesson(REQUEST, FRAME, render_reply(PLAN))], steps=150, loss_below=0.03) < 0.03

    learnt = load_file(untaught / "adapter" / "adapter_model.safetensors")
    names = {name: name.replace("model.language_model.", "model.") for name in learnt}
    assert set(names.values()) == factors.keys()
    write_lora(tmp_path / "taught", config, {names[name]: tensor for name, tensor in learnt.items()}, projector)
    planner = LlavaPlanner(checkpoint=convert(tmp_path, "taught", "second"))
    planner.load("cpu")

    assert assemble(planner.step(REQUEST, FRAME, carry_on)) == PLAN
    assert planner.card.name == "tiny"
