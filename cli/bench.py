"""`mmedagent bench`: measurements of the running system, as the documentation quotes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmedagent.cli import bench_planner, bench_plans, bench_tools
from mmedagent.cli.processes import LOOPBACK
from mmedagent.cli.profile import load_profile
from mmedagent.cli.serve import process_specs
from mmedagent.cli.supervisor import running_processes
from mmedagent.cli.system import wait_until_ready
from mmedagent.serving.run import bind

USERS = (1, 8, 32)

app = typer.Typer(help="Benchmarks of the running system.", no_args_is_help=True)
app.command()(bench_tools.tools)
app.command()(bench_planner.planner)
app.command()(bench_plans.plans)


@app.callback()
def bench() -> None:
    """Commands that measure."""


@app.command()
def turn(turns: Annotated[int, typer.Option(help="Turns of each user.")] = 20) -> None:
    """Overhead of one turn: scripted planner, instant tool, real processes and HTTP on loopback."""
    from mmedagent.evaluation.turn_bench import measure_load, measure_stream, write_profile

    console = Console()
    with TemporaryDirectory(prefix="mmedagent-bench-") as folder, Progress(console=Console(stderr=True)) as progress:
        profile = write_profile(Path(folder))
        starting = progress.add_task("Starting the system", total=None)
        with system_of_processes(str(profile), Path(folder) / "data") as url:
            progress.remove_task(starting)
            task = progress.add_task("Turns", total=sum(USERS) * turns)
            rows, requests = asyncio.run(measure_load(url, USERS, turns, lambda: progress.advance(task)))
            stream = asyncio.run(measure_stream(url))
    table = Table("users", "turns", "failed", "p50 ms", "p99 ms", "turns/s")
    for row in rows:
        table.add_row(
            str(row.users),
            str(row.turns),
            str(row.failed),
            f"{1000 * row.p50_s:.1f}",
            f"{1000 * row.p99_s:.1f}",
            f"{row.turns_per_s:.1f}",
        )
    console.print(table)
    console.print(f"worker requests a turn: {requests:.2f}; streamed bytes: {stream:.2f} x the useful text")


@contextmanager
def system_of_processes(profile: str, data_dir: Path) -> Iterator[str]:
    """The address of a system of processes of its own, on free ports, for as long as the context lasts."""
    listener: socket.socket = bind(LOOPBACK, 0)
    port = int(listener.getsockname()[1])
    listener.close()
    specs = process_specs(load_profile(profile), profile, LOOPBACK, port, data_dir, verbose=False)
    url = f"http://{LOOPBACK}:{port}"
    with running_processes(specs):
        wait_until_ready(url)
        yield url
