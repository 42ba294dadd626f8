"""Whether a planner that learnt new tools is as good with the old ones as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from mmedagent.networks.planner_checkpoint import load_planner
from mmedagent.networks.planner_net import TOOLS
from mmedagent.networks.planner_parts import Part, plan_parts
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_text import AskText, read_ask_text
from mmedagent.training.added_tools.cards import Lesson, Taught
from mmedagent.training.instructions.examples import examples
from mmedagent.training.planner_evaluation import acted_alike, as_ask, true_parts

MOST_LOST_SHARE, MOST_LOST_ASKS = 0.01, 2
"""How much of all old asks may be lost, and how many asks for one old tool, or of one kind that needs none."""

OldAsk = tuple[AskText, tuple[Part, ...]]
"""An ask, and what a planner should find in it."""


@dataclass(frozen=True)
class Kept:
    """Old asks of one kind: how many there are, and how many were right before and after."""

    asks: int
    before: int
    after: int


@dataclass(frozen=True)
class Lost:
    """An old ask that was right before: what it is for, and what the planner takes it for now."""

    words: str
    meant: str
    taken: str


@dataclass(frozen=True)
class Verdict:
    """What was kept of each kind of old asks, by the first tool that they are for or else by their first outcome; what
    was lost; and the reasons against the new planner, without which it may be promoted."""

    kept: dict[str, Kept]
    reasons: tuple[str, ...]
    lost: tuple[Lost, ...] = ()

    @property
    def pooled(self) -> Kept:
        rows = self.kept.values()
        return Kept(sum(one.asks for one in rows), sum(one.before for one in rows), sum(one.after for one in rows))


def reader_of(folder: Path) -> AskReader:
    """The ask reader of a planner's folder."""
    loaded = load_planner(folder)
    return AskReader(loaded.net, loaded.tokenizer, loaded.config.temperature, loaded.config.added)


class OldAsks:
    """Every ask of the test share, which no planner was trained on, and whether a planner reads it rightly.

    Asks for other tools are left out: the new tool may be the one that they want.
    """

    def __init__(self, before: AskReader) -> None:
        drawn = examples("test", each=1, joined=0, seed=7, augment=False)
        own = [one for one in drawn if not one.wants_other_tool]
        self._asks = [(as_ask(example), true_parts(example)) for example in own]
        read = _read(before, self._asks, "before")
        self._before = [acted_alike(parts, ask[1]) for parts, ask in zip(read, self._asks, strict=True)]

    def verdict(self, after: AskReader) -> Verdict:
        """How another planner reads them."""
        return compared(self._asks, self._before, _read(after, self._asks, "after"))


def compared(asks: Iterable[OldAsk], before: Iterable[bool], after: Iterable[Sequence[Part]]) -> Verdict:
    """What was kept of some asks: whether each was read rightly before, and the parts that it reads as now."""
    counts: dict[str, Counter[str]] = {}
    lost: list[Lost] = []
    for (ask, expected), was, parts in zip(asks, before, after, strict=True):
        is_ = acted_alike(parts, expected)
        meant, taken = ([part.outcome for part in some] for some in (expected, parts))
        row = counts.setdefault(next((one for one in meant if one in TOOLS), meant[0]), Counter())
        row["asks"] += 1
        row["before"] += was
        row["after"] += is_
        if was and not is_:
            lost.append(Lost(ask.text, " + ".join(meant), " + ".join(taken)))
    kept = {name: Kept(row["asks"], row["before"], row["after"]) for name, row in sorted(counts.items())}
    return Verdict(kept, tuple(_reasons(kept)), tuple(lost))


def _read(reader: AskReader, asks: Sequence[OldAsk], what: str) -> Iterator[tuple[Part, ...]]:
    return (reader.read(ask) for ask, _ in track(asks, f"old asks {what}"))


def _reasons(kept: dict[str, Kept]) -> list[str]:
    reasons = [
        f"{name}: {one.before - one.after} of {one.asks} asks are lost"
        for name, one in kept.items()
        if one.before - one.after > MOST_LOST_ASKS
    ]
    every = Verdict(kept, ()).pooled
    if every.before - every.after > MOST_LOST_SHARE * every.asks:
        reasons.append(f"all old tools together: {every.before - every.after} of {every.asks} asks are lost")
    return reasons


@dataclass(frozen=True)
class Learnt:
    """Held-out examples of a new tool: how many there are, how many get a call of it, and how many exactly theirs."""

    tool: str
    asks: int
    called: int
    exact: int


def learnt(reader: AskReader, lesson: Lesson, asked: Sequence[Taught]) -> Learnt:
    """How a planner plans for some examples of a tool."""
    called = exact = 0
    tool = lesson.card.name
    for one in asked:
        ask = read_ask_text(one.example.ask)
        actions = [part.action for part in plan_parts(reader.read(ask), ask, {*TOOLS, tool})]
        calls = [(action.API_name, action.API_params) for action in actions if action is not None]
        called += tool in dict(calls)
        exact += calls == [(tool, one.example.parameters)]
    return Learnt(tool, len(asked), called, exact)
