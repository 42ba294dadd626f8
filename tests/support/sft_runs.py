"""A tiny run: a random LLaVA, a handful of dialogues with two images, and the settings that fit it to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step
from mmedagent.protocol.planner_format import second_turn
from mmedagent.protocol.prompts import render_reply
from mmedagent.serving.tool import PixelArray
from mmedagent.training.instructions.dialogues import Dialogue, Exchange, row_of
from support.results import provenance
from tiny_llava import Lesson, write_checkpoint

BRIGHT: PixelArray = np.full((40, 60), 220, np.uint8)
DARK: PixelArray = np.random.default_rng(0).integers(0, 60, (40, 60, 3), dtype=np.uint8)
FRAMES = {"bright.png": BRIGHT, "dark.png": DARK}
QUESTION = "Where is it?"
BOXES: dict[str, Any] = {"boxes": [[0.1, 0.2, 0.5, 0.6]], "scores": [0.9]}


def looking_for(name: str) -> Plan:
    call = Action(API_name="grounding dino", API_params={"prompts": [name]})
    return Plan(thoughts=f"I will find the {name}.", actions=(call,), value="Let me look.")


ANSWER = Plan(thoughts="No more tools.", value="The liver is here 🩺.")
HELLO = Plan(thoughts="", value="Hello.")
AFTER_TOOL = second_turn([("grounding dino", BOXES)], QUESTION)
DIALOGUES = (
    Dialogue("1", "bright.png", (Exchange(QUESTION, looking_for("liver")), Exchange(AFTER_TOOL, ANSWER))),
    Dialogue("2", "dark.png", (Exchange(QUESTION, looking_for("cell nuclei")),)),
    Dialogue("3", "", (Exchange("Hi!", HELLO),)),
)


def request(question: str, *steps: Step) -> PlannerRequest:
    message = ChatMessage(role="user", text=question)
    return PlannerRequest(messages=(message,), steps=steps, tools=built_in_cards(), correlation_id="test")


def found_liver() -> Step:
    outcome = ToolResult(call_id="c1", tool="grounding", data=BOXES, provenance=provenance("grounding"))
    return Step(plan=looking_for("liver"), outcomes=(outcome,))


ASKED: tuple[tuple[PlannerRequest, PixelArray | None, Plan], ...] = (
    (request(QUESTION), BRIGHT, looking_for("liver")),
    (request(QUESTION, found_liver()), BRIGHT, ANSWER),
    (request(QUESTION), DARK, looking_for("cell nuclei")),
    (request("Hi!"), None, HELLO),
)
"""What the planner is asked after the run, and what it is to answer."""


def write_run(folder: Path, **sections: dict[str, Any]) -> Path:
    """The base, the images, the dialogues and the file of a run; `sections` changes fields of its sections."""
    lessons = [Lesson(asked, frame, render_reply(plan)) for asked, frame, plan in ASKED]
    write_checkpoint(folder / "model", lessons)
    (folder / "images").mkdir()
    for name, frame in FRAMES.items():
        Image.fromarray(frame).save(folder / "images" / name)
    (folder / "rows.json").write_text(json.dumps([row_of(dialogue) for dialogue in DIALOGUES], ensure_ascii=False))
    return write_config(folder, **sections)


def write_config(folder: Path, **sections: dict[str, Any]) -> Path:
    """The TOML file of the run in a folder."""
    settings: dict[str, dict[str, Any]] = {
        "lora": {"r": 32, "alpha": 64, "dropout": 0.0},
        "recipe": {"epochs": 60, "batch_size": 4, "learning_rate": 4e-3, "projector_learning_rate": 4e-3},
        "machine": {"device": "cpu", "rows_at_once": 2, "log_every": 1},
        "planner": {"name": "tiny", "max_new_tokens": 200},
    }
    lines = ['base = "model/base"', 'data = ["rows.json"]', 'images = "images"', 'output = "run"']
    for name, fields in settings.items():
        merged = fields | sections.get(name, {})
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in merged.items())]
    path = folder / "run.toml"
    path.write_text("\n".join(lines))
    return path
