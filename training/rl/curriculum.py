"""Opinions asked for once and kept, and the curriculum that is made of them: easy, medium and hard cases in turn.

How hard a case is says the share s of opinions that are right: easy at s = 1, hard at s = 0, medium between
(MMedAgent-RL, arXiv 2506.00555). The weights of the KL divergence are the paper's. It does not tell those of the
entropy; these are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from mmedagent.training.rl.grpo import Step
from mmedagent.training.rl.specialists import Opinion

Level = Literal["easy", "medium", "hard"]
LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")

BETAS: Mapping[Level, float] = {"easy": 1e-3, "medium": 4e-3, "hard": 1e-2}
ENTROPIES: Mapping[Level, float] = {"easy": 0.0, "medium": 1e-3, "hard": 5e-3}

OWN_SHARE = 1 / 4

T = TypeVar("T")


@dataclass(frozen=True)
class Stage(Step):
    """A stage of the curriculum, named after the level that it brings in."""

    name: Level


def stages(steps: Mapping[Level, int]) -> tuple[Stage, ...]:
    """The three stages in their order, with so many updates each."""
    return tuple(Stage(level, steps[level], BETAS[level], ENTROPIES[level]) for level in LEVELS)


def without_entropy(given: Sequence[Stage]) -> tuple[Stage, ...]:
    """The same stages without their bonus for entropy."""
    return tuple(replace(stage, entropy=0.0) for stage in given)


def level_of(opinions: Sequence[Opinion], answer: int) -> Level:
    """How hard a case is. Raises `ValueError` without opinions."""
    if not opinions:
        raise ValueError("a case without opinions has no level")
    right = sum(one.choice == answer for one in opinions)
    return "hard" if right == 0 else "easy" if right == len(opinions) else "medium"


def rows_of(stage: Stage, by_level: Mapping[Level, Sequence[T]], *, cumulative: bool) -> list[T]:
    """What a stage is trained on: its own level, and with `cumulative` those before it as well.

    Of hard cases alone, a small policy learns to contradict whatever all agree on. With the others, cases of the own
    level are repeated until they are about a quarter of all.
    """
    own = list(by_level[stage.name])
    if not cumulative:
        return own
    earlier = [row for level in LEVELS[: LEVELS.index(stage.name)] for row in by_level[level]]
    times = max(1, round(OWN_SHARE * len(earlier) / ((1 - OWN_SHARE) * len(own)))) if own else 0
    return [*earlier, *own * times]


def content_key(specialist: str, prompt: str, image: bytes) -> str:
    """What an opinion depends on, as a sha256: who is asked, what, and about which image."""
    return hashlib.sha256(json.dumps([specialist, prompt, hashlib.sha256(image).hexdigest()]).encode()).hexdigest()


class OpinionCache:
    """Opinions in a file of JSON lines by their content key; a specialist is asked the same thing once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Opinion] = {}
        for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
            values = json.loads(line)
            key = values.pop("key")
            self._known[key] = Opinion(**values)

    def __len__(self) -> int:
        return len(self._known)

    def opinion(self, key: str, ask: Callable[[], Opinion]) -> Opinion:
        """The kept opinion; the specialist is asked if there is none."""
        if key not in self._known:
            self._known[key] = ask()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps({'key': key, **asdict(self._known[key])})}\n")
        return self._known[key]
