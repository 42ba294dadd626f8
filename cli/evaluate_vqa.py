"""`mmedagent evaluate vqa`: a running server on a public benchmark of questions about medical images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmedagent.cli.options import ApiKey

if TYPE_CHECKING:
    from mmedagent.evaluation.tool_selection.scores import Share
    from mmedagent.evaluation.vqa.scores import VqaScores

TIMEOUT_S = 180.0


def evaluate_vqa(
    benchmark: Annotated[str, typer.Argument(help="vqa-rad, slake, path-vqa, omnimedvqa, mmmu-medicine or pmc-vqa.")],
    folder: Annotated[Path, typer.Argument(help="The benchmark as it is published, unpacked.")],
    results: Annotated[Path, typer.Option(help="Answers, one JSON object a line; a run goes on where it stopped.")],
    url: Annotated[str, typer.Option(help="Base address of an OpenAI-compatible server.")] = "http://127.0.0.1:8000/v1",
    model: Annotated[str, typer.Option(help="The model's name there.")] = "mmedagent",
    panel: Annotated[bool, typer.Option("--panel", help="Ask the consultation tool of an mmedagent instead.")] = False,
    split: Annotated[str, typer.Option(help="Which part of the benchmark.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    callers: Annotated[int, typer.Option(min=1, max=64, help="Questions at once.")] = 4,
    api_key: ApiKey = None,
) -> None:
    """Ask every question, and print accuracy with intervals beside what the paper states."""
    from mmedagent.evaluation.vqa.answering import ChatAnswers, PanelAnswers, answered
    from mmedagent.evaluation.vqa.benchmarks import benchmark_of
    from mmedagent.evaluation.vqa.scores import Result, scores

    chosen = benchmark_of(benchmark)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    found: list[Result] = []
    failed = 0
    with (
        httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http,
        Progress(console=Console(stderr=True)) as progress,
    ):
        answer = PanelAnswers(http) if panel else ChatAnswers(http, model)
        task = progress.add_task(chosen.name, total=limit)
        for one in answered(chosen.cases(folder, split), answer, results, callers, limit):
            progress.advance(task)
            if one is None:
                failed += 1
            else:
                found.append(one)
    Console().print(_table(chosen.name, scores(found)))
    if failed:
        Console(stderr=True).print(f"The server failed on {failed} questions. Run the same command to ask them again.")
        raise typer.Exit(1)


def _table(name: str, found: VqaScores) -> Table:
    from mmedagent.evaluation.vqa.benchmarks import published

    table = Table("", "accuracy, 95 % interval", "questions", title=name)
    table.add_row("all", *_cells(found.overall))
    table.add_row("with options", *_cells(found.closed))
    table.add_row("open, same words", *_cells(found.open))
    for group, share in found.by_group.items():
        table.add_row(f"  {group}", *_cells(share))
    table.add_row("reply in its form", *_cells(found.in_form))
    table.add_row("no option could be read", *_cells(found.unread), end_section=True)
    for system, percent in published(name).items():
        table.add_row(f"{system} (as published)", f"{percent:.1f} %", "")
    return table


def _cells(share: Share) -> tuple[str, str]:
    if not share.count:
        return "", "0"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})", str(share.count)
