"""`mmedagent doctor`: is this installation fit to run, and if not, what to do."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from mmedagent.cli.options import DataDir, ProfileName
from mmedagent.cli.paths import PAGE
from mmedagent.cli.processes import LOOPBACK
from mmedagent.cli.profile import TOOLS, Profile, backend_class, load_profile
from mmedagent.cli.serve import require_free
from mmedagent.cli.workers import planner_of
from mmedagent.protocol.errors import MMedAgentError

LEAST_PYTHON = (3, 11)
LEAST_FREE_GIB = 2
LIBRARIES = ("torch", "transformers", "peft", "open_clip", "segment_anything", "pydicom")


class Finding(NamedTuple):
    what: str
    ok: bool
    detail: str


def doctor(profile: ProfileName = "embedded", data_dir: DataDir = Path("data"), port: int = 8000) -> None:
    """Check Python, libraries, the page, disk, port, and that every checkpoint of the profile loads."""
    console = Console()
    findings = []
    with console.status("Checking ...") as status:
        for finding in _findings(load_profile(profile), data_dir, port):
            findings.append(finding)
            status.update(f"Checked {finding.what} ...")
    table = Table("", "check", "detail")
    for finding in findings:
        table.add_row("[green]ok[/]" if finding.ok else "[red]no[/]", finding.what, finding.detail)
    console.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _findings(profile: Profile, data_dir: Path, port: int) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("Python", sys.version_info >= LEAST_PYTHON, f"{version}; 3.11 or newer is needed")
    for name in LIBRARIES:
        yield _attempt(f"library {name}", partial(_version, name))
    built = (PAGE / "index.html").is_file()
    yield Finding("web page", built, "built" if built else "not built: run make ui")
    free_gib = shutil.disk_usage(data_dir if data_dir.exists() else Path.cwd()).free / 2**30
    yield Finding("free disk", free_gib >= LEAST_FREE_GIB, f"{free_gib:.0f} GiB; {LEAST_FREE_GIB} are needed")
    yield _attempt(f"port {port}", partial(_free, port))
    yield _attempt(f"planner {profile.planner.backend}", partial(_loads, planner_of(profile)))
    for name, entry in profile.tools.items():
        tool = backend_class(TOOLS, entry.backend or name)(checkpoint=profile.checkpoint(entry))
        yield _attempt(f"tool {name}", partial(_loads, tool))


def _attempt(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except (MMedAgentError, ImportError, OSError) as error:
        return Finding(what, False, str(error))


def _version(name: str) -> str:
    return str(getattr(importlib.import_module(name), "__version__", "installed"))


def _loads(backend: Any) -> str:
    backend.load("cpu")
    return "loads"


def _free(port: int) -> str:
    require_free(LOOPBACK, port)
    return "free"
