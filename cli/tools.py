"""`mmedagent tools`: what is installed."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer
from rich.console import Console
from rich.table import Table

from mmedagent.cli.options import ProfileName
from mmedagent.cli.profile import TOOLS, backend_class, load_profile

app = typer.Typer(help="The tools that are installed here.", no_args_is_help=True)


@app.callback()
def tools() -> None:
    """Commands about tools."""


@app.command("list")
def list_tools(profile: ProfileName = "embedded") -> None:
    """List every installed tool, and whether the profile runs it."""
    entries = load_profile(profile).tools
    table = Table("tool", "title", "version", "needs image", f"in profile {profile}", "package")
    for point in sorted(entry_points(group=TOOLS), key=lambda one: one.name):
        card = backend_class(TOOLS, point.name)(checkpoint=None).card
        package = point.dist.name if point.dist else "?"
        table.add_row(
            card.name, card.title, card.version, _word(card.needs_image), _word(point.name in entries), package
        )
    Console().print(table)


def _word(yes: bool) -> str:
    return "yes" if yes else "no"
