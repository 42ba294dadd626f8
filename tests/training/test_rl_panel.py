"""`mmedagent train panel`: the folder of the demonstration panel from a run, with specialists trained on top."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.cli.paths import MODELS
from mmedagent.networks.consultation_panel import ROLES, Written, load_panel_network
from mmedagent.training.rl.budgets import Budget
from mmedagent.training.rl.embedded import ATTENDING_FOLDER, TRIAGE_FOLDER, certain_from, make_panel, missing
from mmedagent.training.rl.grpo import adapter_of
from mmedagent.training.rl.prompts import attending_prompt
from mmedagent.training.rl.warm_start import World
from mmedagent.training.rl.world import Item, draw_world

PLANNER = MODELS / "planner"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run that stopped at once, of a small world."""
    torch.set_num_threads(1)
    sizes = {"warm": 120, "train": 20, "test": 0, "outside": 0}
    questions: dict[str, list[Item]] = {split: [] for split in sizes}
    for item in draw_world(8, sizes):
        questions[item.split].append(item)
    made = World(tmp_path_factory.mktemp("run"), PLANNER, Budget(warm=2, sizes=sizes), questions)
    base, _ = made.policy
    for name in (TRIAGE_FOLDER, ATTENDING_FOLDER):
        adapted = adapter_of(base, 4)
        adapted.save_pretrained(str(made.out / "seed-0" / name))
        adapted.unload()
    return made


def test_a_run_becomes_a_panel_that_loads(world: World, tmp_path: Path) -> None:
    made = [make_panel(world, 0, PLANNER, tmp_path / "panel", steps=1) for _ in range(2)]
    assert made[0] == made[1]
    network = load_panel_network(tmp_path / "panel", PLANNER)
    for item in world.items["warm"]:
        family = network.questions.families[item.family]
        _, _, structure = item.question.partition("\n")
        assert family.worded(structure or None) == item.question
        assert set(item.options) <= set(family.options[item.modality])
        assert not structure or structure in family.structures[item.modality]
    assert "MR" not in network.questions.modalities
    item = world.items["warm"][0]
    picture = world.images("warm")[0]
    replies = {role: network.write(role, [attending_prompt(item)], [picture], 16)[0].probability for role in ROLES}
    assert len(set(replies.values())) > 2, "each specialist has weights of its own"
    settings = [file.read_text("utf-8") for file in (tmp_path / "panel").rglob("*.json")]
    assert str(world.out) not in "".join(settings)


def test_certain_is_what_is_mostly_right() -> None:
    answers = [(Written("", chance / 100), chance > 60) for chance in range(1, 100)]
    assert certain_from(answers) == 0.6


def test_a_run_that_is_not_finished_is_refused(world: World, tmp_path: Path) -> None:
    assert missing(world.out, 0) == []
    assert missing(world.out, 1) == [f"seed-1/{TRIAGE_FOLDER}", f"seed-1/{ATTENDING_FOLDER}"]
    result = CliRunner().invoke(app, ["train", "panel", str(tmp_path), "--output", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert not (tmp_path / "out").exists()
