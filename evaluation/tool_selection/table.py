"""The result of tool selection on the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from mmedagent.evaluation.tool_selection.scores import Selection, Share

MOST_CONFUSIONS = 12


def as_tables(result: Selection) -> tuple[Table, Table]:
    """Accuracy by category with the other figures below it, and the most frequent confusions."""
    shares = Table("asks", box=box.SIMPLE_HEAD, title=f"Tool selection of {result.planner}")
    for name in ("right", "95 % interval", "n"):
        shares.add_column(name, justify="right")
    for name, value in result.by_category.items():
        shares.add_row(name, *_cells(value))
    shares.add_section()
    shares.add_row("all, right tools", *_cells(result.tools), style="bold")
    shares.add_row("right tools and exact names", *_cells(result.arguments))
    shares.add_row("output was a plan", *_cells(result.parsed))
    shares.add_row("median time", f"{result.p50_ms:.0f} ms", "", "")
    confusions = Table("right", "chosen", box=box.SIMPLE_HEAD, title="Confusions")
    confusions.add_column("times", justify="right")
    for one in result.confusions[:MOST_CONFUSIONS]:
        confusions.add_row(one.wanted, one.found, str(one.times))
    return shares, confusions


def _cells(value: Share) -> tuple[str, str, str]:
    return f"{100 * value.value:.1f} %", f"{100 * value.low:.1f} to {100 * value.high:.1f}", str(value.count)
