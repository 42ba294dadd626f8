"""The figures as a table: on the terminal, and as the Markdown of the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from mmedagent.evaluation.tool_quality.figures import Figure, QualityTable, ToolFigures

_COLUMNS = ("figure", "value", "target", "met", "n")


def as_rich(table: QualityTable, parts: bool = False) -> Table:
    """The main figures, in the order in which they were measured; with `parts`, also what they are made of."""
    ablations = _ablations(table)
    quick = ", a quick look" if table.quick else ""
    shown = Table(box=box.SIMPLE_HEAD, title=f"Tools of the profile {table.profile}{quick}, {table.seconds:.0f} s")
    shown.add_column(_COLUMNS[0], ratio=1)
    for name in (*_COLUMNS[1:], *ablations):
        shown.add_column(name, justify="right")
    for tool in table.tools:
        shown.add_row(Text(f"{tool.tool}: {tool.missing}" if tool.missing else tool.tool, style="bold"))
        for figure in tool.figures:
            if parts or not figure.part_of:
                shown.add_row(*_cells(figure, ablations), style="dim" if figure.part_of else "")
    return shown


def as_markdown(table: QualityTable) -> str:
    """The main figures as a Markdown table; a missed target is said in bold."""
    ablations = _ablations(table)
    lines = [f"| {' | '.join(('tool', *_COLUMNS, *ablations))} |", f"|{'---|' * (len(_COLUMNS) + len(ablations) + 1)}"]
    rows = ((tool.tool, *cells) for tool in table.tools for cells in _markdown_rows(tool, ablations))
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def number(value: float | None, figure: Figure) -> str:
    """A value in the figure's unit."""
    if value is None:
        return "not measured"
    if figure.unit == "share":
        return f"{100 * value:.1f} %"
    if figure.unit in ("ms", "times"):
        return f"{value:.1f} {'ms' if figure.unit == 'ms' else 'x'}"
    return f"{value:.0f}" if figure.unit == "count" else f"{value:.3f}"


def _ablations(table: QualityTable) -> tuple[str, ...]:
    """What was taken away in any figure of the table."""
    return tuple(dict.fromkeys(name for tool in table.tools for one in tool.figures for name in one.ablations))


def _markdown_rows(tool: ToolFigures, ablations: Sequence[str]) -> Iterator[Sequence[str]]:
    if tool.missing:
        yield (tool.missing, *("",) * (len(_COLUMNS) - 1 + len(ablations)))
    for figure in tool.figures:
        if not figure.part_of:
            yield [f"**{cell}**" if cell == "no" else cell for cell in _cells(figure, ablations)]


def _cells(figure: Figure, ablations: Sequence[str]) -> list[str]:
    target, met = "", ""
    if figure.target is not None:
        target = f"{'≥' if figure.target.at_least else '≤'} {number(figure.target.bound, figure)}"
        met = "yes" if figure.met else "no"
    note = f" ({figure.note})" if figure.note else ""
    name = f"  {figure.name}{note}" if figure.part_of else f"{figure.name}{note}"
    without = [number(figure.ablations[one], figure) if one in figure.ablations else "" for one in ablations]
    return [name, number(figure.value, figure), target, met, str(figure.count), *without]
