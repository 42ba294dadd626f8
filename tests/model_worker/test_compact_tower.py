"""What the shipped image tower is worth: answers of the planner about phantoms that were never trained on."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn

from mmedagent.model_worker.compact.looking import LookAnswerer
from mmedagent.networks.glance_reading import NOT_MEDICAL
from mmedagent.networks.planner_checkpoint import LoadedPlanner, load_planner
from mmedagent.training.glance import facts
from mmedagent.training.phantoms import KINDS, generate
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.pool import example_of
from support.towers import PLANNER

FIRST_SEED, EACH = 930_000, 4
WHOLE = {
    "What imaging modality is this?": "modality",
    "Which part of the body is shown?": "anatomy",
    "Which view is it?": "view",
    "Which weighting or stain does it have?": "technique",
}
STRUCTURES = ("liver", "heart", "brain", "left lung", "nuclei", "optic disc")
MIN_RIGHT, MIN_ANSWERED = 0.9, 0.5


@pytest.fixture(scope="module")
def loaded() -> LoadedPlanner:
    torch.set_num_threads(1)
    return load_planner(PLANNER)


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    seeds = count(FIRST_SEED)
    return [generate(kind, np.random.default_rng(next(seeds)), 256) for kind in (*KINDS, "other") for _ in range(EACH)]


def scores(loaded: LoadedPlanner, phantoms: list[Phantom]) -> tuple[float, float]:
    """The share of questions that are answered, and the share of answers that are right."""
    looker = LookAnswerer(loaded)
    right: list[bool] = []
    asked = 0
    for phantom in phantoms:
        true = facts(example_of(phantom).row)
        for question, truth in cases(loaded, true):
            asked += 1
            answer = looker.answer(question, phantom.image, names=()).impressions
            if answer and answer[0].value is not None:
                right.append(answer[0].value == truth)
    return len(right) / asked, sum(right) / max(1, len(right))


def cases(loaded: LoadedPlanner, true: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Questions about an image with their answers."""
    assert loaded.glance is not None
    known = loaded.glance.config.names
    if true["modality"] == {NOT_MEDICAL}:
        return [("What imaging modality is this?", NOT_MEDICAL)]
    found = [(question, one) for question, head in WHOLE.items() for one in true[head] if one in known[head] and one]
    found += [(f"Is the {name} visible?", "yes" if name in true["structures"] else "no") for name in STRUCTURES]
    return [*found, ("Is this normal or abnormal?", "abnormal" if true["findings"] else "normal")]


def test_answers_about_held_out_phantoms_are_right(loaded: LoadedPlanner, phantoms: list[Phantom]) -> None:
    answered, right = scores(loaded, phantoms)
    assert right >= MIN_RIGHT
    assert answered >= MIN_ANSWERED


def test_shuffled_weights_know_nothing(loaded: LoadedPlanner, phantoms: list[Phantom]) -> None:
    whole = load_planner(PLANNER).glance
    assert whole is not None
    with torch.no_grad():
        for layer in whole.net.heads.values():
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(layer.weight[:, torch.randperm(layer.in_features, generator=torch.manual_seed(1))])
    answered, right = scores(replace(loaded, glance=whole), phantoms[::2])
    assert answered < MIN_ANSWERED or right < MIN_RIGHT


def test_the_card_is_about_this_tower(loaded: LoadedPlanner) -> None:
    assert loaded.glance is not None
    assert loaded.glance.config.sha256 in (PLANNER / "README.md").read_text("utf-8")
