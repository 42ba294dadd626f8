"""`make bench-page`: how fast the page is, in the browser of the tests, each figure beside its target.

PYTHONPATH=tests python -m webui.bench_page [--json FILE]
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from webui.page_figures import Figure, measure
from webui.tab import launch


def main(
    file: Annotated[Path | None, typer.Option("--json", help="Write the figures there as well.")] = None,
) -> None:
    """Measure the page."""
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    with sync_playwright() as playwright, Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Starting", total=None)
        browser = launch(playwright)
        for figure in measure(browser):
            figures.append(figure)
            progress.update(task, description=figure.name)
        chromium = browser.version
        browser.close()
    around = {"load_before": load, "load_after": os.getloadavg()[0], "cores": os.cpu_count(), "chromium": chromium}
    show(figures, around)
    if file is not None:
        rows = [{**dataclasses.asdict(one), "met": one.met} for one in figures]
        file.write_text(json.dumps({**around, "figures": rows}, indent=1), "utf-8")


def show(figures: list[Figure], around: Mapping[str, object]) -> None:
    table = Table("figure", title=f"The page in Chromium {around['chromium']}")
    for name in ("measured", "target", "met"):
        table.add_column(name, justify="right")
    for one in figures:
        target = "" if one.target is None else f"{'≥' if one.target.at_least else '≤'} {one.target.bound:g} {one.unit}"
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[one.met]
        table.add_row(one.name, f"{one.value:.1f} {one.unit}", target, met)
    console = Console()
    console.print(table)
    console.print(
        f"load before and after: {around['load_before']:.1f}, {around['load_after']:.1f} on {around['cores']} cores"
    )


if __name__ == "__main__":
    typer.run(main)
