"""Teach a planner new tools: low-rank updates and heads go on from the planner's own, with old asks in every batch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from mmedagent.networks.planner_checkpoint import PlannerConfig, read_config, save_planner
from mmedagent.networks.planner_net import OUTCOMES
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.training.added_tools.cards import Lesson
from mmedagent.training.instructions.examples import Example, examples, make_example
from mmedagent.training.planner_asks import fit_asks

NEW_SHARE, ROUND = 0.25, 1_600
"""The share of the new tools among the examples, and the examples of a round."""

LORA_RATE, HEAD_RATE, BATCH = 5e-5, 1e-3, 32
FIRST_STEPS, STEPS_EACH = 200, 40
"""Updates for the first new tool and for each further one."""


def default_steps(lessons: Sequence[Lesson]) -> int:
    return FIRST_STEPS + STEPS_EACH * (len(lessons) - 1)


def teach(start: Path, lessons: Sequence[Lesson], output: Path, steps: int, seed: int) -> PlannerConfig:
    """Train from the planner in `start`, which stays as it is, and write the planner that knows the new tools too.

    Raises:
        InvalidRequestError: the planner knows one of the tools already.
        CheckpointError: `start` is no compact planner.
    """
    config = read_config(start)
    known = {one.tool for one in config.added}
    for lesson in lessons:
        if lesson.card.name in known:
            raise InvalidRequestError(f"The planner in {start} knows {lesson.card.name} already.")
    keys = [*OUTCOMES, *(f"{one.tool} {place}" for place, one in enumerate(config.added))]
    keys += [key for lesson in lessons for key in lesson.outcomes]
    fit = fit_asks(
        steps, BATCH, seed, start=start, lora_rate=LORA_RATE, head_rate=HEAD_RATE, drawn=_mixed(lessons), outcomes=keys
    )
    added = (*config.added, *(outcome for lesson in lessons for outcome in lesson.outcomes.values()))
    taught = config.model_copy(update={"added": added})
    output.mkdir(parents=True, exist_ok=True)
    save_planner(output, taught, fit.net, fit.lora)
    for name in ("glance.json", "glance.safetensors"):
        if (start / name).is_file():
            shutil.copyfile(start / name, output / name)
    return taught


def _mixed(lessons: Sequence[Lesson]) -> Callable[[int], list[Example]]:
    """Rounds of new and old examples. Old ones are spread over all outcomes as in the planner's own training."""

    def drawn(seed: int) -> list[Example]:
        random = Random(seed)  # noqa: S311 - training data, not secrets
        asks = [one.ask for lesson in lessons for one in lesson.taught]
        new = [make_example(random, random.choice(asks), augment=True) for _ in range(round(NEW_SHARE * ROUND))]
        old = examples("train", each=1, joined=200, seed=seed)
        return new + random.sample(old, ROUND - len(new))

    return drawn
