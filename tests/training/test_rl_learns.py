"""GRPO with TRL: it learns from rewards alone, stages go on from each other, and a run is resumed file by file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mmedagent.cli.paths import MODELS
from mmedagent.evaluation.consultation import read_judged, table_of
from mmedagent.networks.checkpoints import CheckpointError
from mmedagent.networks.consultation_net import load_consultation
from mmedagent.training.rl.answering import replies
from mmedagent.training.rl.budgets import Budget
from mmedagent.training.rl.grpo import HISTORY, GRPOSettings, Rollout, Step, adapter_of, train_grpo
from mmedagent.training.rl.pipeline import ANSWERS, FULL, TRIAGE_FILE, SeedRun, triage_accuracy
from mmedagent.training.rl.prompts import triage_prompt
from mmedagent.training.rl.rewards import accuracy_reward
from mmedagent.training.rl.specialists import field_of
from mmedagent.training.rl.warm_start import World
from mmedagent.training.rl.world import Item, draw_world, read_world

BASE, PLANNER = MODELS / "consultation" / "base", MODELS / "planner"
MARGIN = 0.4
TRAIN, HELD_OUT, STEPS = 384, 128, 56
TOKENS = 14


@pytest.fixture(scope="module")
def questions() -> dict[str, list[Item]]:
    """Some of the training split, and others of it in place of the test split, which is for the table alone."""
    train = read_world()["train"]
    return {"train": train[:TRAIN], "held out": train[-HELD_OUT:]}


@pytest.fixture(scope="module")
def images(questions: dict[str, list[Item]]) -> dict[str, NDArray[np.uint8]]:
    return {split: np.stack([np.asarray(one.picture()) for one in items]) for split, items in questions.items()}


@pytest.fixture(scope="module")
def policy() -> tuple[Any, Any]:
    torch.set_num_threads(1)
    return load_consultation(BASE, PLANNER)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_triage_learns_from_rewards_alone(
    seed: int,
    policy: tuple[Any, Any],
    questions: dict[str, list[Item]],
    images: dict[str, NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    model, processor = policy
    prompts = [triage_prompt(item) for item in questions["held out"]]

    def accuracy(network: Any) -> float:
        said = replies(network, processor, prompts, images["held out"], tokens=TOKENS)
        fields = [field_of(item) for item in questions["held out"]]
        return float(np.mean([accuracy_reward(one, field) for one, field in zip(said, fields, strict=True)]))

    before = accuracy(model)
    rows = [
        Rollout(triage_prompt(item), Image.fromarray(frame), field_of(item))
        for item, frame in zip(questions["train"], images["train"], strict=True)
    ]
    torch.manual_seed(seed)
    adapted = adapter_of(model, rank=32)
    settings = GRPOSettings(batch=96, rate=1e-3, tokens=TOKENS)
    train_grpo(adapted, processor, rows, settings, Step("triage", STEPS, 4e-3, 0.0), seed, tmp_path / "triage")
    after = accuracy(adapted)
    adapted.unload()
    assert after > before + MARGIN
    history = [json.loads(line) for line in (tmp_path / "triage" / HISTORY).read_text("utf-8").splitlines()]
    assert len(history) == STEPS
    assert history[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert history[-1]["kl"] > history[0]["kl"]


def test_a_whole_run_answers_every_question_and_is_not_made_twice(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    sizes = {"warm": 30, "train": 40, "test": 20, "outside": 10}
    world: dict[str, list[Item]] = {split: [] for split in sizes}
    for item in draw_world(7, sizes):
        world[item.split].append(item)
    settings = GRPOSettings(batch=16, rate=1e-3, tokens=TOKENS)
    budget = Budget(
        warm=2, triage=1, stages={"easy": 1, "medium": 1, "hard": 1}, settings=settings, sizes=sizes
    )  # fmt: skip
    SeedRun(World(tmp_path, PLANNER, budget, world), 0).run()
    seed = tmp_path / "seed-0"
    made = {path: path.stat().st_mtime_ns for path in seed.rglob("*") if path.is_file() and path.name != ANSWERS}
    SeedRun(World(tmp_path, PLANNER, budget, world), 0).run()
    assert made == {path: path.stat().st_mtime_ns for path in made}
    table = table_of(read_judged([seed / ANSWERS]), FULL)
    assert len(table.rows) == 9
    assert all(row.accuracy["overall"].cases == 20 and row.accuracy["outside"].cases == 10 for row in table.rows)
    stages = [
        [json.loads(line)["stage"] for line in (seed / "full" / name / HISTORY).read_text("utf-8").splitlines()]
        for name in ("easy", "medium", "hard")
    ]
    assert stages == [["easy"], ["medium"], ["hard"]]
    choices = json.loads((seed / TRIAGE_FILE).read_text("utf-8"))
    assert 0 <= triage_accuracy(world["test"], choices["after"]["test"]) <= 1


def test_a_folder_without_weights_is_no_attending_physician(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="missing"):
        load_consultation(tmp_path, PLANNER)
