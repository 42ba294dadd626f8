"""`mmedagent bench tools`: what the service costs beside the tools of a profile."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmedagent.cli.options import Device, ProfileName, worker_token
from mmedagent.cli.processes import LOOPBACK
from mmedagent.cli.profile import Profile, load_profile
from mmedagent.cli.serve import process_specs
from mmedagent.cli.supervisor import ProcessSpec, running_processes
from mmedagent.cli.workers import hosted_tool
from mmedagent.protocol.errors import UnavailableError
from mmedagent.serving.run import bind
from mmedagent.serving.work import QUEUE_FACTOR

if TYPE_CHECKING:
    from mmedagent.evaluation.tool_bench import Served, ToolRow
    from mmedagent.serving.tool import PixelArray

READY_S = 300.0
POLL_S = 0.2
OTHERWISE_MEASURED = frozenset({"consultation"})
"""Only measured by name: who sits on a panel, and what it can be asked, is the profile's and not the card's."""

PHANTOMS = 4
"""Pictures of each modality."""


def tools(
    profile: ProfileName = "embedded",
    only: Annotated[
        list[str] | None, typer.Option(help="A tool to measure; may be repeated. All but consultation by default.")
    ] = None,
    calls: Annotated[int, typer.Option(min=2, help="Calls of a caller who is alone.")] = 30,
    size: Annotated[int, typer.Option(min=32, help="Side of the pictures in pixels.")] = 512,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    device: Device = "cpu",
) -> None:
    """Service against direct calls of every tool: overhead of one caller, throughput of sixteen."""
    loaded = load_profile(profile)
    console, load = Console(), os.getloadavg()[0]
    with TemporaryDirectory(prefix="mmedagent-bench-") as folder, Progress(console=Console(stderr=True)) as progress:
        names = only or [name for name in loaded.tools if name not in OTHERWISE_MEASURED]
        rows = _measure(loaded, profile, names, calls, size, device, Path(folder), progress)
    _show(console, rows)
    console.print(f"load before and after: {load:.1f}, {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if json_file:
        figures = {row.tool: {**asdict(row), "ratio": row.ratio, "good": row.good} for row in rows}
        around = {"load_before": load, "load_after": os.getloadavg()[0], "cores": os.cpu_count(), "size": size}
        json_file.write_text(json.dumps({"profile": profile, "device": device, **around, "tools": figures}, indent=2))


def _measure(
    profile: Profile,
    name: str,
    names: Sequence[str],
    calls: int,
    size: int,
    device: str,
    folder: Path,
    progress: Progress,
) -> list[ToolRow]:
    """The figures of the named tools. The direct calls get as many threads as the service."""
    controller, *_ = specs = process_specs(profile, name, LOOPBACK, _free_port(), folder, verbose=False)
    os.environ["OMP_NUM_THREADS"] = controller.environment["OMP_NUM_THREADS"]
    from mmedagent.evaluation.tool_bench import Calls, Direct, measure_tool, steps
    from mmedagent.serving.blobs import FolderBlobStore
    from mmedagent.serving.clients import WorkerClient, new_http_client

    task = progress.add_task("Loading the tools", total=len(names) * steps(calls))
    with _service(controller, specs[-1], device, tuple(profile.tools)) as url:
        served = _loaded(profile, url, device)
        blobs, images = FolderBlobStore(folder / "blobs"), _images(size)
        direct = Direct({name: one.tool for name, one in served.items()}, blobs)

        async def measured() -> list[ToolRow]:
            rows = []
            async with new_http_client() as http:
                client = WorkerClient(http, worker_token(folder, create=False))
                for one in names:
                    progress.update(task, description=one)
                    made = Calls(served[one].tool.card, images, blobs)
                    rows.append(
                        await measure_tool(served[one], made, direct, client, calls, lambda: progress.advance(task))
                    )
            return rows

        return asyncio.run(measured())


@contextmanager
def _service(controller: ProcessSpec, tools: ProcessSpec, device: str, names: Sequence[str]) -> Iterator[str]:
    """The address of a worker with all tools of the profile, beside a controller through which they call each other."""
    port = _free_port()
    arguments = [*tools.arguments, "--device", device, "--port", str(port)]
    with running_processes([controller, ProcessSpec(tools.name, arguments, tools.environment)]):
        place = controller.arguments[controller.arguments.index("--port") + 1]
        _wait_for(f"http://{LOOPBACK}:{place}", set(names))
        yield f"http://{LOOPBACK}:{port}"


def _wait_for(controller: str, names: set[str]) -> None:
    """Return when all these tools are registered. Raises `UnavailableError` naming those that do not come."""
    ends, found = time.monotonic() + READY_S, set[str]()
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(transport=transport, trust_env=False) as http:
        while not names <= found:
            if time.monotonic() > ends:
                raise UnavailableError(f"These tools did not start: {', '.join(sorted(names - found))}.")
            time.sleep(POLL_S)
            found = {card["name"] for card in http.get(f"{controller}/v1/tools").json()["data"]}


def _loaded(profile: Profile, url: str, device: str) -> dict[str, Served]:
    """Every tool of the profile, loaded in this process as the worker loads it, with the address of its service."""
    from mmedagent.evaluation.tool_bench import Served

    served = {}
    for name, entry in profile.tools.items():
        hosted = hosted_tool(profile, name)
        hosted.load(device)
        capacity = entry.concurrency * hosted.chosen_batching().max_size * (1 + QUEUE_FACTOR)
        served[name] = Served(hosted.tool, f"{url}/{name}", capacity)
    return served


def _images(size: int) -> Mapping[str, Sequence[PixelArray]]:
    """Phantoms by modality."""
    import numpy as np

    from mmedagent.training.phantoms import KINDS, generate

    rng = np.random.default_rng(0)
    drawn = [generate(kind, rng, size) for kind in KINDS for _ in range(PHANTOMS)]
    return {one.modality: [other.image for other in drawn if other.modality == one.modality] for one in drawn}


def _free_port() -> int:
    with bind(LOOPBACK, 0) as listener:
        return int(listener.getsockname()[1])


def _show(console: Console, rows: Sequence[ToolRow]) -> None:
    alone = Table(
        "tool", "direct p50", "p95", "served p50", "p95", "overhead", "allowed", "again", title="One caller, ms"
    )
    together = Table("tool", "callers", "direct /s", "served /s", "ratio", "", title="Many callers")
    for row in rows:
        direct, served = (row.direct_p50_s, row.direct_p95_s), (row.served_p50_s, row.served_p95_s)
        times = (f"{1000 * one:.1f}" for one in (*direct, *served, row.overhead_s, row.allowed_s))
        alone.add_row(row.tool, *times, "-" if row.again_p50_s is None else f"{1000 * row.again_p50_s:.1f}")
        rates = (f"{one:.1f}" for one in (row.direct_per_s, row.served_per_s))
        good = "[green]ok[/]" if row.good else "[red]no[/]"
        together.add_row(row.tool, str(row.callers), *rates, f"{row.ratio:.2f}", good)
    console.print(alone, together)
