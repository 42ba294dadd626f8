"""`mmedagent train add-tool`: teach the compact planner new tools, and promote it only if it forgets nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmedagent.cli.cards import read_card
from mmedagent.cli.paths import MODELS
from mmedagent.protocol.errors import ConflictError

if TYPE_CHECKING:
    from mmedagent.training.added_tools.cards import Lesson, Taught
    from mmedagent.training.added_tools.gate import Learnt, Lost, Verdict

HELD_OUT_EVERY = 5
"""One in so many examples of a card is kept from the first of the two planners that are made."""

LEAST_LEARNT = 0.8
"""The share of the held-out examples that must get a call of their tool."""

MOST_SHOWN = 20
"""How many of the lost asks are shown."""


def add_tool(
    card: Annotated[list[Path], typer.Argument(help="JSON files with the cards of the new tools.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="New folder for the planner.")],
    start: Annotated[Path, typer.Option("--start", metavar="DIR", help="The planner to go on from.")] = MODELS
    / "planner",
    steps: Annotated[int, typer.Option(min=1, help="Updates of the new outcomes.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the order and the wording of the examples.")] = 0,
    old_asks: Annotated[int, typer.Option(min=8, help="How many asks of the old tools it is reminded of.")] = 10_000,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 2,
) -> None:
    """Teach the compact planner new tools.

    It is refused if it does not learn them without a fifth of their examples, which it is asked for then, and if it
    loses a point of the old tools, or three asks of one.
    """
    import torch

    from mmedagent.training.added_tools.cards import lesson_of
    from mmedagent.training.added_tools.fit import Teacher
    from mmedagent.training.added_tools.gate import OldAsks, learnt, reader_of

    if output.exists():
        raise ConflictError(f"{output} is there already. Give another folder, or delete it.")
    torch.set_num_threads(threads)
    lessons = [lesson_of(read_card(path)) for path in card]
    without, held_out = zip(*(split(lesson) for lesson in lessons), strict=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        trial, candidate = Path(scratch) / "trial", Path(scratch) / "candidate"
        teacher = Teacher(start, seed, old_asks)
        teacher.teach(without, trial, steps)
        reader = reader_of(trial)
        new = [learnt(reader, *pair) for pair in zip(lessons, held_out, strict=True)]
        Console().print(_new_table(new))
        _refuse_for(
            f"{one.tool}: only {one.called} of {one.asks} held-out examples get a call of it"
            for one in new
            if one.called < LEAST_LEARNT * one.asks
        )
        teacher.teach(lessons, candidate, steps)
        verdict = OldAsks(reader_of(start)).verdict(reader_of(candidate))
        Console().print(_old_table(verdict))
        if verdict.lost:
            Console().print(_lost_table(verdict.lost))
        _refuse_for(verdict.reasons)
        candidate.replace(output)
    typer.echo(f"{output}: a profile names it as the checkpoint of its planner, docs/profiles.md.")


def split(lesson: Lesson) -> tuple[Lesson, tuple[Taught, ...]]:
    """The lesson without some of its examples, and those."""
    from dataclasses import replace

    held_out = lesson.taught[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    return replace(lesson, taught=tuple(one for one in lesson.taught if one not in held_out)), held_out


def _refuse_for(reasons: Iterable[str]) -> None:
    if said := "; ".join(reasons):
        raise ConflictError(f"The planner was not promoted. {said}. Give more or clearer examples.")


def _new_table(new: Sequence[Learnt]) -> Table:
    table = Table("held-out examples", "asks", "call the tool", "exactly as meant")
    for one in new:
        table.add_row(one.tool, str(one.asks), str(one.called), str(one.exact))
    return table


def _lost_table(lost: Sequence[Lost]) -> Table:
    table = Table("lost asks", "are for", "taken for")
    for one in lost[:MOST_SHOWN]:
        table.add_row(Text(one.words), one.meant, one.taken)
    if len(lost) > MOST_SHOWN:
        table.add_row(f"and {len(lost) - MOST_SHOWN} more")
    return table


def _old_table(verdict: Verdict) -> Table:
    table = Table("held-out asks", "asks", "right before", "right now")
    for name, row in [*verdict.kept.items(), ("all of these", verdict.pooled)]:
        table.add_row(name, str(row.asks), str(row.before), str(row.after))
    return table
