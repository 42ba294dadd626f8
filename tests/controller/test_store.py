"""The database: its schema, its queries and their owners, its writer, and what survives a restart."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ArtifactRow, Base, ConversationRow, EventRow, FileRow, TurnRow
from mmedagent.controller.store.repository import MAX_ROWS
from mmedagent.protocol.errors import NotFoundError
from support.images import png_bytes
from support.script import action, answer, plan, rule
from support.system import System, running_controller, running_system
from support.tools import PATIENCE_S, EchoTool, MaskTool, SlowTool, wait_until

OWNER, OTHER = "local", "somebody else"
SHA = "0" * 64
RULES = [
    rule("slow", plan(action("slow")), answer("Never.")),
    rule("outline", plan(action("mask")), answer("Outlined.")),
    rule("", plan(action("echo", text="a")), answer("Done.", thoughts="")),
]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    await asyncio.to_thread(made.migrate)
    made.start()
    yield made
    await made.close()


def add_rows(session: Session) -> None:
    """One row of each kind."""
    session.add(
        FileRow(
            id="file-1",
            owner=OWNER,
            created_at=1.0,
            filename="file-1.png",
            media_type="image/png",
            bytes=1,
            source_sha256=SHA,
            frame_sha256=SHA,
            image={},
        )
    )
    session.add(ArtifactRow.of(OWNER, SHA, "image/png", SHA))
    session.add(ConversationRow(id="conv_1", owner=OWNER, created_at=1.0, title="", details={}))
    session.flush()
    session.add(turn_row("turn_1"))
    session.flush()
    session.add(EventRow(turn_id="turn_1", sequence=1, at=1.0, body={}))


def add(session: Session, row: Base) -> None:
    session.add(row)


def turn_row(turn_id: str, conversation_id: str = "conv_1") -> TurnRow:
    return TurnRow(
        id=turn_id,
        owner=OWNER,
        conversation_id=conversation_id,
        created_at=time.time(),
        status="running",
        question="What is it?",
        file_id=None,
        answer="",
    )


def counts(folder: Path) -> dict[str, int]:
    """The number of rows in each table."""
    engine = sa.create_engine(f"sqlite:///{folder}")
    with engine.connect() as connection:
        found = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }
    engine.dispose()
    return found


async def test_the_migrations_make_the_tables_that_the_models_describe(database: Database, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'test.sqlite'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
    await asyncio.to_thread(database.migrate)


@pytest.mark.parametrize(
    "query",
    [
        lambda session, owner: repository.file_of(session, owner, "file-1"),
        lambda session, owner: repository.artifact_of(session, owner, SHA),
        lambda session, owner: repository.conversation_of(session, owner, "conv_1"),
        lambda session, owner: repository.turn_of(session, owner, "turn_1"),
        lambda session, owner: repository.files_of(session, owner)[0],
        lambda session, owner: repository.conversations_of(session, owner)[0],
        lambda session, owner: repository.turns_of(session, owner, "conv_1")[0],
        lambda session, owner: repository.newest_turn_of(session, owner, "conv_1") or [][0],
        lambda session, owner: repository.branch_of(session, owner, "turn_1")[0],
        lambda session, owner: repository.events_of(session, owner, "turn_1")[0],
        lambda session, owner: repository.events_of_turns(session, owner, ["turn_1"])[0],
        lambda session, owner: repository.conversations_of(session, owner, "what is")[0],
    ],
)
async def test_a_query_sees_only_what_is_its_owners(
    database: Database, query: Callable[[Session, str], object]
) -> None:
    await database.write(add_rows)
    assert await database.read(lambda session: query(session, OWNER)) is not None
    with pytest.raises((NotFoundError, IndexError)):
        await database.read(lambda session: query(session, OTHER))


async def test_nobody_deletes_what_is_not_theirs(database: Database, tmp_path: Path) -> None:
    await database.write(add_rows)
    before = counts(tmp_path / "test.sqlite")
    with pytest.raises(NotFoundError):
        await database.write(lambda session: repository.delete_file(session, OTHER, "file-1"))
    with pytest.raises(NotFoundError):
        await database.write(lambda session: repository.delete_conversation(session, OTHER, "conv_1"))
    assert counts(tmp_path / "test.sqlite") == before
    assert await database.write(lambda session: repository.delete_file(session, OWNER, "file-1")) == [SHA]
    assert await database.write(lambda session: repository.delete_conversation(session, OWNER, "conv_1")) == []
    assert set(counts(tmp_path / "test.sqlite").values()) == {0}


async def test_interrupted_turns_are_closed(database: Database) -> None:
    await database.write(add_rows)
    assert await database.write(repository.close_interrupted_turns) == 1
    turn = await database.read(lambda session: repository.turn_of(session, OWNER, "turn_1"))
    assert turn.status == "failed"
    assert await database.write(repository.close_interrupted_turns) == 0


async def test_a_change_that_fails_harms_no_other_and_the_writer_goes_on(database: Database) -> None:
    await database.write(add_rows)

    def refuse(_: Session) -> None:
        raise NotFoundError("There is no such thing.")

    def crash(_: Session) -> None:
        raise ValueError("not foreseen")

    good = [database.post(partial(add, row=turn_row(f"turn_{number}"))) for number in (2, 3)]
    orphan = database.post(lambda session: session.add(turn_row("turn_4", "conv_0")))
    bad = [database.post(refuse), database.post(crash)]
    good.append(database.post(lambda session: session.add(turn_row("turn_5"))))
    assert await asyncio.gather(*good) == [None] * 3
    for failed, kind in ((orphan, IntegrityError), (bad[0], NotFoundError), (bad[1], ValueError)):
        with pytest.raises(kind):
            await failed
    rows = await database.read(lambda session: repository.turns_of(session, OWNER, "conv_1"))
    assert [row.id for row in rows] == ["turn_1", "turn_2", "turn_3", "turn_5"]


async def test_the_newest_turns_are_listed_and_all_of_them_where_that_is_wanted(database: Database) -> None:
    await database.write(add_rows)
    for number in range(2, MAX_ROWS + 2):
        database.post(partial(add, row=turn_row(f"turn_{number}")))
    await database.write(lambda _: None)
    newest = await database.read(lambda session: repository.turns_of(session, OWNER, "conv_1"))
    every = await database.read(lambda session: repository.turns_of(session, OWNER, "conv_1", most=None))
    assert (newest[0].id, newest[-1].id, len(newest)) == ("turn_2", f"turn_{MAX_ROWS + 1}", MAX_ROWS)
    assert [turn.id for turn in every] == ["turn_1", *(turn.id for turn in newest)]


async def test_writes_do_not_wait_for_long_reads(database: Database) -> None:
    go_on = threading.Event()
    reads = [asyncio.create_task(database.read(lambda _: go_on.wait(PATIENCE_S))) for _ in range(16)]
    try:
        await asyncio.wait_for(database.write(add_rows), PATIENCE_S / 2)
        assert not any(read.done() for read in reads)
    finally:
        go_on.set()
    assert all(await asyncio.gather(*reads))


async def test_many_writes_at_once_are_all_kept_in_order(database: Database) -> None:
    await database.write(add_rows)
    posted = [
        database.post(partial(add, row=EventRow(turn_id="turn_1", sequence=number, at=1.0, body={})))
        for number in range(2, 700)
    ]
    await asyncio.gather(*posted)
    events = await database.read(lambda session: repository.events_of(session, OWNER, "turn_1"))
    assert [event.sequence for event in events] == list(range(1, 700))


def items(system: System, conversation: str) -> list[dict[str, Any]]:
    answer = system.http.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"})
    assert answer.status_code == 200
    return list(answer.json()["data"])


def test_conversations_survive_a_restart_and_an_interrupted_turn_is_failed(tmp_path: Path) -> None:
    slow = SlowTool(deaf=True)
    with running_system(tmp_path, RULES, [slow, EchoTool(), MaskTool()]) as system:
        file_id = system.upload(png_bytes())
        parts = [{"type": "input_text", "text": "outline"}, {"type": "input_image", "file_id": file_id}]
        asked = system.http.post("/v1/responses", json={"input": [{"role": "user", "content": parts}]}).json()
        conversation = asked["conversation"]["id"]
        before = items(system, conversation)
        assert before[1:] == asked["output"]
        mark_running(system.settings.database, asked["id"].removeprefix("resp_"))
    with running_controller(tmp_path) as again:
        assert items(again, conversation) == before
        assert again.http.get(f"/v1/responses/{asked['id']}").json()["status"] == "failed"
        assert again.http.get(f"/v1/files/{file_id}").status_code == 200
        assert again.http.delete(f"/v1/conversations/{conversation}").status_code == 200
        assert again.http.get(f"/v1/responses/{asked['id']}").status_code == 404
        found = counts(again.settings.data_dir / "mmedagent.sqlite")
        assert (found["conversations"], found["turns"], found["turn_events"]) == (0, 0, 0)


def mark_running(url: str, turn_id: str) -> None:
    """As a controller that is killed leaves a turn."""
    engine = sa.create_engine(url)
    with Session(engine) as session, session.begin():
        session.get_one(TurnRow, turn_id).status = "running"
    engine.dispose()


def test_a_conversation_can_be_deleted_while_it_is_answered(tmp_path: Path) -> None:
    slow = SlowTool()
    with running_system(tmp_path, RULES, [slow, EchoTool()]) as system:
        with system.http.stream("POST", "/v1/responses", json={"input": "slow", "stream": True}) as stream:
            assert slow.started.acquire(timeout=10)
            wait_until(lambda: system.http.get("/v1/conversations").json()["data"] != [], "the turn is stored")
            (conversation,) = system.http.get("/v1/conversations").json()["data"]
            assert system.http.delete(f"/v1/conversations/{conversation['id']}").status_code == 200
            slow.release.set()
            assert "response.failed" in stream.read().decode()
        wait_until(lambda: system.workers_info()["slow"]["outstanding"] == 0, "nothing is outstanding")
        assert system.outputs("hello")[-1]["content"][0]["text"] == "Done."


def test_unstored_questions_leave_no_rows_but_their_artifacts(tmp_path: Path) -> None:
    with running_system(tmp_path, RULES, [EchoTool(), MaskTool()]) as system:
        file_id = system.upload(png_bytes())
        parts = [{"type": "text", "text": "outline"}, {"type": "file", "file": {"file_id": file_id}}]
        chat = system.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]})
        assert chat.json()["choices"][0]["message"]["content"] == "Outlined."
        unstored = system.respond("hello", store=False).json()
        assert system.http.get(f"/v1/responses/{unstored['id']}").status_code == 404
        found = counts(system.settings.data_dir / "mmedagent.sqlite")
        assert found == {
            "files": 1,
            "artifacts": 2,
            "conversations": 0,
            "turns": 0,
            "turn_events": 0,
            "api_keys": 0,
            "reports": 0,
        }
