"""`mmedagent evaluate consultation`: the table and the curves of the runs of `mmedagent train consultation`."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmedagent.cli.options import FiguresFile
from mmedagent.protocol.errors import NotFoundError

if TYPE_CHECKING:
    from mmedagent.evaluation.consultation_curves import Update


def evaluate_consultation(
    runs: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `train consultation` filled.")],
    curves: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the training into this picture.")] = None,
    json: FiguresFile = None,
) -> None:
    """Print how right each method is, with intervals of 95 % over cases, and triage before and after its training."""
    from mmedagent.evaluation.consultation import as_markdown, read_judged, table_of
    from mmedagent.training.rl.pipeline import ANSWERS, FULL

    seeds = sorted(runs.glob("seed-*"))
    files = [seed / ANSWERS for seed in seeds if (seed / ANSWERS).is_file()]
    if not files:
        raise NotFoundError(f"There are no finished runs in {runs}. `mmedagent train consultation` makes them.")
    table = table_of(read_judged(files), FULL)
    if json is not None:
        json.write_text(table.model_dump_json(indent=1) + "\n", "utf-8")
    typer.echo(as_markdown(table))
    typer.echo("")
    typer.echo(_triage(files))
    if curves is not None:
        from mmedagent.evaluation.consultation_curves import draw_curves

        draw_curves(_histories([file.parent for file in files]), curves)


def _triage(files: list[Path]) -> str:
    """How often triage names the right specialty, for each seed, as a table in Markdown."""
    from mmedagent.training.rl.pipeline import TRIAGE_FILE, triage_accuracy
    from mmedagent.training.rl.world import read_world

    items = {item.id: item for split in read_world().values() for item in split}
    by_split = {split: [one for one in items.values() if one.split == split] for split in ("test", "outside")}
    lines = ["| triage | test, before | test, after | outside, before | outside, after |", "|---|---|---|---|---|"]
    for file in files:
        choices = jsons.loads((file.parent / TRIAGE_FILE).read_text("utf-8"))
        shares = [
            triage_accuracy(by_split[split], choices[when][split])
            for split in ("test", "outside")
            for when in ("before", "after")
        ]
        lines.append(f"| {file.parent.name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |")
    return "\n".join(lines)


def _histories(seeds: list[Path]) -> dict[str, list[list[Update]]]:
    """What each trained method logged, its stages in order, by seed."""
    from mmedagent.evaluation.consultation_curves import Update
    from mmedagent.training.rl.pipeline import FULL, NO_ENTROPY, PLAIN, histories

    return {
        method: [
            [Update(row["stage"], row["accuracy"], row["entropy"]) for row in histories(seed, method)] for seed in seeds
        ]
        for method in (PLAIN, NO_ENTROPY, FULL)
    }
