"""`mmedagent train asks`: what it prints and writes, how it is interrupted, and what people are told to mend."""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mmedagent.cli.main import app
from mmedagent.protocol.errors import CheckpointError, InvalidRequestError, NotFoundError, UnavailableError
from mmedagent.serving.run import bind, url_of
from mmedagent.training.instructions.importer import read_dialogues
from support.asks import CARD, good, wrote
from support.chat_endpoint import ChatEndpoint, Reply, running_endpoint
from support.tools import PATIENCE_S, wait_until

KEY, VARIABLE = "sk-of-the-tests", "ENDPOINT_KEY_OF_THE_TESTS"


@pytest.fixture
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.json"
    path.write_text(CARD.model_dump_json(), "utf-8")
    return path


def run(url: str, folder: Path, *arguments: str) -> Result:
    options = ["--endpoint", url, "--model", "small", "--output", str(folder / "asks.jsonl")]
    return CliRunner().invoke(app, ["train", "asks", *arguments, *options], catch_exceptions=False)


def test_asks_for_a_card_of_a_file_and_a_built_in_one(
    endpoint: ChatEndpoint,
    card: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(VARIABLE, KEY)
    film = {"ask": "CXR from the corridor, somebody dictate something I can sign", "parameters": {}}
    endpoint.replies += [wrote(good(0), good(0), good(1)), wrote(film, {"ask": "no"})]
    rows = tmp_path / "rows.json"
    arguments = (str(card), "report_generation", "--each", "1", "--dialogues", str(rows), "--key-from", VARIABLE)
    result = run(endpoint.url, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    output = tmp_path / "asks.jsonl"
    assert result.stdout.splitlines() == [
        f"{output}: stenosis_test, 1 of 1.",
        f"{output}: report_generation, 1 of 1.",
        f"{rows}: 2 dialogues.",
    ]
    assert "Left out, 3: there were enough asks already." in result.stderr.splitlines()
    assert [json.loads(line)["tool"] for line in output.read_text().splitlines()] == [CARD.name, "report_generation"]
    assert len(read_dialogues(rows).dialogues) == 2
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in result.output + caplog.text + output.read_text()


def test_too_few_is_a_failure(endpoint: ChatEndpoint, card: Path, tmp_path: Path) -> None:
    endpoint.replies += [wrote(good(0), {"ask": "[bold]x[/bold]"}), *[wrote()] * 5]
    result = run(endpoint.url, tmp_path, str(card), "--each", "2")
    assert result.exit_code == 1
    assert "stenosis_test, 1 of 2." in result.stdout
    assert "Left out, 1: an entry that is no ask with parameters." in result.stderr
    assert "Not enough asks passed" in result.stderr


def test_interrupted_it_keeps_what_was_valid_and_goes_on(endpoint: ChatEndpoint, card: Path, tmp_path: Path) -> None:
    # A process that a shell starts in the background ignores the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    never = threading.Event()
    endpoint.replies += [wrote(*map(good, range(5))), Reply([b" ", never])]
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_until(lambda: len(endpoint.asked) == 2, "a second request")
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    result = run(endpoint.url, tmp_path, str(card), "--each", "8")
    thread.join(PATIENCE_S)
    never.set()
    assert result.exit_code == 130
    assert "stenosis_test, 5 of 8." in result.stdout
    assert "Interrupted. The same command goes on." in result.stderr
    endpoint.replies.append(wrote(*map(good, range(5, 8))))
    assert "8 of 8" in run(endpoint.url, tmp_path, str(card), "--each", "8").stdout


def test_an_endpoint_that_is_away(card: Path, tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        url = url_of(listener)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        run(url, tmp_path, str(card), "--tries", "1")
    assert not (tmp_path / "asks.jsonl").exists()


def test_what_people_are_told_to_mend(card: Path, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    for wrong in ("ftp://x", "http://me:secret@x/v1"):
        with pytest.raises(InvalidRequestError, match="--endpoint") as raised:
            run(wrong, tmp_path, str(card))
        assert "secret" not in raised.value.detail
    with pytest.raises(InvalidRequestError, match="--key-from"):
        run(url, tmp_path, str(card), "--key-from", KEY)
    with pytest.raises(CheckpointError, match=f"{VARIABLE}, which is not set"):
        run(url, tmp_path, str(card), "--key-from", VARIABLE)
    with pytest.raises(NotFoundError, match="no card nothing"):
        run(url, tmp_path, "nothing")
    with pytest.raises(NotFoundError, match="no folder"):
        run(url, tmp_path, str(card), "--dialogues", str(tmp_path / "none" / "rows.json"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"name": "Bad Name"}, "no tool card: name"), ({"parameters": {"type": 7}}, "schema of parameters is not valid")],
)
def test_a_file_that_is_no_card(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**CARD.model_dump(mode="json"), **changes}), "utf-8")
    with pytest.raises(InvalidRequestError, match=words):
        run("http://127.0.0.1:9/v1", tmp_path, str(path))
