"""`mmedagent serve`: the whole system on one machine."""

from __future__ import annotations

import asyncio
import os
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.status import Status

from mmedagent.cli.options import TOKEN_VARIABLE, DataDir, Host, ProfileName, worker_token
from mmedagent.cli.paths import PAGE
from mmedagent.cli.processes import LOOPBACK, PARENT_VARIABLE, controller_settings, listen
from mmedagent.cli.profile import Profile, load_profile, require_installed
from mmedagent.cli.supervisor import ProcessSpec, Supervisor
from mmedagent.protocol.errors import ConflictError
from mmedagent.serving.logs import configure_logging

POLL_S = 0.25
READY_TIMEOUT_S = 300.0

console = Console(stderr=True)


def serve(
    host: Host = LOOPBACK,
    port: Annotated[int, typer.Option(help="Port of the page and the API.")] = 8000,
    profile: ProfileName = "embedded",
    data_dir: DataDir = Path("data"),
    engine: Annotated[str, typer.Option(help="How processes are run; local: three processes here.")] = "local",
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log lines of every process.")] = False,
) -> None:
    """Start everything: page, API, planner and tools. Dead processes are started again."""
    if engine != "local":
        raise ConflictError(f"There is no engine {engine} yet; there is: local.")
    loaded = load_profile(profile)
    require_installed(loaded)
    require_free(host, port)
    controller_settings(loaded, host, port, data_dir)
    configure_logging("INFO" if verbose else "WARNING")
    url = address_of(host, port)
    specs = process_specs(loaded, profile, host, port, data_dir, verbose)
    asyncio.run(_run(Supervisor(specs), url, len(loaded.tools)))


def require_free(host: str, port: int) -> None:
    """Raises `ConflictError` when the port is taken."""
    listen(host, port).close()


def address_of(host: str, port: int) -> str:
    """Where processes of this machine reach the controller that listens on `host`."""
    if host in (str(IPv4Address(0)), str(IPv6Address(0))):
        host = LOOPBACK
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def process_specs(
    profile: Profile, profile_name: str, host: str, port: int, data_dir: Path, verbose: bool = True
) -> list[ProcessSpec]:
    """The three processes of the `local` engine."""
    environment = {
        TOKEN_VARIABLE: worker_token(data_dir, create=True),
        PARENT_VARIABLE: str(os.getpid()),
        "MMEDAGENT_LOG_LEVEL": "INFO" if verbose else "WARNING",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2))),
        "HF_HUB_OFFLINE": "1",
    }
    shared = ["--profile", profile_name, "--data-dir", str(data_dir)]
    worker = [*shared, "--controller", address_of(host, port), "--host", LOOPBACK, "--port", "0"]
    specs = [
        ProcessSpec("controller", ["controller", "--host", host, "--port", str(port), *shared], environment),
        ProcessSpec("planner", ["planner", *worker], environment),
    ]
    if profile.tools:
        specs.append(ProcessSpec("tools", ["tool", *profile.tools, *worker], environment))
    return specs


async def _run(supervisor: Supervisor, url: str, tools: int) -> None:
    supervisor.stop_on_signals()
    announcing = asyncio.create_task(_announce(url, tools))
    await supervisor.run()
    announcing.cancel()


async def _announce(url: str, tools: int) -> None:
    """Show how far the start is, and the address when everything is there."""
    started = time.monotonic()
    with console.status("Starting ...") as status:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
            while not await _is_ready(http, url, status):
                if time.monotonic() - started > READY_TIMEOUT_S:
                    console.print("[yellow]Still not ready; run with --verbose to see why.[/]")
                    return
                await asyncio.sleep(POLL_S)
    page = "page and API" if (PAGE / "index.html").is_file() else "API (the page is not built: make ui)"
    console.print(f"[bold green]Ready[/] after {time.monotonic() - started:.1f} s: planner and {tools} tools.")
    console.print(f"{page} at [bold]{url}[/], API description at {url}/docs", highlight=False, soft_wrap=True)
    console.print("For research use only; not a medical device. Stop with Ctrl+C.", style="dim")


async def _is_ready(http: httpx.AsyncClient, url: str, status: Status) -> bool:
    try:
        answer = await http.get(f"{url}/readyz")
    except httpx.HTTPError:
        return False
    if answer.is_success:
        return True
    status.update(f"Starting ... {answer.json().get('detail', '')}")
    return False
