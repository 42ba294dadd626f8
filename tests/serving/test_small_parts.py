"""Blobs, logs, server-sent events, schemas and settings."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from mmedagent.controller.settings import ControllerSettings
from mmedagent.protocol.errors import (
    InvalidParametersError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    WorkerError,
)
from mmedagent.serving import sse
from mmedagent.serving.blobs import FolderBlobStore, sha256_of
from mmedagent.serving.logs import JsonFormatter, correlation_id
from mmedagent.serving.schemas import CardValidator, check_schemas
from support.tools import BOXES, make_card


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_blob_is_kept_once_under_the_name_of_its_content(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    name = store.put(b"content")
    assert name == sha256_of(b"content") == store.put(b"content")
    assert store.get(name) == b"content"
    assert files_in(tmp_path) == [store.path(name)]
    with pytest.raises(NotFoundError):
        store.get("0" * 64)


def test_blobs_are_whole_whoever_writes_them(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    content = [bytes([number]) * 200_000 for number in range(4)] * 4
    names: list[str] = []
    threads = [threading.Thread(target=lambda one=one: names.append(store.put(one))) for one in content]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 4
    for name in names:
        assert sha256_of(store.get(name)) == name
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_an_upload_is_received_or_leaves_nothing(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    path = await store.receive(pieces(b"abc", b"", b"def"), 6)
    assert path.read_bytes() == b"abcdef"
    path.unlink()
    with pytest.raises(TooLargeError):
        await store.receive(pieces(b"abc", b"defg"), 6)

    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await store.receive(broken(), 6)
    assert files_in(tmp_path) == []


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("mmedagent.test")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_a_log_line_is_json_with_allowed_fields_only(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    token = correlation_id.set("request-1")
    logger.info("done\nwith it", extra={"tool": "echo", "seconds": 0.5, "question": "secret", "prompt": "secret"})
    correlation_id.reset(token)
    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line["event"] == "done\nwith it"
    assert (line["level"], line["tool"], line["seconds"], line["correlation_id"]) == ("info", "echo", 0.5, "request-1")
    assert "secret" not in text


def test_of_an_exception_only_kind_and_place_are_logged(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    try:
        raise ValueError("secret")
    except ValueError:
        logger.exception("it broke")
    line = json.loads(stream.getvalue())
    assert line["error"] == "ValueError"
    assert line["at"].startswith(f"{__name__}:")
    assert "secret" not in stream.getvalue()


async def test_events_are_read_as_they_were_written() -> None:
    sent = ['{"text": "a: b"}', '{"text": "µ \\n"}', "[DONE]"]
    raw = b"".join(sse.encode_event(data, name) for data, name in zip(sent, ("one", None, None), strict=True))

    async def lines() -> AsyncIterator[str]:
        for line in raw.decode().splitlines():
            yield line

    assert [data async for data in sse.read_data(lines())] == sent
    assert raw.startswith(b"event: one\ndata: ")


def test_what_breaks_a_schema_is_named() -> None:
    check = CardValidator(make_card("echo", {"boxes": BOXES}, required=["boxes"]))
    check.check_parameters({"boxes": []})
    check.check_result({"boxes": [[0, 0, 1, 1]]})
    with pytest.raises(InvalidParametersError, match=r"echo: boxes\.0"):
        check.check_parameters({"boxes": [[0, 0, 1]]})
    with pytest.raises(InvalidParametersError, match="required"):
        check.check_parameters({})
    with pytest.raises(InvalidParametersError) as long:
        check.check_parameters({"boxes": "a" * 10_000})
    assert len(long.value.detail) < 500
    with pytest.raises(WorkerError, match="promises"):
        check.check_result({"boxes": [[0, 0, 1, 2]]})


def test_a_reference_passes_for_whatever_is_wanted_in_its_place() -> None:
    check = CardValidator(make_card("echo", {"boxes": BOXES, "count": {"type": "integer"}}, required=["boxes"]))
    check.check_planned({"boxes": "$1.boxes", "count": "$2.count"})
    check.check_planned({"boxes": ["$1.box", [0, 0, 1, 1]]})
    with pytest.raises(InvalidParametersError, match="boxes"):
        check.check_planned({"boxes": "all of $1.boxes"})
    with pytest.raises(InvalidParametersError, match="required"):
        check.check_planned({"count": "$1.count"})


def test_schemas_are_checked_and_never_fetched() -> None:
    elsewhere = make_card("echo", {"boxes": {"$ref": "http://127.0.0.1:1/schema.json"}})
    check_schemas(elsewhere)
    with pytest.raises(WorkerError, match="does not contain"):
        CardValidator(elsewhere).check_parameters({"boxes": []})
    with pytest.raises(InvalidRequestError, match="result"):
        check_schemas(make_card("echo", result={"boxes": {"type": "nonsense"}}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104
def test_without_a_key_only_this_machine_is_served(tmp_path: Path, host: str) -> None:
    token = SecretStr("token")
    with pytest.raises(ValidationError, match="MMEDAGENT_API_KEY"):
        ControllerSettings(host=host, data_dir=tmp_path, worker_token=token)
    open_door = ControllerSettings(host=host, data_dir=tmp_path, worker_token=token, api_key=SecretStr("hush"))
    assert "hush" not in repr(open_door)
    assert ControllerSettings(host="127.0.0.2", data_dir=tmp_path, worker_token=token).is_loopback
