"""`mmedagent keys`: who may use the API. Works on the database itself, whether the server runs or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from mmedagent.cli.options import DataDir

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

T = TypeVar("T")

out = Console()
err = Console(stderr=True)

app = typer.Typer(help="Keys of the API.", no_args_is_help=True)

DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", envvar="MMEDAGENT_DATABASE_URL", help="Another database than SQLite.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key; it is what a signed report says.")],
    owner: Annotated[
        str | None, typer.Option(help="Whose files and conversations the key opens; its own name unless given.")
    ] = None,
    data_dir: DataDir = Path("data"),
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key and print it, this once."""
    from mmedagent.controller.keys import new_key
    from mmedagent.controller.store.keys import add_key

    key, row = new_key(name, owner)
    _change(data_dir, database_url, lambda session: add_key(session, row))
    typer.echo(key)
    err.print(f"Key {row.id} of {row.owner}. It is not shown again.", style="dim", highlight=False)


@app.command("list")
def list_keys(data_dir: DataDir = Path("data"), database_url: DatabaseUrl = None) -> None:
    """List the keys, revoked ones too, by how they begin."""
    from mmedagent.controller.store.keys import all_keys

    headers = ("id", "name", "owner", "key", "made", "last used", "revoked")
    table = Table(*(Column(header, no_wrap=header in {"id", "key"}, overflow="fold") for header in headers))
    for row in _change(data_dir, database_url, all_keys):
        times = (row.created_at, row.last_used_at, row.revoked_at)
        texts = (row.id, row.name, row.owner, f"{row.prefix}…", *map(_shown, times))
        table.add_row(*(Text(text) for text in texts))
    out.print(table if table.rows else "There are no keys: mmedagent keys create NAME")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as listed.")],
    delete: Annotated[
        bool, typer.Option("--delete", help="Also forget the key; when none is left, none is wanted.")
    ] = False,
    data_dir: DataDir = Path("data"),
    database_url: DatabaseUrl = None,
) -> None:
    """Let nobody in with this key any more. What its owner has stays."""
    from mmedagent.controller.store.keys import all_keys, delete_key, revoke_key

    def change(session: Session) -> tuple[str, bool, bool]:
        row = delete_key(session, key_id) if delete else revoke_key(session, key_id, time.time())
        session.flush()
        left = all_keys(session)
        return row.name, bool(left), any(one.revoked_at is None for one in left)

    name, any_left, any_valid = _change(data_dir, database_url, change)
    out.print(f"The key {name} is {'deleted' if delete else 'revoked'}, and refused within seconds.", highlight=False)
    if not any_left:
        err.print("There is no key any more: on this machine the API can be used without one.", style="yellow")
    elif not any_valid:
        err.print("No valid key is left: nobody can use the API until you create one.", style="yellow")


def _change(data_dir: Path, database_url: str | None, change: Callable[[Session], T]) -> T:
    """Do something with the database, which is made or brought up to date first."""
    from mmedagent.controller.settings import database_in
    from mmedagent.controller.store.database import Database

    async def run() -> T:
        database = Database(database_url or database_in(data_dir))
        await asyncio.to_thread(database.migrate)
        database.start()
        try:
            return await database.write(change)
        finally:
            await database.close()

    data_dir.mkdir(parents=True, exist_ok=True)
    return asyncio.run(run())


def _shown(at: float | None) -> str:
    """A time in UTC, to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" if at is not None else "-"
