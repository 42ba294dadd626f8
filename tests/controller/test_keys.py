"""Keys: made once and kept as hashes, wanted as soon as there is one, refused as soon as they are revoked."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr, ValidationError
from sqlalchemy.orm import Session

from mmedagent.cli.keys import create
from mmedagent.controller.settings import ControllerSettings
from mmedagent.controller.store.models import ApiKeyRow
from mmedagent.protocol.errors import ConflictError, InvalidRequestError
from support.keys import client, make_key, run_keys, status
from support.problems import assert_problem
from support.system import System, running_controller
from support.tools import PATIENCE_S, wait_until

ENVIRONMENT_KEY = "key-of-the-environment"


def rows(system: System) -> list[ApiKeyRow]:
    engine = sa.create_engine(system.settings.database)
    with Session(engine) as session:
        found = list(session.scalars(sa.select(ApiKeyRow)))
    engine.dispose()
    return found


def id_of(system: System, name: str) -> str:
    return next(row.id for row in rows(system) if row.name == name)


def test_a_key_is_wanted_as_soon_as_there_is_one(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        assert system.http.get("/v1/me").json() == {"owner": "local", "name": "local", "keys_required": False}
        key = make_key(system, "laptop", "--owner", "alice")
        assert client(system, key).get("/v1/me").json() == {"owner": "alice", "name": "laptop", "keys_required": True}
        wrong = [None, "", "wrong", key[:-1], key + "A", key[:-1] + chr(ord(key[-1]) ^ 1), "\xe9"]
        details = {assert_problem(client(system, one).get("/v1/me"), 401, "unauthorized") for one in wrong[:-1]}
        assert len(details) == 1
        assert system.http.get("/healthz").status_code == 200


def test_of_a_key_only_the_hash_and_the_beginning_are_kept(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        key = make_key(system, "laptop")
        assert re.fullmatch(r"mma_[A-Za-z0-9_-]{43}", key)
        (row,) = rows(system)
        assert row.prefix == key[:10]
        listed = run_keys(system, "list")
        assert row.prefix in listed
        files = [path for path in system.settings.data_dir.rglob("*") if path.is_file()]
        assert files
    for secret in (key, key[10:]):
        assert secret not in listed
        assert all(secret.encode() not in path.read_bytes() for path in files if path.exists())


def test_a_revoked_key_is_refused_and_the_last_one_lets_nobody_in(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        first, second = make_key(system, "first"), make_key(system, "second")
        run_keys(system, "revoke", id_of(system, "first"))
        wait_until(lambda: status(system, first) == 401, "the first is refused")
        assert status(system, second) == 200
        run_keys(system, "revoke", id_of(system, "second"))
        wait_until(lambda: status(system, second) == 401, "the second is refused")
        assert status(system, None) == 401
        for name in ("first", "second"):
            run_keys(system, "revoke", id_of(system, name), "--delete")
        wait_until(lambda: status(system, None) == 200, "no key is wanted any more")


def test_the_key_of_the_environment_works_beside_the_others(tmp_path: Path) -> None:
    with running_controller(tmp_path, api_key=SecretStr(ENVIRONMENT_KEY)) as system:
        assert system.http.get("/v1/me").json() == {"owner": "local", "name": "local", "keys_required": True}
        key = make_key(system, "alice")
        run_keys(system, "revoke", id_of(system, "alice"))
        wait_until(lambda: status(system, key) == 401, "the key is refused")
        assert status(system, ENVIRONMENT_KEY) == 200


def test_the_last_use_is_written_down_once_a_minute(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        key = make_key(system, "alice")
        wait_until(lambda: rows(system)[0].last_used_at is not None, "the use is written down")
        first = rows(system)[0].last_used_at
        assert [status(system, key) for _ in range(5)] == [200] * 5
        conversation = client(system, key).post("/v1/conversations")
        assert conversation.status_code == 200
        assert rows(system)[0].last_used_at == first


def test_a_stranger_is_turned_away_before_the_body_is_read(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        make_key(system, "alice")
        host, port = system.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            head = ("POST /v1/files HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {2**20}", "", "")
            connection.sendall("\r\n".join(head).encode())
            assert connection.recv(1_024).startswith(b"HTTP/1.1 401")


def test_two_valid_keys_have_two_names(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        make_key(system, "alice")
        with pytest.raises(ConflictError, match="alice"):
            create("alice", None, system.settings.data_dir)
        run_keys(system, "revoke", id_of(system, "alice"))
        make_key(system, "alice")


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a" * 65, "a\n", "é", "<b>"])
def test_a_name_is_a_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="Names have"):
        create(name, None, tmp_path / "data")
    with pytest.raises(InvalidRequestError, match="Names have"):
        create("good", name or " ", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_valid_key_opens_other_addresses(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        make_key(system, "alice")
        everywhere = {"host": "0.0.0.0", "data_dir": system.settings.data_dir, "worker_token": SecretStr("token")}  # noqa: S104
        assert not ControllerSettings.model_validate(everywhere).is_loopback
        run_keys(system, "revoke", id_of(system, "alice"))
        with pytest.raises(ValidationError, match="mmedagent keys create"):
            ControllerSettings.model_validate(everywhere)
