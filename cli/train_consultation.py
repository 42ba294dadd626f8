"""`mmedagent train triage`, `attending`, `consultation` and `panel`: training of the consultation panel."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmedagent.cli.paths import MODELS
from mmedagent.protocol.errors import ConflictError, InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from mmedagent.training.rl.grpo import GRPOSettings

Cases = Annotated[Path, typer.Argument(metavar="CASES", help="JSON lines: docs/consultation-training.md.")]
Images = Annotated[Path, typer.Option("--images", metavar="DIR", help="Folder that the images of the cases lie in.")]
Base = Annotated[Path, typer.Option("--base", metavar="DIR", help="Vision-language model with its processor.")]
Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="New folder for the adapter.")]
Start = Annotated[Path | None, typer.Option("--start", metavar="DIR", help="Adapter to go on from.")]
Rate = Annotated[float, typer.Option(min=0, help="Learning rate.")]
Batch = Annotated[int, typer.Option(min=1, help="Rollouts of an update.")]
Generations = Annotated[int, typer.Option(min=2, help="Rollouts of a prompt.")]
Rank = Annotated[int, typer.Option(min=1, help="Rank of the LoRA adapter.")]
Tokens = Annotated[int, typer.Option(min=1, help="Most tokens of a reply.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the order, the adapter and the rollouts.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch.")]


def triage(
    cases: Cases,
    images: Images,
    base: Base,
    output: Output,
    steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 100,
    start: Start = None,
    rate: Rate = 1e-5,
    batch: Batch = 128,
    generations: Generations = 8,
    rank: Rank = 32,
    tokens: Tokens = 512,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Train the triage doctor by GRPO to name the specialty of each case."""
    from mmedagent.training.rl.budgets import MIDDLE_BETA
    from mmedagent.training.rl.cases import read_cases, triage_rollouts
    from mmedagent.training.rl.grpo import Step, train_adapter

    _ready(output, threads)
    rows = triage_rollouts(read_cases(cases), images)
    if not rows:
        raise InvalidRequestError(f"No case of {cases.name} names a specialty.")
    settings = _settings(batch, generations, rate, rank, tokens)
    train_adapter(base, start, rows, settings, Step("triage", steps, MIDDLE_BETA, 0.0), seed, output)
    typer.echo(f"{output}: adapter of {base}, {steps} updates on {len(rows):,} cases.")


def attending(
    cases: Cases,
    images: Images,
    base: Base,
    output: Output,
    easy: Annotated[int, typer.Option(min=1, help="Updates of the first stage.")] = 50,
    medium: Annotated[int, typer.Option(min=1, help="Updates of the second stage.")] = 100,
    hard: Annotated[int, typer.Option(min=1, help="Updates of the third stage.")] = 100,
    own_level: Annotated[
        bool, typer.Option("--own-level", help="Train each stage on its own level only, as the paper does.")
    ] = False,
    verl: Annotated[bool, typer.Option("--verl", help="Train nothing; write a recipe for verl instead.")] = False,
    start: Start = None,
    rate: Rate = 1e-5,
    batch: Batch = 128,
    generations: Generations = 8,
    rank: Rank = 32,
    tokens: Tokens = 512,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Train the attending physician by GRPO in three stages: easy, medium and hard cases by their opinions."""
    from mmedagent.training.rl.cases import attending_rollouts, read_cases
    from mmedagent.training.rl.curriculum import rows_of, stages
    from mmedagent.training.rl.grpo import train_adapter
    from mmedagent.training.rl.verl_recipe import write_recipe

    _ready(output, threads)
    by_level = attending_rollouts(read_cases(cases), images)
    settings = _settings(batch, generations, rate, rank, tokens)
    schedule = stages({"easy": easy, "medium": medium, "hard": hard})
    if not any(by_level.values()):
        raise InvalidRequestError(f"No case of {cases.name} has opinions.")
    if verl:
        write_recipe(output, str(base), by_level, schedule, settings, cumulative=not own_level)
        typer.echo(f"{output}: a recipe for verl, {sum(map(len, by_level.values())):,} cases.")
        return
    for stage in schedule:
        rows = rows_of(stage, by_level, cumulative=not own_level)
        if not rows:
            typer.echo(f"{stage.name}: no cases, left out.")
            continue
        train_adapter(base, start, rows, settings, stage, seed, output / stage.name)
        start = output / stage.name
        typer.echo(f"{start}: {stage.steps} updates on {len(rows):,} cases.")


def consultation(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder of the runs.")] = Path(
        "build/consultation"
    ),
    seed: Annotated[list[int] | None, typer.Option(min=0, help="A seed to run; may be repeated. 0 if none.")] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also train each stage on its own level only.")
    ] = False,
    threads: Threads = 2,
) -> None:
    """Run all of the consultation's training in the synthetic world. What is there already is not made again."""
    from mmedagent.training.rl.budgets import Budget
    from mmedagent.training.rl.pipeline import SeedRun
    from mmedagent.training.rl.warm_start import World

    _quiet(threads)
    world = World(output, MODELS / "planner", Budget())
    for one in seed or [0]:
        SeedRun(world, one).run(ablations)
    typer.echo(f"{output}: mmedagent evaluate consultation {output} makes the table.")


def panel(
    runs: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `train consultation` filled.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder of the panel.")] = MODELS
    / "consultation",
    seed: Annotated[int, typer.Option(min=0, help="Whose triage and attending physician are taken.")] = 0,
    threads: Threads = 2,
) -> None:
    """Make the folder of the demonstration panel from a finished run, and train its specialists."""
    from mmedagent.training.rl.budgets import Budget
    from mmedagent.training.rl.embedded import make_panel, missing
    from mmedagent.training.rl.warm_start import World

    if lacking := missing(runs, seed):
        raise NotFoundError(f"{runs} lacks {', '.join(lacking)}. `mmedagent train consultation` makes them.")
    _quiet(threads)
    planner = MODELS / "planner"
    typer.echo("| specialist | questions of its field | base, % right | specialist, % right |\n|---|---|---|---|")
    for one in make_panel(World(runs, planner, Budget()), seed, planner, output):
        typer.echo(f"| {one.specialty} | {one.questions} | {100 * one.base:.0f} | {100 * one.specialist:.0f} |")


def _ready(output: Path, threads: int) -> None:
    if output.exists():
        raise ConflictError(f"{output} is there already. Give another folder, or delete it.")
    _quiet(threads)


def _quiet(threads: int) -> None:
    import torch
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(threads)
    disable_progress_bar()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def _settings(batch: int, generations: int, rate: float, rank: int, tokens: int) -> GRPOSettings:
    from mmedagent.training.rl.grpo import GRPOSettings

    if batch % generations:
        raise InvalidRequestError("The rollouts of an update are a multiple of those of a prompt.")
    return GRPOSettings(generations=generations, batch=batch, rate=rate, rank=rank, tokens=tokens)
