"""From a finished run to the folder that the consultation tool loads: base, triage and attending physician as they were
trained, and specialists, each an adapter of its own that is trained here on the questions of its field.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmedagent.networks.checkpoints import load_state, save_fp16
from mmedagent.networks.consultation_panel import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    ADAPTERS,
    ATTENDING,
    BASE,
    TRIAGE,
    Written,
)
from mmedagent.networks.consultation_questions import QUESTIONS, Family, Questions
from mmedagent.networks.glance import load_glance
from mmedagent.protocol.consultation import SPECIALTIES
from mmedagent.training.rl.answering import replies_with_chances
from mmedagent.training.rl.grpo import adapter_of
from mmedagent.training.rl.prompts import attending_prompt, looking_reply
from mmedagent.training.rl.rewards import accuracy_reward
from mmedagent.training.rl.specialists import field_of
from mmedagent.training.rl.supervised import Lesson, batch_of, fit, in_rounds
from mmedagent.training.rl.warm_start import World
from mmedagent.training.rl.world import Item, shuffled

TRIAGE_FOLDER, ATTENDING_FOLDER = "triage", "full/hard"
"""Where the pipeline leaves the adapters of a seed."""

STEPS, ROUNDS, BATCH, RATE, RANK = 80, 8, 64, 3e-3, 8
"""A specialist learns for so many updates at least, and sees every question of its field so often."""

HELD_OUT = 5
"""One in so many questions of the train split, its last ones, is for the figures and the limit of certainty alone."""

PANEL = """\
# The panel of the profile `embedded`: small networks that `mmedagent train panel` made.

[backends.embedded]
kind = "embedded"
tower = {tower}

[triage]
backend = "embedded"

[[specialists]]
backend = "embedded"

[[specialists]]
backend = "embedded"
specialty = "another"

[[specialists]]
backend = "embedded"
specialty = "another"

[attending]
backend = "embedded"
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learnt:
    """How right the base and the specialist are about held-out questions of the specialist's field, 0 to 1."""

    specialty: str
    questions: int
    base: float
    specialist: float


def missing(runs: Path, seed: int) -> list[str]:
    """Which folders of a finished run are not there."""
    wanted = (BASE, f"seed-{seed}/{TRIAGE_FOLDER}", f"seed-{seed}/{ATTENDING_FOLDER}")
    return [name for name in wanted if not (runs / name).is_dir()]


def make_panel(world: World, seed: int, planner: Path, out: Path, steps: int = STEPS) -> list[Learnt]:
    """Fill the folder from the world's run with that seed; files of the same names there are replaced.

    The specialists learn from the warm split and most of the train split. The figures are of the rest of that, which
    neither they nor the base have been taught.
    """
    run = world.out / f"seed-{seed}"
    _copy(world.out / BASE, out / BASE)
    _as_half(run / TRIAGE_FOLDER, out / ADAPTERS / TRIAGE)
    _as_half(run / ATTENDING_FOLDER, out / ADAPTERS / ATTENDING)
    split = len(world.items["train"]) - len(world.items["train"]) // HELD_OUT
    taught = [*world.items["warm"], *world.items["train"][:split]]
    learnt, heard = [], []
    for specialty in SPECIALTIES:
        held_out = _of_field(world.items["train"][split:], specialty)
        before = _answers(world, world.policy[0], held_out)
        adapted = _specialist(world, _of_field(taught, specialty), steps)
        after = _answers(world, adapted, held_out)
        adapted.save_pretrained(str(out / ADAPTERS / specialty))
        _as_half(out / ADAPTERS / specialty, out / ADAPTERS / specialty)
        adapted.unload()
        heard += after
        learnt.append(Learnt(specialty, len(held_out), _share(before), _share(after)))
        logger.info("%s: %.2f of its field right, %.2f before", specialty, _share(after), _share(before))
    questions = questions_of(world.items["warm"], planner, certain_from(heard))
    (out / QUESTIONS).write_text(questions.model_dump_json(indent=1) + "\n", "utf-8")
    (out / "panel.toml").write_text(PANEL.format(tower=json.dumps(relpath(planner, out))), "utf-8")
    return learnt


