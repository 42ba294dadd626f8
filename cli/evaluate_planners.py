"""`mmedagent evaluate planners`: one table of planners, each as it is and with something taken away."""

from __future__ import annotations

import json as jsons
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmedagent.cli.options import FiguresFile
from mmedagent.cli.profile import Profile, load_profile
from mmedagent.cli.workers import planner_of
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CheckpointError

if TYPE_CHECKING:
    from mmedagent.evaluation.tool_selection.asks import AskCase
    from mmedagent.evaluation.tool_selection.scores import Selection

AS_IT_IS, NO_IMAGE, NO_LORA, FREE = "as it is", "without image", "without LoRA", "without constraints"
CALLERS = 8
"""Asks at once, for planners that write many replies together."""

Change = Callable[[Path], None]
"""Takes something away from a planner's folder."""


def evaluate_planners(
    file: Annotated[Path, typer.Argument(help="Asks, one JSON object a line; see evaluation/tool_selection.")],
    profile: Annotated[
        list[str] | None, typer.Option(help="A profile whose planner is measured; may be repeated.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Only one in so many asks.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    json: FiguresFile = None,
) -> None:
    """Measure planners on the same asks, and again without image, LoRA and constraints where they have them."""
    import torch

    from mmedagent.evaluation.tool_selection.asks import read_asks

    torch.set_num_threads(threads)
    asks = read_asks(file)[::every]
    rows: dict[str, dict[str, Selection | None]] = {}
    with Progress(console=Console(stderr=True)) as progress:
        for name in profile or ("embedded", "llava-small"):
            rows[name] = _measured(load_profile(name), asks, progress)
    if json is not None:
        found = {
            name: {how: one.model_dump(mode="json") if one is not None else None for how, one in own.items()}
            for name, own in rows.items()
        }
        json.write_text(jsons.dumps(found, indent=1) + "\n", "utf-8")
    Console().print(_table(rows))


def _measured(profile: Profile, asks: list[AskCase], progress: Progress) -> dict[str, Selection | None]:
    """The figures of each way; None where the planner does not get through its self-test."""
    from mmedagent.cli.first_plans import FirstPlans
    from mmedagent.evaluation.tool_selection.scores import score

    found: dict[str, Selection | None] = {}
    for how, change in _changes(profile).items():
        with _changed(profile, change) as changed:
            planner = planner_of(changed)
            try:
                planner.load("cpu")
            except CheckpointError:
                found[how] = None
                continue
            asking = FirstPlans(planner, built_in_cards(), images=how != NO_IMAGE)
            task = progress.add_task(f"{planner.card.name}, {how}", total=len(asks))
            with ThreadPoolExecutor(CALLERS) as threads:
                planned = []
                for one in threads.map(asking, asks):
                    planned.append(one)
                    progress.advance(task)
            found[how] = score(planner.card.name, zip(asks, planned, strict=True))
    return found


def _changes(profile: Profile) -> dict[str, Change | None]:
    """What can be taken away from the planner of a profile."""
    from mmedagent.model_worker.llava.checkpoint import read_manifest

    changes: dict[str, Change | None] = {AS_IT_IS: None, NO_IMAGE: None}
    match profile.planner.backend:
        case "compact":
            changes[NO_LORA] = _without_factors
        case "llava":
            changes[FREE] = _without_grammar
            folder = profile.checkpoint(profile.planner)
            if folder is not None and read_manifest(folder).adapter is not None:
                changes[NO_LORA] = _without_adapter
    return changes


@contextmanager
def _changed(profile: Profile, change: Change | None) -> Iterator[Profile]:
    """The profile with a changed copy of its planner's folder."""
    folder = profile.checkpoint(profile.planner)
    if change is None or folder is None:
        yield profile
        return
    with TemporaryDirectory(prefix="mmedagent-planner-") as scratch:
        copy = Path(scratch) / folder.name
        shutil.copytree(folder, copy)
        change(copy)
        entry = profile.planner.model_copy(update={"checkpoint": copy})
        yield profile.model_copy(update={"planner": entry})


def _without_factors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    state = {key: value * 0 if key.startswith("lora.") else value for key, value in load_file(path).items()}
    save_file(state, path)


def _without_adapter(folder: Path) -> None:
    _rewrite(folder, adapter=None)


def _without_grammar(folder: Path) -> None:
    _rewrite(folder, constrained=False)


def _rewrite(folder: Path, **settings: Any) -> None:
    from mmedagent.model_worker.llava.checkpoint import MANIFEST

    path = folder / MANIFEST
    manifest = {**jsons.loads(path.read_text("utf-8")), **settings}
    path.write_text(jsons.dumps(manifest), "utf-8")


def _table(rows: dict[str, dict[str, Selection | None]]) -> Table:
    table = Table("planner", "", "right tools", "95 % interval", "exact names", "was a plan", "median")
    for name, own in rows.items():
        for how, one in own.items():
            if one is None:
                table.add_row(name, how, "fails its self-test")
                continue
            table.add_row(
                name,
                how,
                f"{one.tools.value:.1%}",
                f"{one.tools.low:.1%} to {one.tools.high:.1%}",
                f"{one.arguments.value:.1%}",
                f"{one.parsed.value:.1%}",
                f"{one.p50_ms:.0f} ms",
            )
    return table
