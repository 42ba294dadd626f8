"""`mmedagent models convert`: original LLaVA, LLaVA-Med and MMedAgent folders, for the LLaVA planner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmedagent.cli.progress import byte_progress

Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="Folder of the original model: config.json, weights and tokenizer.")
]
Target = Annotated[Path, typer.Argument(metavar="TARGET", help="New folder for the planner.")]
Lora = Annotated[
    Path | None, typer.Option("--lora", metavar="FOLDER", help="LoRA folder that was trained on the model.")
]
Base = Annotated[
    Path | None,
    typer.Option("--base", metavar="FOLDER", help="The LLaMA, where SOURCE holds only the differences to it."),
]
VisionTower = Annotated[
    Path | None,
    typer.Option("--vision-tower", metavar="FOLDER", help="The CLIP, where it is not among the weights of SOURCE."),
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the planner; that of TARGET when left out.")]


def convert(
    source: Source,
    target: Target,
    lora: Lora = None,
    base: Base = None,
    vision_tower: VisionTower = None,
    name: Name = None,
) -> None:
    """Turn an original LLaVA, LLaVA-Med or MMedAgent folder into a checkpoint folder of the LLaVA planner.

    Every tensor has to have its place. Nothing is written before that is certain.
    """
    from mmedagent.model_worker.llava.conversion import Conversion, Originals, require_empty  # torch takes seconds

    require_empty(target)
    conversion = Conversion(Originals(model=source, lora=lora, base=base, vision_tower=vision_tower))
    console = Console(stderr=True)
    with byte_progress(console) as progress:
        task = progress.add_task(f"Converting {source.name}", total=conversion.size)
        tensors = conversion.write(target, name or target.name, lambda size: progress.advance(task, size))
    for note in conversion.notes:
        console.print(f"Note: {note}", soft_wrap=True)
    typer.echo(f"{target}: {tensors:,} tensors. A profile names it as the checkpoint of its planner: docs/profiles.md.")
