"""The synthetic world with its images, and the warm start, which all methods and seeds share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.networks.consultation_net import (
    consultation_model,
    consultation_processor,
    load_consultation,
    save_consultation,
)
from mmedagent.networks.consultation_words import ALL_AGREE, CERTAIN, DIFFER, UNSURE, heard
from mmedagent.training.rl.budgets import Budget
from mmedagent.training.rl.prompts import (
    any_specialty,
    attending_prompt,
    following_reply,
    looking_reply,
    triage_prompt,
    triage_reply,
    vocabulary_texts,
)
from mmedagent.training.rl.specialists import panel
from mmedagent.training.rl.supervised import Lesson, batch_of, fit, in_rounds
from mmedagent.training.rl.world import Item, pictures, read_world, shuffled

TRIAGE_SHARE, ALONE_SHARE = 0.1, 0.2
"""Of the warm start: lessons for triage, and those without opinions."""

LOOK_SHARES = {ALL_AGREE: 0.3, DIFFER[CERTAIN]: 0.3, DIFFER[UNSURE]: 0.6}
"""Of the lessons with opinions: replies from the image, by what these come to."""

logger = logging.getLogger(__name__)


class World:
    """Questions, their images, and the network after its warm start."""

    def __init__(
        self, out: Path, planner: Path, budget: Budget, questions: dict[str, list[Item]] | None = None
    ) -> None:
        self.out, self.budget, self._planner = out, budget, planner
        world = read_world() if questions is None else questions
        self.items = {split: world[split][:size] for split, size in budget.sizes.items()}
        self._images: dict[str, NDArray[np.uint8]] = {}

    def images(self, split: str) -> NDArray[np.uint8]:
        """The images of a split, uint8 (n, 128, 128, 3), in the order of its questions."""
        if split not in self._images:
            self._images[split] = pictures(self.items[split], self.out / "pictures" / f"{split}.npy")
        return self._images[split]

    @cached_property
    def policy(self) -> tuple[Any, Any]:
        """Model and processor of the warm start, trained now if they are not there."""
        folder = self.out / "base"
        if not folder.is_dir():
            self._warm_start(folder)
        return load_consultation(folder, self._planner)

    def _warm_start(self, folder: Path) -> None:
        """Teach the form and to look: whom to follow and whom to call is drawn at random, so that is still to learn."""
        budget, items, random = self.budget, self.items["warm"], Random(0)  # noqa: S311 - training data
        processor = consultation_processor(vocabulary_texts(items))
        model = consultation_model(processor.tokenizer, self._planner, seed=0)
        places = in_rounds(len(items), budget.warm_batch, seed=0)
        batches = (
            batch_of(processor, [_warm_lesson(items[place], place, random) for place in chosen], self.images("warm"))
            for chosen in places
        )
        fit(model, batches, budget.warm, budget.warm_rate, told("warm start"))
        unfinished = folder.with_name(f".{folder.name}")
        save_consultation(unfinished, model, processor)
        unfinished.rename(folder)


def _warm_lesson(item: Item, place: int, random: Random) -> Lesson:
    item, draw = shuffled(item, random), random.random()
    if draw < TRIAGE_SHARE:
        return Lesson(triage_prompt(item), triage_reply(item, any_specialty(random)), place)
    if draw < TRIAGE_SHARE + ALONE_SHARE:
        return Lesson(attending_prompt(item), looking_reply(item), place)
    opinions = panel(item, any_specialty(random))
    looks = random.random() < LOOK_SHARES[heard(opinions)]
    reply = looking_reply(item) if looks else following_reply(item, random.choice(opinions))
    return Lesson(attending_prompt(item, opinions), reply, place)


def told(name: str) -> Callable[[int, float], None]:
    """Logs the loss of every fiftieth update."""

    def said(step: int, loss: float) -> None:
        if step % 50 == 0:
            logger.info("%s, update %d: loss %.3f", name, step, loss)

    return said
