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
    from mmedagent.evaluation.tool_selection.scores import Selection
    from mmedagent.protocol.card import ToolCard

COUNTS = (1, 5, 9, 17)
ADDED, OLD = EVALUATION / "added_tools", EVALUATION / "tool_selection" / "held_out.jsonl"


@dataclass(frozen=True)
class Row:
    """One number of tools: shares of held-out asks with the right tools, in [0, 1].

    `new` and `new_names` are of the added tools, `old` and `old_before` of the others after and before; `refused` says
    what `mmedagent train add-tool` would say against it.
    """

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
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 2,
    json: FiguresFile = None,
) -> None:
    """Teach the compact planner 1, 5, 9 and 17 further tools, and measure new and old ones on held-out asks."""
    import torch

    from mmedagent.evaluation.tool_selection.asks import read_asks

    torch.set_num_threads(threads)
    cards = [read_card(path) for path in sorted((ADDED / "cards").glob("*.json"))]
    new, old = read_asks(ADDED / "held_out.jsonl"), read_asks(OLD)
    before = _measured(start, (), old)
    rows = [_row(work / f"added-{number}", start, cards[:number], (new, old), before) for number in count or COUNTS]
    if json is not None:
        json.write_text(jsons.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    Console().print(_table(rows))


def _row(
    folder: Path,
    start: Path,
    taught: Sequence[ToolCard],
    asks: tuple[Sequence[AskCase], Sequence[AskCase]],
    before: Selection,
) -> Row:
    from mmedagent.training.added_tools.cards import lesson_of
    from mmedagent.training.added_tools.fit import default_steps, teach
    from mmedagent.training.added_tools.gate import compare, reader_of

    seconds_file = folder / "seconds.txt"
    if not seconds_file.is_file():
        lessons = [lesson_of(card) for card in taught]
        started = time.perf_counter()
        teach(start, lessons, folder, default_steps(lessons), seed=0)
        seconds_file.write_text(f"{time.perf_counter() - started:.1f}\n", "utf-8")
    names = {card.name for card in taught}
    new = _measured(folder, taught, [ask for ask in asks[0] if set(ask.expect[0]) <= names])
    old = _measured(folder, taught, asks[1])
    return Row(
        tools=len(built_in_cards()) + len(taught),
        seconds=float(seconds_file.read_text("utf-8")),
        new=new.tools.value,
        new_low=new.tools.low,
        new_names=new.arguments.value,
        old=old.tools.value,
        old_before=before.tools.value,
        p50_ms=old.p50_ms,
        refused=compare(reader_of(start), reader_of(folder)).reasons,
    )


def _measured(folder: Path, added: Sequence[ToolCard], asks: Sequence[AskCase]) -> Selection:
    from mmedagent.cli.first_plans import FirstPlans
    from mmedagent.evaluation.tool_selection.scores import score
    from mmedagent.model_worker.compact.planner import CompactPlanner

    planner = CompactPlanner(checkpoint=folder)
    planner.load("cpu")
    asking = FirstPlans(planner, (*built_in_cards(), *added))
    return score(folder.name, [(ask, asking(ask)) for ask in asks])


def _table(rows: Sequence[Row]) -> Table:
    table = Table(
        "tools", "training", "new, right", "new, names too", "old, before", "old, after", "median", "promoted"
    )
    for row in rows:
        table.add_row(
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
