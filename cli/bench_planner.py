"""`mmedagent bench planner`: what the LLaVA planner saves by remembering prompts and by writing replies together."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmedagent.cli.options import Device

if TYPE_CHECKING:
    from mmedagent.evaluation.planner_bench import Read, ReadingRow, Reply, WritingRow
    from mmedagent.protocol.plan import Plan, PlannerRequest
    from mmedagent.serving.tool import PixelArray

REPLY_TOKENS = 96
CACHE_MB = 1_024


def planner(
    layers: Annotated[int, typer.Option(min=1, help="Layers of the language model.")] = 12,
    width: Annotated[int, typer.Option(min=64, help="Width of the language model, a multiple of 64.")] = 768,
    turns: Annotated[int, typer.Option(min=2, max=64, help="Turns at once.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each measurement.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    device: Device = "cpu",
) -> None:
    """Second turn against first, and turns at once against one by one, of a LLaVA planner with random weights."""
    import torch
    from transformers.utils.logging import disable_progress_bar

    from mmedagent.evaluation.planner_bench import measure_reading, measure_writing
    from mmedagent.evaluation.random_llava import write_random_llava

    torch.set_num_threads(threads)
    console, load = Console(), os.getloadavg()[0]
    disable_progress_bar()
    with TemporaryDirectory(prefix="mmedagent-bench-") as name, Progress(console=Console(stderr=True)) as progress:
        folder = Path(name)
        task = progress.add_task("Making the planner", total=rounds + 1 + 2 * rounds * turns)
        sizes = {"layers": layers, "width": width, "max_new_tokens": REPLY_TOKENS}
        parameters = write_random_llava(folder, **sizes, cache_mb=CACHE_MB)
        remembering, forgetful, reply = _loaded(folder, device)
        progress.update(task, description="Reading")
        reading = measure_reading(remembering, forgetful, rounds, lambda: progress.advance(task))
        progress.update(task, description="Writing")
        writing = measure_writing(reply, turns, rounds, lambda: progress.advance(task))
    _show(console, parameters, reading, writing)
    around = {"load_before": load, "load_after": os.getloadavg()[0], "cores": os.cpu_count(), "threads": threads}
    console.print(f"load before and after: {load:.1f}, {around['load_after']:.1f} on {os.cpu_count()} cores")
    if json_file:
        figures = {"parameters": parameters, "reading": asdict(reading), "writing": asdict(writing)}
        json_file.write_text(json.dumps({"device": device, **around, **figures}, indent=2))


def _loaded(folder: Path, device: str) -> tuple[Read, Read, Reply]:
    """The folder's model, with memory to read, without to read, and without to write."""
    from mmedagent.model_worker.llava.checkpoint import read_manifest
    from mmedagent.model_worker.llava.stream import PlanSplitter
    from mmedagent.model_worker.llava.weights import load_llava
    from mmedagent.model_worker.llava.writer import PlanWriter
    from mmedagent.protocol.plan import assemble

    manifest = read_manifest(folder)
    loaded = load_llava(folder, manifest, device)
    remembering = PlanWriter(loaded, manifest, "bench")
    forgetful = PlanWriter(loaded, manifest.model_copy(update={"cache_mb": 0, "max_batch": 64}), "bench")

    def reader(writer: PlanWriter) -> Read:
        return lambda request, image: writer.network.read(writer.encode(request, image)).cpu().numpy()

    def reply(request: PlannerRequest, image: PixelArray) -> Plan:
        return assemble(forgetful.write(request, image, PlanSplitter(), lambda: None))

    return reader(remembering), reader(forgetful), reply


def _show(console: Console, parameters: int, reading: ReadingRow, writing: WritingRow) -> None:
    title = f"{parameters / 1e6:.0f} million parameters"
    table = Table("measured", "before, s", "now, s", "ratio", "equal", title=title)
    table.add_row(
        "second turn against first",
        f"{reading.first_s:.2f}",
        f"{reading.second_s:.2f}",
        f"{reading.ratio:.2f} of it",
        str(reading.equal),
    )
    table.add_row(
        "second turn, nothing remembered",
        f"{reading.second_alone_s:.2f}",
        f"{reading.second_s:.2f}",
        f"{reading.second_s / reading.second_alone_s:.2f} of it",
        str(reading.equal),
    )
    table.add_row(
        f"{writing.turns} turns at once",
        f"{writing.one_by_one_s:.2f}",
        f"{writing.together_s:.2f}",
        f"{writing.gain:.2f} times faster",
        str(writing.equal),
    )
    console.print(table)
