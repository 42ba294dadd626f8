"""The command line: `mmedagent --help`."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.text import Text

from mmedagent.cli import (
    ask,
    bench,
    corpus,
    corpus_bench,
    doctor,
    evaluate,
    keys,
    model_conversion,
    models,
    openapi,
    processes,
    serve,
    tools,
    train,
)
from mmedagent.protocol.errors import MMedAgentError

app = typer.Typer(
    name="mmedagent",
    help="A self-hosted medical agent server. For research use only; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(ask.ask)
app.command()(ask.plan)
app.command()(processes.controller)
app.command()(processes.planner)
app.command()(processes.tool)
app.command()(openapi.openapi)
app.add_typer(keys.app, name="keys")
app.add_typer(tools.app, name="tools")
models.app.command()(model_conversion.convert)
app.add_typer(models.app, name="models")
bench.app.command()(corpus_bench.corpus)
app.add_typer(bench.app, name="bench")
app.add_typer(corpus.app, name="corpus")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(train.app, name="train")
app.command()(doctor.doctor)


def main() -> None:
    """Run a command; an error with a meaning for the user is one sentence and exit code 1."""
    try:
        app()
    except MMedAgentError as error:
        Console(stderr=True).print(Text.assemble((f"{error.title}: ", "bold red"), error.detail), soft_wrap=True)
        sys.exit(1)
