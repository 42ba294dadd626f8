"""`mmedagent evaluate added-tools`: how a planner takes to more and more tools, and what it forgets of the old ones."""

from __future__ import annotations

import json as jsons
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mmedagent.cli.cards import read_card
from mmedagent.cli.options import FiguresFile
from mmedagent.cli.paths import EVALUATION, MODELS
from mmedagent.protocol.cards import built_in_cards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmedagent.evaluation.tool_selection.asks import AskCase
    from mmedagent.evaluation.tool_selection.scores import Planned
    from mmedagent.protocol.card import ToolCard

COUNTS = (1, 5, 9, 17)
ADDED, OLD = EVALUATION / "added_tools", EVALUATION / "tool_selection" / "held_out.jsonl"


@dataclass(frozen=True)
class Row:
    """What was taught: shares of held-out asks with the right tools, in [0, 1].

    `new` and `new_names` are of the added tools, `old` and `old_before` of the others after and before; `refused` says
    what `mmedagent train add-tool` would say against it.
    """

    name: str
    tools: int
    seconds: float
    new: float
    new_low: float
    new_names: float
    old: float
    old_before: float
    p50_ms: float
    refused: tuple[str, ...]


def evaluate_added_tools(
    work: Annotated[
        Path, typer.Option("--work", metavar="DIR", help="Where the planners are kept; made ones are not made again.")
    ],
    start: Annotated[Path, typer.Option("--start", metavar="DIR", help="The planner to go on from.")] = MODELS
    / "planner",
    count: Annotated[list[int] | None, typer.Option(min=1, help="So many added tools; may be repeated.")] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Also teach every tool alone, and pool the asks.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 2,
    json: FiguresFile = None,
) -> None:
    """Teach the compact planner 1, 5, 9 and 17 further tools, and measure new and old ones on held-out asks."""
    import torch

    from mmedagent.evaluation.tool_selection.asks import read_asks

    torch.set_num_threads(threads)
    cards = [read_card(path) for path in sorted((ADDED / "cards").glob("*.json"))]
    new, old = read_asks(ADDED / "held_out.jsonl"), read_asks(OLD)
    trial = Trial(work, start, new, old)
    rows = [trial.row(f"{number} added", [cards[:number]]) for number in count or COUNTS]
    if alone:
        rows.append(trial.row("each alone", [[card] for card in cards]))
    if json is not None:
        json.write_text(jsons.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    Console().print(_table(rows))


class Trial:
    """Teaches some tools to a planner and measures what came of it."""

    def __init__(self, work: Path, start: Path, new: Sequence[AskCase], old: Sequence[AskCase]) -> None:
        from mmedagent.evaluation.tool_selection.scores import score
        from mmedagent.training.added_tools.fit import Teacher
        from mmedagent.training.added_tools.gate import OldAsks, reader_of

        self._work, self._new, self._old = work, new, old
        started = time.perf_counter()
        self._teacher = Teacher(start, seed=0)
        self._reading = time.perf_counter() - started
        self._gate = OldAsks(reader_of(start))
        self._before = score("before", _planned(start, (), old))

    def row(self, name: str, groups: Sequence[Sequence[ToolCard]]) -> Row:
        """Each group of tools is taught to a planner of its own, and their asks are counted together."""
        from mmedagent.evaluation.tool_selection.scores import score
        from mmedagent.training.added_tools.gate import reader_of

        new: list[tuple[AskCase, Planned]] = []
        old: list[tuple[AskCase, Planned]] = []
        refused: list[str] = []
        seconds: list[float] = []
        for cards in groups:
            names = {card.name for card in cards}
            folder, spent = self._taught(cards)
            seconds.append(spent)
            new += _planned(folder, cards, [ask for ask in self._new if set(ask.expect[0]) <= names])
            old += _planned(folder, cards, self._old)
            reasons = self._gate.verdict(reader_of(folder)).reasons
            refused += [f"{', '.join(sorted(names))}: {reason}" if len(groups) > 1 else reason for reason in reasons]
        taught, kept = score(name, new), score(name, old)
        return Row(
            name=name,
            tools=len(built_in_cards()) + len(groups[0]),
            seconds=sum(seconds) / len(seconds),
            new=taught.tools.value,
            new_low=taught.tools.low,
            new_names=taught.arguments.value,
            old=kept.tools.value,
            old_before=self._before.tools.value,
            p50_ms=kept.p50_ms,
            refused=tuple(refused),
        )

    def _taught(self, cards: Sequence[ToolCard]) -> tuple[Path, float]:
        """The folder of a planner that knows the tools too, and the seconds of teaching; it is made only once."""
        from mmedagent.training.added_tools.cards import lesson_of

        folder = self._work / (f"added-{len(cards)}" if len(cards) > 1 else f"added-{cards[0].name}")
        seconds_file = folder / "seconds.txt"
        if not seconds_file.is_file():
            started = time.perf_counter()
            self._teacher.teach([lesson_of(card) for card in cards], folder)
            seconds_file.write_text(f"{self._reading + time.perf_counter() - started:.1f}\n", "utf-8")
        return folder, float(seconds_file.read_text("utf-8"))


def _planned(folder: Path, added: Sequence[ToolCard], asks: Sequence[AskCase]) -> list[tuple[AskCase, Planned]]:
    from mmedagent.cli.first_plans import FirstPlans
    from mmedagent.model_worker.compact.planner import CompactPlanner

    planner = CompactPlanner(checkpoint=folder)
    planner.load("cpu")
    asking = FirstPlans(planner, (*built_in_cards(), *added))
    return [(ask, asking(ask)) for ask in asks]


def _table(rows: Sequence[Row]) -> Table:
    table = Table(
        "taught", "tools", "training", "new, right", "new, names too", "old, before", "old, after", "median", "promoted"
    )
    for row in rows:
        table.add_row(
            row.name,
            str(row.tools),
            f"{row.seconds:.0f} s",
            f"{row.new:.1%} (from {row.new_low:.0%})",
            f"{row.new_names:.1%}",
            f"{row.old_before:.1%}",
            f"{row.old:.1%}",
            f"{row.p50_ms:.0f} ms",
            "no: " + "; ".join(row.refused) if row.refused else "yes",
        )
    return table
