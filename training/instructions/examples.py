"""Annotated examples: asks with their slots filled, worded as people word them, alone or joined to longer ones."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from random import Random
from typing import Literal

from mmedagent.networks.planner_net import OTHER, TOOLS
from mmedagent.networks.planner_text import BOX_WORD, POINT_WORD, Box
from mmedagent.training.instructions.ask_files import Ask, Share, all_asks
from mmedagent.training.instructions.pseudo_words import pseudo_disease, pseudo_name
from mmedagent.training.instructions.wording import AFTER, BEFORE, with_synonyms, with_typo

Kind = Literal["plain", "name", "passage"]
PSEUDO_SHARE = 0.55
EXCHANGED_SHARE = 0.4
"""Of the names that an ask gives without a slot; an invented one takes their place."""

JOINTS = (
    ". ",
    ". ",
    "? ",
    " and ",
    ", and ",
    "; ",
    ". Also, ",
    ", then ",
    " plus ",
    ". And ",
    "\n",
    ", ",
    ". After that, ",
    " & ",
)
_TOKEN = re.compile(r"<(?P<name>[^>]+)>|«(?P<passage>[^»]+)»|(?P<plain>[^<«]+)")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of an example to be copied."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class PartMark:
    """Where a part begins, in characters, what it asks for, and what it means without naming it."""

    start: int
    outcome: str
    task: str | None
    refers: str


@dataclass(frozen=True)
class Example:
    """An ask as the model reads it (`[box]` and `[point]` in place of coordinates), with everything it means."""

    text: str
    parts: tuple[PartMark, ...]
    spans: tuple[Span, ...]

    @property
    def wants_other_tool(self) -> bool:
        """Whether a part asks for a tool that the planner does not know."""
        return any(part.outcome == OTHER for part in self.parts)

    def spoken(self, random: Random) -> str:
        """The ask as a person would send it, with random coordinates."""
        text = re.sub(re.escape(f"\n{BOX_WORD}"), lambda _: f"\nInput box: {_box_text(random)}", self.text)
        text = re.sub(re.escape(f"\n{POINT_WORD}"), lambda _: f"\nInput point: {_point_text(random)}", text)
        text = re.sub(re.escape(BOX_WORD), lambda _: _box_text(random), text)
        return re.sub(re.escape(POINT_WORD), lambda _: _point_text(random), text)


@dataclass(frozen=True)
class _Piece:
    text: str
    kind: Kind
    part: int


def examples(share: Share, each: int, joined: int, seed: int, augment: bool = True) -> list[Example]:
    """`each` fillings of every ask of a share, and `joined` examples of two or three of its asks in one."""
    random = Random(seed)  # noqa: S311 - training data, not secrets
    asks = [ask for ask in all_asks() if ask.share == share]
    single = [make_example(random, ask, augment) for ask in asks for _ in range(each)]
    return single + [_joined(random, asks, augment) for _ in range(joined)]


def make_example(random: Random, ask: Ask, augment: bool) -> Example:
    """Fill one ask."""
    pieces = [piece for number, part in enumerate(ask.parts) for piece in _pieces(random, part.words, number)]
    marks = [(part.outcome, part.task, part.refers) for part in ask.parts]
    return _assemble(random, pieces, marks, augment)


def _joined(random: Random, asks: Sequence[Ask], augment: bool) -> Example:
    """Several asks with different outcomes in one, tied by a conjunction or a mark."""
    single = [ask for ask in asks if len(ask.parts) == 1]
    whole = [ask for ask in single if ask.parts[0].outcome in (*TOOLS, OTHER) and ask.parts[0].refers == "nothing"]
    count = 3 if random.random() < 0.15 else 2
    chosen: list[Ask] = []
    while len(chosen) < count:
        ask = random.choice(whole)
        tools = {part.outcome for earlier in chosen for part in earlier.parts}
        if ask.parts[0].outcome not in tools:
            chosen.append(ask)
    pieces: list[_Piece] = []
    for number, ask in enumerate(chosen):
        own = _pieces(random, ask.parts[0].words, number)
        if number:
            pieces, own = _tie(random, pieces, own)
        pieces += own
    pieces = [piece for piece in pieces if not piece.text.startswith("\n[")] + [
        replace(piece, part=count - 1) for piece in pieces if piece.text.startswith("\n[")
    ]
    marks = [(part.outcome, part.task, part.refers) for part in (ask.parts[0] for ask in chosen)]
    return _assemble(random, pieces, marks, augment)


def _tie(random: Random, before: list[_Piece], after: list[_Piece]) -> tuple[list[_Piece], list[_Piece]]:
    joint = random.choice(JOINTS)
    words = joint.lstrip(".,;?")
    mark = joint[: len(joint) - len(words)]
    last = next((i for i in range(len(before) - 1, -1, -1) if not before[i].text.startswith("\n[")), -1)
    if before[last].kind == "plain":
        keep = before[last].text.rstrip(" .!") if not mark.startswith("?") else before[last].text.rstrip(" .!?")
        mark = "" if keep.endswith(("?", ",", ":")) and mark in {".", ",", ";"} else mark
        before = [*before[:last], replace(before[last], text=keep + mark), *before[last + 1 :]]
    else:
        before = [*before[: last + 1], _Piece(mark, "plain", before[last].part), *before[last + 1 :]]
    after = [replace(after[0], text=after[0].text.lstrip()), *after[1:]]
    if not mark.startswith((".", "?")) and after[0].kind == "plain" and random.random() < 0.8:
        after = [replace(after[0], text=after[0].text[:1].lower() + after[0].text[1:]), *after[1:]]
    return before, [_Piece(words, "plain", after[0].part), *after]


def _pieces(random: Random, words: str, part: int) -> list[_Piece]:
    """The words of a part cut at its markup, with slots filled."""
    lead = " " if part else ""
    found = [] if not lead else [_Piece(lead, "plain", part)]
    for match in _TOKEN.finditer(words):
        kind: Kind = "name" if match["name"] else "passage" if match["passage"] else "plain"
        text = _SLOT.sub(lambda slot: _fill(random, slot[1]), match[kind])
        if kind == "name" and text == match[kind] and random.random() < EXCHANGED_SHARE:
            text = pseudo_name(random)
        cut = text.find("\n[")
        if cut >= 0:
            found += [_Piece(text[:cut], "plain", part), _Piece(text[cut:], "plain", part)]
        else:
            found.append(_Piece(text, kind, part))
    return found


def _fill(random: Random, slot: str) -> str:
    shapes = {"box": BOX_WORD, "point": POINT_WORD, "input_box": f"\n{BOX_WORD}", "input_point": f"\n{POINT_WORD}"}
    if slot in shapes:
        return shapes[slot]
    if slot in {"structure", "lesion", "cells", "label"} and random.random() < PSEUDO_SHARE:
        return pseudo_name(random)
    if slot == "disease" and random.random() < PSEUDO_SHARE:
        return pseudo_disease(random)
    value = random.choice(_slots()[slot])
    return _SLOT.sub(lambda inner: _fill(random, inner[1]), value)


@lru_cache(maxsize=1)
def _slots() -> dict[str, list[str]]:
    text = resources.files(__name__.rpartition(".")[0]).joinpath("slots.json").read_text("utf-8")
    slots: dict[str, list[str]] = json.loads(text)
    return slots


def _assemble(
    random: Random, pieces: list[_Piece], marks: Sequence[tuple[str, str | None, str]], augment: bool
) -> Example:
    if augment:
        pieces = _reworded(random, pieces)
    text = ""
    starts: dict[int, int] = {}
    spans: list[Span] = []
    for piece in pieces:
        if piece.text.strip() and piece.part not in starts:
            starts[piece.part] = len(text) + len(piece.text) - len(piece.text.lstrip())
        if piece.kind != "plain":
            spans.append(Span(len(text), len(text) + len(piece.text), piece.kind))
        text += piece.text
    parts = tuple(PartMark(starts[number], *mark) for number, mark in enumerate(marks))
    if not all(first.start < second.start for first, second in pairwise(parts)):
        raise ValueError(f"the parts of an example are not in order: {text}")
    return Example(text, parts, tuple(spans))


def _reworded(random: Random, pieces: list[_Piece]) -> list[_Piece]:
    if random.random() < 0.3:
        pieces = [
            replace(piece, text=with_synonyms(random, piece.text, 0.4)) if piece.kind == "plain" else piece
            for piece in pieces
        ]
    if random.random() < 0.22:
        pieces = [_Piece(random.choice(BEFORE), "plain", 0), *pieces]
    shapes = [piece for piece in pieces if piece.text.startswith("\n[")]
    pieces = [piece for piece in pieces if not piece.text.startswith("\n[")]
    last = pieces[-1]
    if random.random() < 0.3 and last.kind == "plain":
        pieces = [*pieces[:-1], replace(last, text=last.text.rstrip(".?!"))]
    if random.random() < 0.2:
        pieces = [*pieces, _Piece(random.choice(AFTER), "plain", last.part)]
    pieces += shapes
    for _ in range(random.choice((0, 0, 0, 0, 1, 2))):
        index = random.randrange(len(pieces))
        pieces[index] = replace(pieces[index], text=with_typo(random, pieces[index].text))
    draw = random.random()
    if draw < 0.3:
        pieces = [replace(piece, text=piece.text.lower()) for piece in pieces]
    elif draw < 0.33:
        pieces = [replace(piece, text=piece.text if "[" in piece.text else piece.text.upper()) for piece in pieces]
    return pieces


def _box_text(random: Random) -> str:
    box = random_box(random)
    digits = random.choice((1, 2, 2, 3))
    return "[" + ", ".join(f"{value:.{digits}f}" for value in box) + "]"


def _point_text(random: Random) -> str:
    return f"[{random.randint(0, 100) / 100}, {random.randint(0, 100) / 100}]"


def random_box(random: Random) -> Box:
    """A box of at least 0.2 in each direction on a grid of tenths."""
    x1, y1 = random.randint(0, 7) / 10, random.randint(0, 7) / 10
    return x1, y1, random.randint(round(x1 * 10) + 2, 10) / 10, random.randint(round(y1 * 10) + 2, 10) / 10
