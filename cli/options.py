"""Options that several commands share, and the secret that the processes of one installation share."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from mmedagent.protocol.errors import InvalidRequestError

TOKEN_VARIABLE = "MMEDAGENT_WORKER_TOKEN"  # noqa: S105 - the name of a variable, not a secret

DATA_DIR_VARIABLE = "MMEDAGENT_DATA_DIR"

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar=DATA_DIR_VARIABLE, help="Where conversations and images are kept.")
]
ProfileName = Annotated[
    str, typer.Option("--profile", envvar="MMEDAGENT_PROFILE", help="A built-in profile, or the path of a .toml file.")
]
ControllerUrl = Annotated[
    str, typer.Option("--controller", envvar="MMEDAGENT_CONTROLLER", help="Address of the controller.")
]
Host = Annotated[str, typer.Option(envvar="MMEDAGENT_HOST", help="Address to listen on.")]
ApiKey = Annotated[str | None, typer.Option(envvar="MMEDAGENT_API_KEY", help="Key of the running server.")]
FiguresFile = Annotated[Path | None, typer.Option(help="Write all figures to this file.")]
Device = Annotated[str, typer.Option(envvar="MMEDAGENT_DEVICE", help="Device of the models: cpu, cuda, cuda:1, ...")]
MemoryMb = Annotated[
    int,
    typer.Option(
        "--memory-mb", envvar="MMEDAGENT_MEMORY_MB", min=0, help="Memory for decoded images and what is kept of them."
    ),
]


def worker_token(data_dir: Path, create: bool) -> str:
    """The secret that workers and controller share: from the environment, or from a file in the data folder.

    Raises `InvalidRequestError` when there is none and none may be made.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given:
        return given
    path = data_dir / "worker_token"
    if not path.exists():
        if not create:
            raise InvalidRequestError(f"Set {TOKEN_VARIABLE}, or give the controller's --data-dir.")
        data_dir.mkdir(parents=True, exist_ok=True)
        _make_token(path)
    return path.read_text().strip()


def _make_token(path: Path) -> None:
    """Put a whole token there, readable by this user only; one that another process made meanwhile is kept."""
    with NamedTemporaryFile("w", dir=path.parent) as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)
