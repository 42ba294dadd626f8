"""`mmedagent bench plans`: how fast the planner of a profile makes its first plan, image included."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmedagent.cli.options import ProfileName
from mmedagent.cli.profile import load_profile
from mmedagent.cli.workers import planner_of
from mmedagent.protocol.cards import built_in_cards

PICTURES = ("CT", "MRI", "X-ray", "ultrasound", "fundus", "histology")


def plans(
    profile: ProfileName = "embedded",
    callers: Annotated[int, typer.Option(min=1, max=256, help="Callers at once.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Time of a plan for the examples of the seven cards, each with an image, alone and with many callers at once."""
    import torch

    from mmedagent.cli.first_plans import FirstPlans
    from mmedagent.evaluation.plan_bench import measure_plans
    from mmedagent.evaluation.tool_selection.asks import AskCase

    torch.set_num_threads(threads)
    console, load = Console(), os.getloadavg()[0]
    planner = planner_of(load_profile(profile))
    planner.load("cpu")
    cards = built_in_cards()
    texts = [example.ask for card in cards for example in card.examples]
    asks = [
        AskCase(id=f"{place}", text=text, image=PICTURES[place % len(PICTURES)], expect=((),), prompts=None)
        for place, text in enumerate(texts)
    ]
    asking = FirstPlans(planner, cards)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Planning", total=2 * len(asks))
        row = measure_plans([partial(asking, ask) for ask in asks], callers, lambda: progress.advance(task))
    table = Table("plans", "p50", "p95", f"plans a second, {callers} callers")
    table.add_row(str(row.plans), f"{row.p50_ms:.1f} ms", f"{row.p95_ms:.1f} ms", f"{row.plans_per_second:.0f}")
    console.print(table)
    console.print(f"load before and after: {load:.1f}, {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if json_file:
        around = {"planner": planner.card.name, "threads": threads, "load_before": load, "cores": os.cpu_count()}
        json_file.write_text(json.dumps({**around, **asdict(row)}, indent=2) + "\n", "utf-8")
