"""`mmedagent train`: LoRA fine-tuning of the LLaVA planner, merging what was trained, asks, tools, and the panel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mmedagent.cli.train_asks import asks
from mmedagent.cli.train_consultation import attending, consultation, panel, triage
from mmedagent.cli.train_tools import add_tool
from mmedagent.protocol.errors import NotFoundError

if TYPE_CHECKING:
    from mmedagent.training.sft.data import Samples
    from mmedagent.training.sft.settings import TrainingSettings

INTERRUPTED = 130

err = Console(stderr=True)
app = typer.Typer(help="Train a planner of your own.", no_args_is_help=True)
app.command()(asks)
app.command()(add_tool)
app.command()(triage)
app.command()(attending)
app.command()(consultation)
app.command()(panel)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file of the run: docs/training.md.")]
Output = Annotated[Path | None, typer.Option("--output", metavar="DIR", help="Folder of the run, before the file's.")]


@app.callback()
def train() -> None:
    """Commands that train."""


@app.command()
def planner(
    config: Config,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    output: Output = None,
) -> None:
    """Fine-tune a LLaVA planner with LoRA on dialogues, as one TOML file says, and make a planner's folder of it."""
    from mmedagent.model_worker.llava.weights import load_base, load_processor  # torch takes seconds
    from mmedagent.training.sft.data import read_samples
    from mmedagent.training.sft.run import number_format, train
    from mmedagent.training.sft.settings import load_settings
    from mmedagent.training.sft.workspace import Workspace

    _without_bars_of_transformers()
    settings = load_settings(config, output)
    workspace = Workspace(settings.output)
    if resume:
        workspace.resume(settings)
    elif _is_first_process():
        workspace.require_empty()
    processor = load_processor(settings.base)
    samples = read_samples(settings, processor)
    _tell(samples)
    try:
        with _bar() as bar:
            model = load_base(settings.base, number_format(settings))
            outcome = train(settings, model, processor, samples, bar, resume=resume)
    except KeyboardInterrupt:
        err.print("Interrupted. What is in the last checkpoint stays; go on with --resume.")
        raise typer.Exit(INTERRUPTED) from None
    if _is_first_process():
        loss = "" if outcome.loss is None else f", loss {outcome.loss:.4f}"
        typer.echo(f"{workspace.adapter}: {outcome.steps:,} updates{loss}.")
        if settings.planner.merge:
            _merge(settings, workspace.adapter, workspace.planner)


@app.command()
def merge(
    config: Config,
    output: Output = None,
    adapter: Annotated[
        Path | None,
        typer.Option("--adapter", metavar="FOLDER", help="Adapter, or checkpoint; that of the end if none."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--target", metavar="FOLDER", help="New folder; `planner` in the run's if none.")
    ] = None,
) -> None:
    """Merge a trained adapter into its base, and make a planner's folder of it."""
    from mmedagent.training.sft.settings import load_settings
    from mmedagent.training.sft.workspace import Workspace

    _without_bars_of_transformers()
    settings = load_settings(config, output)
    workspace = Workspace(settings.output)
    found = adapter or workspace.adapter
    if not found.is_dir():
        raise NotFoundError(f"There is no adapter in {found}. Train one first, or name a checkpoint with --adapter.")
    _merge(settings, found, target or workspace.planner)


def _merge(settings: TrainingSettings, adapter: Path, target: Path) -> None:
    import torch

    from mmedagent.model_worker.llava.architecture import describe_llava
    from mmedagent.model_worker.llava.weights import attach_adapter, load_base
    from mmedagent.training.sft.planner_folder import write_planner

    adapted = attach_adapter(load_base(settings.base, torch.float32), adapter)
    write_planner(adapted, settings.base, target, settings.planner)
    tensors = describe_llava(target).fit()
    typer.echo(f"{target}: {tensors:,} tensors. A profile names it as the checkpoint of its planner: docs/profiles.md.")


def _tell(samples: Samples) -> None:
    if not _is_first_process():
        return
    images = sum(sample.image is not None for sample in samples.found)
    err.print(f"{len(samples):,} dialogues, {images:,} with an image.", highlight=False)
    for reason, count in samples.left_out.most_common():
        err.print(f"Left out, {count:,}: {reason}.", highlight=False, markup=False)
    for name, count in samples.ignored.most_common():
        err.print(f"Not read, in {count:,} rows: the field {name}.", highlight=False, markup=False)


def _without_bars_of_transformers() -> None:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


class _Bar:
    """A bar of the updates with the last loss; where there is no terminal, a line for every loss."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("Loading the model", total=None)
        self._done = 0

    def begin(self, steps: int, done: int) -> None:
        self._progress.update(self._task, description="Training", total=steps, completed=done)

    def step(self, done: int) -> None:
        self._done = done
        self._progress.update(self._task, completed=done)

    def loss(self, loss: float) -> None:
        self._progress.update(self._task, description=f"Training, loss {loss:.4f}")
        if self._progress.disable:
            err.print(f"update {self._done}: loss {loss:.4f}", highlight=False)


@contextmanager
def _bar() -> Iterator[_Bar]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield _Bar(progress)
