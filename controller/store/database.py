"""The database: one writer that commits what has gathered in one transaction, and readers beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

T = TypeVar("T")
MAX_BATCH = 256


class Database:
    """Runs functions of a session in threads. Writes are in the order in which they were asked for.

    A single writer suits SQLite, which locks the whole file, and lets a hundred turns share one disk flush. It has a
    thread of its own, so that turns go on however many long reads there are. A change runs again, on a new session,
    after another one that was to be committed with it has failed.
    """

    def __init__(self, url: str) -> None:
        self._engine = _create_engine(url)
        self._writes: asyncio.Queue[tuple[Callable[[Session], Any], asyncio.Future[Any]]] = asyncio.Queue()
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="database")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._writer: asyncio.Task[None] | None = None

    def migrate(self) -> None:
        """Bring the schema to the newest version. Blocks."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["engine"] = self._engine
        command.upgrade(config, "head")

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write_batches())

    async def close(self) -> None:
        """Write what is still waiting, then close."""
        await self._writes.join()
        if self._writer:
            self._writer.cancel()
        self._readers.shutdown()
        self._writing.shutdown()
        self._engine.dispose()

    async def read(self, query: Callable[[Session], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def post(self, change: Callable[[Session], T]) -> asyncio.Future[T]:
        """Queue a change. The future is done when it is committed; whoever needs to know awaits it."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_retrieve)
        self._writes.put_nowait((change, done))
        return done

    async def write(self, change: Callable[[Session], T]) -> T:
        """Make a change and wait until it is on disk."""
        return await self.post(change)

    def _read(self, query: Callable[[Session], T]) -> T:
        with Session(self._engine, expire_on_commit=False) as session:
            return query(session)

    async def _write_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._writes.get()]
            while not self._writes.empty() and len(batch) < MAX_BATCH:
                batch.append(self._writes.get_nowait())
            results = await loop.run_in_executor(self._writing, self._commit, [change for change, _ in batch])
            for (_, done), result in zip(batch, results, strict=True):
                self._writes.task_done()
                if done.cancelled():
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)

    def _commit(self, changes: list[Callable[[Session], Any]]) -> list[Any]:
        """The result of each change, or its error. One that fails is undone alone and does not harm the others.

        A savepoint for each change would be most of the work, so there are some only after a change has failed.
        """
        try:
            return self._in_one_transaction(changes, _apply)
        except Exception:  # noqa: BLE001 - whatever a change raises, it raises again below
            try:
                return self._in_one_transaction(changes, _apply_or_undo)
            except SQLAlchemyError as error:
                return [error] * len(changes)

    def _in_one_transaction(
        self, changes: list[Callable[[Session], Any]], apply: Callable[[Session, Callable[[Session], Any]], Any]
    ) -> list[Any]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            return [apply(session, change) for change in changes]


def _apply(session: Session, change: Callable[[Session], Any]) -> Any:
    """What a change returns, with its rows sent: the next one may need them to be there."""
    result = change(session)
    session.flush()
    return result


def _apply_or_undo(session: Session, change: Callable[[Session], Any]) -> Any:
    try:
        with session.begin_nested():
            return change(session)
    except Exception as error:  # noqa: BLE001 - whatever a change raises goes to whoever asked for it
        return error


def _retrieve(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()


def _create_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"check_same_thread": False, "timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
