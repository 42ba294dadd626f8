"""The whole training of the consultation in the synthetic world, for one seed after the other, resumable.

What is there is not made again: the warm start, the adapters, the opinions, and the answers of every method, as files
under one folder. `mmedagent train consultation` runs it and `mmedagent evaluate consultation` reads its answers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mmedagent.protocol.consultation import SPECIALTIES, chosen_option, read_reply
from mmedagent.training.rl.answering import replies
from mmedagent.training.rl.budgets import MIDDLE_BETA
from mmedagent.training.rl.curriculum import (
    LEVELS,
    Level,
    OpinionCache,
    Stage,
    content_key,
    level_of,
    rows_of,
    stages,
    without_entropy,
)
from mmedagent.training.rl.grpo import HISTORY, Rollout, Step, adapter_of, load_adapted, train_grpo
from mmedagent.training.rl.prompts import (
    attending_prompt,
    clean_reply,
    triage_prompt,
)
from mmedagent.training.rl.specialists import Opinion, field_of, majority, members, opinion
from mmedagent.training.rl.supervised import Lesson, batch_of, fit, in_rounds
from mmedagent.training.rl.warm_start import World, told
from mmedagent.training.rl.world import Item

SINGLE, LEAD, MAJORITY = "single model", "specialist of triage", "majority"
UNTRAINED, SFT = "attending, warm start", "SFT"
PLAIN, NO_ENTROPY, FULL = "GRPO without curriculum", "curriculum without entropy", "full"
OWN_LEVEL, NO_TRIAGE = "full, each stage on its own level", "full, triage untrained"
ANSWERS, TRIAGE_FILE = "answers.jsonl", "triage.json"

HELD_OUT = ("test", "outside")

logger = logging.getLogger(__name__)


class SeedRun:
    """Every method with one seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed, self.budget = world, seed, world.budget
        self.folder = world.out / f"seed-{seed}"
        self._opinions = OpinionCache(world.out / "opinions.jsonl")

    def run(self, extras: bool = False) -> None:
        """Train what is missing and answer all held-out questions; `extras` adds the ablations that cost a run."""
        self._triage()
        self._answer(SINGLE, self.world.policy[0], lambda item: attending_prompt(item))
        self._vote(LEAD, lambda opinions: opinions[0].choice)
        self._vote(MAJORITY, majority)
        self._answer(UNTRAINED, self.world.policy[0], self._prompt)
        self._method(SFT, self._sft)
        schedule = stages(self.budget.stages)
        self._method(PLAIN, lambda: self._staged(PLAIN, (), cumulative=True))
        self._method(NO_ENTROPY, lambda: self._staged(NO_ENTROPY, without_entropy(schedule), cumulative=True))
        self._method(FULL, lambda: self._staged(FULL, schedule, cumulative=True))
        if extras:
            self._method(OWN_LEVEL, lambda: self._staged(OWN_LEVEL, schedule, cumulative=False))
        self._collect()

    def _triage(self) -> None:
        """Train triage; its choice for every question of every split is what the panels are made of."""
        file = self.folder / TRIAGE_FILE
        if file.is_file():
            self.choices: dict[str, dict[str, list[str]]] = json.loads(file.read_text("utf-8"))
            return
        base, _ = self.world.policy
        before = self._chosen(base, HELD_OUT)
        rows = [
            Rollout(triage_prompt(item), _picture(frame), field_of(item))
            for item, frame in zip(self.world.items["train"], self.world.images("train"), strict=True)
        ]
        adapted = self._grpo(rows, Step("triage", self.budget.triage, MIDDLE_BETA, 0.0), "triage", None)
        self.choices = {"before": before, "after": self._chosen(adapted, ("train", *HELD_OUT))}
        adapted.unload()
        file.write_text(json.dumps(self.choices), "utf-8")

    def _chosen(self, model: Any, splits: Sequence[str]) -> dict[str, list[str]]:
        """The specialty that triage names for each question; where it names none, the radiologist is called."""
        _, processor = self.world.policy
        found = {}
        for split in splits:
            prompts = [triage_prompt(item) for item in self.world.items[split]]
            said = replies(model, processor, prompts, self.world.images(split), tokens=self.budget.settings.tokens)
            found[split] = [reply.answer if (reply := read_reply(text)) else "" for text in said]
        return found

    def _panel(self, item: Item, when: str = "after") -> tuple[Opinion, ...]:
        image = self.world.images(item.split)[item.index].tobytes()
        prompt = attending_prompt(item)
        return tuple(
            self._opinions.opinion(content_key(one, prompt, image), partial(opinion, item, one))
            for one in members(item, called(self.choices[when][item.split][item.index]))
        )

    def _prompt(self, item: Item) -> str:
        return attending_prompt(item, self._panel(item))

    def _rollout(self, item: Item) -> Rollout:
        frame = self.world.images(item.split)[item.index]
        return Rollout(self._prompt(item), _picture(frame), item.options[item.answer], item.options)

    def _staged(self, method: str, schedule: Sequence[Stage], *, cumulative: bool) -> Any:
        """GRPO in stages, each from the adapter of the one before; without stages, on everything at once."""
        by_level: dict[Level, list[Rollout]] = {level: [] for level in LEVELS}
        for item in self.world.items["train"]:
            by_level[level_of(self._panel(item), item.answer)].append(self._rollout(item))
        if not schedule:
            rows = [row for level in LEVELS for row in by_level[level]]
            return self._grpo(rows, Step("all", self.budget.attending, MIDDLE_BETA, 0.0), f"{_slug(method)}/all", None)
        adapted, before = None, None
        for stage in schedule:
            if adapted is not None:
                adapted.unload()
            name = f"{_slug(method)}/{stage.name}"
            adapted = self._grpo(rows_of(stage, by_level, cumulative=cumulative), stage, name, before)
            before = self.folder / name
        return adapted

    def _grpo(self, rows: Sequence[Rollout], step: Step, name: str, start: Path | None) -> Any:
        """The adapter of a folder, trained now from `start` if it is not there."""
        base, processor = self.world.policy
        out = self.folder / name
        if out.is_dir():
            return load_adapted(base, out, trainable=False)
        logger.info("seed %d, %s: %d updates", self.seed, name, step.steps)
        torch.manual_seed(self.seed)
        adapted = (
            adapter_of(base, self.budget.settings.rank) if start is None else load_adapted(base, start, trainable=True)
        )
        unfinished = out.with_name(f".{out.name}")
        train_grpo(adapted, processor, rows, self.budget.settings, step, self.seed, unfinished)
        unfinished.rename(out)
        return adapted

    def _sft(self) -> Any:
        """The same adapter on right replies to the same questions, for as many passes."""
        base, processor = self.world.policy
        out = self.folder / _slug(SFT)
        if out.is_dir():
            return load_adapted(base, out, trainable=False)
        torch.manual_seed(self.seed)
        random = Random(self.seed)  # noqa: S311 - training data
        items = self.world.items["train"]
        adapted = adapter_of(base, self.budget.settings.rank)

        def batches() -> Iterator[dict[str, Tensor]]:
            for places in in_rounds(len(items), self.budget.settings.batch, self.seed):
                lessons = [
                    Lesson(
                        self._prompt(items[place]), clean_reply(items[place], self._panel(items[place]), random), place
                    )
                    for place in places
                ]
                yield batch_of(processor, lessons, self.world.images("train"))

        fit(adapted, batches(), self.budget.sft, self.budget.sft_rate, told(f"seed {self.seed}, SFT"))
        adapted.save_pretrained(str(out))
        return adapted

    def _method(self, method: str, trained: Callable[[], Any]) -> None:
        """Answers of an adapter, trained now if need be; the full one also for panels of the untrained triage."""
        if self._answers(method).is_file():
            return
        model = trained()
        if method == FULL:
            self._answer(NO_TRIAGE, model, lambda item: attending_prompt(item, self._panel(item, "before")), "before")
        self._answer(method, model, self._prompt)
        model.unload()

    def _answer(self, method: str, model: Any, prompt: Callable[[Item], str], when: str = "after") -> None:
        if self._answers(method).is_file():
            return
        _, processor = self.world.policy
        chosen: dict[str, list[int | None]] = {}
        for split in HELD_OUT:
            items = self.world.items[split]
            said = replies(
                model, processor, [prompt(item) for item in items], self.world.images(split),
                tokens=self.budget.settings.tokens,
            )  # fmt: skip
            chosen[split] = [
                chosen_option(reply.answer, item.options) if (reply := read_reply(text)) else None
                for item, text in zip(items, said, strict=True)
            ]
        self._judge(method, chosen, when)

    def _vote(self, method: str, choose: Callable[[Sequence[Opinion]], int]) -> None:
        if self._answers(method).is_file():
            return
        chosen = {split: [choose(self._panel(item)) for item in self.world.items[split]] for split in HELD_OUT}
        self._judge(method, chosen, "after")

    def _judge(self, method: str, chosen: dict[str, Any], when: str) -> None:
        """Write the answers of a method, in the form that evaluation reads."""
        rows = [
            {
                "method": method, "seed": self.seed, "case": item.id, "split": split,
                "level": level_of(self._panel(item, when), item.answer), "right": choice == item.answer,
            }
            for split, choices in chosen.items()
            for item, choice in zip(self.world.items[split], choices, strict=True)
        ]  # fmt: skip
        path = self._answers(method)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
        share = float(np.mean([row["right"] for row in rows if row["split"] == "test"]))
        logger.info("seed %d, %s: %.1f %% right", self.seed, method, 100 * share)

    def _answers(self, method: str) -> Path:
        return self.folder / "answers" / f"{_slug(method)}.jsonl"

    def _collect(self) -> None:
        """All answers of the seed in one file, the methods in the order of the table."""
        methods = (SINGLE, LEAD, MAJORITY, UNTRAINED, SFT, PLAIN, NO_ENTROPY, OWN_LEVEL, NO_TRIAGE, FULL)
        files = [self._answers(method) for method in methods]
        (self.folder / ANSWERS).write_text(
            "".join(file.read_text("utf-8") for file in files if file.is_file()), "utf-8"
        )


def histories(folder: Path, method: str) -> list[dict[str, Any]]:
    """What GRPO logged of a method in the folder of a seed, update by update, its stages in order."""
    parts = [folder / _slug(method) / name / HISTORY for name in ("all", *LEVELS)]
    return [json.loads(line) for file in parts if file.is_file() for line in file.read_text("utf-8").splitlines()]


def triage_accuracy(items: Sequence[Item], chosen: Sequence[str]) -> float:
    """The share of questions for which the right specialty was named."""
    return float(np.mean([one == field_of(item) for item, one in zip(items, chosen, strict=True)]))


def called(specialty: str) -> str:
    """Who comes when triage names that."""
    return specialty if specialty in SPECIALTIES else "radiologist"


def _picture(frame: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(frame)


def _slug(method: str) -> str:
    return method.lower().replace(",", "").replace(" ", "-")
