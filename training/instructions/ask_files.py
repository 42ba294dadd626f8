"""Read the hand-written asks, one file an outcome, and the asks of the tool cards.

A line is one ask; `#` begins a comment and `[task]` sets the task of the lines below it, or the tool that they want
where that is another one than the planner knows. In an ask

- `<words>` is a name to copy (an object, a label or an option), `«words»` a passage to copy (a question);
- `{slot}` is filled from `slots.json`, `{box}` and `{point}` stand for coordinates in the sentence, `{input_box}` and
  `{input_point}` for those that the page appends on a line of their own.

Files with several outcomes name one for each part: `outcome/task: words || outcome: words`. `@before` after the outcome
says that the part means what an earlier ask named, `@other` that it means the opposite side of that.

Asks are divided into a training, a calibration and a test share by a hash of their wording without slots, so that no
wording is ever on two sides. Those that want another tool are divided by that tool, so that no such tool is, either.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

from mmedagent.networks.planner_net import OTHER, OUTCOMES, REFERS, TASKS
from mmedagent.protocol.card import CardExample
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.types import JsonObject

Share = Literal["train", "calibration", "test"]
MIXED_FILES = ("multi_step", "single_with_and", "follow_up")
ONLY_MIXED = ("again", "recall")
"""Outcomes without a file of their own."""

_MARKUP = re.compile(r"[<>«»]|\{\w+\}")
_PART = re.compile(r"(?P<outcome>\w+)(?:/(?P<task>\w+))?(?:@(?P<refers>\w+))?: (?P<words>.+)", re.DOTALL)


@dataclass(frozen=True)
class AskPart:
    """One thing that is asked for: its outcome, its words with markup, and its reference.

    `task` is that of a classification, or the tool that is wanted where the planner does not know it.
    """

    outcome: str
    task: str | None
    words: str
    refers: str = "nothing"


@dataclass(frozen=True)
class Ask:
    """A hand-written ask of one or more parts and the share that it belongs to."""

    parts: tuple[AskPart, ...]
    share: Share

    @property
    def wording(self) -> str:
        return " ".join(part.words for part in self.parts)


@lru_cache(maxsize=1)
def other_tools() -> tuple[str, ...]:
    """The tools that asks want and that no planner knows, in order."""
    return tuple(dict.fromkeys(str(part.task) for (part,) in _read_file(OTHER)))


@lru_cache(maxsize=1)
def all_asks() -> tuple[Ask, ...]:
    """Every ask, those of the cards first; a wording that occurs twice is kept once.

    Raises `ValueError` for a line that names an unknown outcome or task.
    """
    found: dict[str, Ask] = {}
    shares: dict[str, Share] = {}
    card_parts = [_card_part(card.name, example) for card in built_in_cards() for example in card.examples]
    known = [re.sub(_MARKUP, "", part.words) for part in card_parts]
    for part in card_parts:
        shares[_skeleton(part.words)] = "train"
        found.setdefault(_with_slots(part.words), Ask((part,), "train"))
    for name in (*OUTCOMES, *MIXED_FILES):
        for parts in () if name in ONLY_MIXED else _read_file(name):
            words = " ".join(part.words for part in parts)
            if name == OTHER:
                found.setdefault(_with_slots(words), Ask(parts, _share(str(parts[0].task))))
                continue
            share = shares.setdefault(_skeleton(words), "train" if _restates(words, known) else _share(words))
            found.setdefault(_with_slots(words), Ask(parts, share))
    return tuple(found.values())


def _read_file(name: str) -> list[tuple[AskPart, ...]]:
    text = resources.files(__name__.rpartition(".")[0]).joinpath("asks", f"{name}.txt").read_text("utf-8")
    task: str | None = None
    asks: list[tuple[AskPart, ...]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            task = line.strip("[]")
        elif name in MIXED_FILES:
            asks.append(tuple(_mixed_part(words) for words in line.split(" || ")))
        else:
            asks.append((_checked(AskPart(name, task, line)),))
    return asks


def _mixed_part(words: str) -> AskPart:
    match = _PART.fullmatch(words)
    if match is None:
        raise ValueError(f"a part without an outcome: {words}")
    return _checked(AskPart(match["outcome"], match["task"], match["words"], match["refers"] or "nothing"))


def _checked(part: AskPart) -> AskPart:
    task_known = part.task in (None, *TASKS) or part.outcome == OTHER
    if part.outcome not in OUTCOMES or not task_known or part.refers not in REFERS:
        raise ValueError(f"unknown outcome, task or reference: {part.outcome}/{part.task}@{part.refers}")
    return part


def _card_part(tool: str, example: CardExample) -> AskPart:
    """The example of a card with its names and passages marked where the ask says them."""
    words = example.ask
    for key, marks in (
        ("prompts", "<>"),
        ("labels", "<>"),
        ("options", "<>"),
        ("question", "«»"),
        ("indication", "«»"),
    ):
        for value in _texts(example.parameters, key):
            words = words.replace(value, f"{marks[0]}{value}{marks[1]}", 1)
    words = re.sub(r"\nInput (box|point): \[[^\]]*\]", r"{input_\1}", words)
    words = re.sub(r"\[[\d., ]+\]", "{box}", words)
    task = None
    if tool == "classification":
        task = "labels" if "labels" in example.parameters else str(example.parameters["task"])
    return AskPart(tool, task, words)


def _texts(parameters: JsonObject, key: str) -> list[str]:
    value = parameters.get(key, [])
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _skeleton(words: str) -> str:
    return " ".join(re.findall(r"\w+", _MARKUP.sub(" ", words).casefold()))


def _with_slots(words: str) -> str:
    """The words and the kinds of slots: "Segment {box}" asks for something else than "Segment"."""
    return " ".join(re.findall(r"\{\w+\}|\w+", words.casefold()))


def _restates(words: str, known: list[str]) -> bool:
    """Whether an ask is that of a card with slots in place of its names."""
    bare = re.sub(r"[<>«»]", "", words)
    pieces = [re.escape(piece.rstrip(".?!")) for piece in re.split(r"\{\w+\}", bare)]
    if len(pieces) == 1 and len(bare.split()) < 3:
        return False
    pattern = re.compile(".+".join(pieces) + r"[.?!]?", re.IGNORECASE)
    return any(pattern.fullmatch(ask) for ask in known)


def _share(words: str) -> Share:
    place = int(hashlib.sha256(_skeleton(words).encode()).hexdigest(), 16) % 100
    if place < 15:
        return "test"
    return "calibration" if place < 25 else "train"
