"""`mmedagent train asks`: asks for tool cards, written by a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmedagent.cli.cards import read_card
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import BUILT_IN, load_card
from mmedagent.protocol.errors import InvalidRequestError, MMedAgentError, NotFoundError
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.schemas import check_schemas

if TYPE_CHECKING:
    from mmedagent.training.instructions.generator import AskGenerator
    from mmedagent.training.instructions.generator_file import AskFile

INTERRUPTED = 130

err = Console(stderr=True)

Cards = Annotated[list[str], typer.Argument(metavar="CARD...", help="JSON file of a tool's card, or a built-in name.")]
Url = Annotated[str, typer.Option("--endpoint", metavar="URL", help="Address such as http://127.0.0.1:8001/v1.")]
Model = Annotated[str, typer.Option("--model", metavar="NAME", help="Name of the model there.")]
Each = Annotated[int, typer.Option("--each", min=1, max=10_000, help="Asks of each tool that there should be.")]
Output = Annotated[Path, typer.Option("--output", metavar="FILE", help="JSON Lines; what is there counts.")]
Dialogues = Annotated[
    Path | None, typer.Option("--dialogues", metavar="FILE", help="Write the asks in MMedAgent's format, too.")
]
KeyFrom = Annotated[
    str | None, typer.Option("--key-from", metavar="ENV", help="Environment variable that holds the endpoint's key.")
]
Seed = Annotated[int, typer.Option("--seed", help="Draws who asks, how, and the examples that are shown.")]
Tries = Annotated[int, typer.Option("--tries", min=1, max=20, help="How often a request is tried that may yet work.")]


def asks(
    cards: Cards,
    url: Url,
    model: Model,
    each: Each = 30,
    output: Output = Path("asks.jsonl"),
    dialogues: Dialogues = None,
    key_from: KeyFrom = None,
    seed: Seed = 0,
    tries: Tries = 4,
) -> None:
    """Let a model behind an OpenAI-compatible endpoint write asks for tools, and keep those that pass every check."""
    endpoint = _endpoint(url, model, key_from)
    key = endpoint.api_key()
    found = [_card(name) for name in cards]
    for path in (output, dialogues):
        if path is not None and not path.parent.is_dir():
            raise NotFoundError(f"There is no folder {path.parent}. Make it, or name another one.")

    from mmedagent.training.instructions.generator import AskGenerator  # torch takes seconds
    from mmedagent.training.instructions.generator_client import AskClient, Patience
    from mmedagent.training.instructions.generator_file import AskFile

    client = AskClient(endpoint.url, endpoint.model, key, Patience(tries=tries))
    file = AskFile(output)
    generator = AskGenerator(found, client, file, each=each, seed=seed)
    try:
        _run(generator)
    except KeyboardInterrupt:
        err.print("Interrupted. The same command goes on.")
        raise typer.Exit(INTERRUPTED) from None
    except MMedAgentError:
        err.print("Stopped. The same command goes on.")
        raise
    finally:
        _tell(generator, each, output)
    if dialogues is not None:
        _write_dialogues(file, found, dialogues)
    if generator.missing:
        err.print("Not enough asks passed. The same command asks again.")
        raise typer.Exit(1)


def _run(generator: AskGenerator) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("Asking", total=generator.missing)

        def told(card: ToolCard, kept: int) -> None:
            progress.update(task, description=card.name, advance=kept)

        generator.run(told)


def _tell(generator: AskGenerator, each: int, output: Path) -> None:
    for card in generator.cards:
        typer.echo(f"{output}: {card.name}, {generator.made(card):,} of {each:,}.")
    for reason, count in generator.left_out.most_common():
        err.print(f"Left out, {count:,}: {reason}.", highlight=False, markup=False, soft_wrap=True)


def _write_dialogues(file: AskFile, cards: list[ToolCard], path: Path) -> None:
    from mmedagent.training.instructions.generator_file import dialogues_of

    rows = dialogues_of(file.asks, cards)
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")
    typer.echo(f"{path}: {len(rows):,} dialogues.")


def _endpoint(url: str, model: str, key_from: str | None) -> Endpoint:
    options = {"url": "--endpoint", "model": "--model", "api_key_variable": "--key-from"}
    try:
        return Endpoint(url=url, model=model, api_key_variable=key_from)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequestError(f"{options[str(problem['loc'][0])]}: {problem['msg']}.") from None


def _card(name: str) -> ToolCard:
    """The card of a file, or the built-in one of that name."""
    if name in BUILT_IN:
        return load_card(name)
    path = Path(name)
    if not path.is_file():
        raise NotFoundError(f"There is no card {name}. Give a JSON file, or one of: {', '.join(BUILT_IN)}.")
    card = read_card(path)
    check_schemas(card)
    return card