def questions_of(items: Sequence[Item], planner: Path, certain: float) -> Questions:
    """What a network can be asked that was trained on these questions."""
    return Questions(
        tower_sha256=load_glance(planner).config.sha256,
        certain_from=certain,
        families={
            name: _family([item for item in items if item.family == name])
            for name in dict.fromkeys(item.family for item in items)
        },
    )


def _family(items: Sequence[Item]) -> Family:
    first, _, _ = items[0].question.partition("\n")
    options: dict[str, set[str]] = {}
    structures: dict[str, set[str]] = {}
    for item in items:
        options.setdefault(item.modality, set()).update(item.options)
        _, _, structure = item.question.partition("\n")
        structures.setdefault(item.modality, set()).update([structure] if structure else [])
    return Family(question=first, options=_sorted(options), structures=_sorted(structures))


def _sorted(names: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {modality: tuple(sorted(names[modality])) for modality in sorted(names)}


def certain_from(answers: Sequence[tuple[Written, bool]]) -> float:
    """The probability of a reply that best tells right replies from wrong ones (Youden's index), in (0, 1)."""
    chances = np.array([reply.probability for reply, _ in answers])
    right = np.array([one for _, one in answers])
    limits = np.round(np.linspace(0.05, 0.95, 19), 2)
    gains = [_mean(chances[right] >= limit) - _mean(chances[~right] >= limit) for limit in limits]
    return float(limits[int(np.argmax(gains))])


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _of_field(items: Sequence[Item], specialty: str) -> list[Item]:
    return [item for item in items if field_of(item) == specialty]


def _specialist(world: World, items: Sequence[Item], steps: int) -> Any:
    """The base with a new adapter, trained to look at these questions. Raises `ValueError` without any."""
    if not items:
        raise ValueError("a specialist needs questions of its field")
    base, processor = world.policy
    pictures = _pictures(world, items)
    random = Random(0)  # noqa: S311 - training data

    def batches() -> Iterator[dict[str, Tensor]]:
        for chosen in in_rounds(len(items), BATCH, seed=0):
            lessons = [_lesson(shuffled(items[place], random), place) for place in chosen]
            yield batch_of(processor, lessons, pictures)

    torch.manual_seed(0)
    adapted = adapter_of(base, RANK)
    fit(adapted, batches(), max(steps, ROUNDS * len(items) // BATCH), RATE)
    return adapted


def _lesson(item: Item, picture: int) -> Lesson:
    return Lesson(attending_prompt(item), looking_reply(item), picture)


def _answers(world: World, model: Any, items: Sequence[Item]) -> list[tuple[Written, bool]]:
    """The reply to each of these questions, and whether it is right."""
    pictures = _pictures(world, items)
    prompts = [attending_prompt(item) for item in items]
    tokens = world.budget.settings.tokens
    said = replies_with_chances(model, world.policy[1], prompts, pictures, tokens=tokens)
    return [
        (one, accuracy_reward(one.text, item.options[item.answer], item.options) > 0)
        for one, item in zip(said, items, strict=True)
    ]


def _pictures(world: World, items: Sequence[Item]) -> NDArray[np.uint8]:
    return np.array([world.images(item.split)[item.index] for item in items], np.uint8)


def _share(answers: Sequence[tuple[Written, bool]]) -> float:
    return _mean([right for _, right in answers])


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _as_half(source: Path, target: Path) -> None:
    """The two files of an adapter, its weights in float16, and without the path that its base had here."""
    state = load_state(source / ADAPTER_WEIGHTS)
    settings = json.loads((source / ADAPTER_CONFIG).read_text("utf-8"))
    shutil.rmtree(target, ignore_errors=True)
    save_fp16(state, target / ADAPTER_WEIGHTS)
    settings = json.dumps({**settings, "base_model_name_or_path": None}, indent=1)
    (target / ADAPTER_CONFIG).write_text(settings + "\n", "utf-8")
