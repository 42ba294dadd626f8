"""Asks from a model: what is asked for, what of a reply is kept, how a run goes on, and what an endpoint may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mmedagent.protocol.card import CardExample, ToolCard
from mmedagent.protocol.errors import (
    InvalidRequestError,
    MMedAgentError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    WorkerError,
)
from mmedagent.serving.run import bind, url_of
from mmedagent.training.instructions import generator, validation
from mmedagent.training.instructions.generator import AskGenerator
from mmedagent.training.instructions.generator_client import MAX_REPLY_BYTES, AskClient, Patience
from mmedagent.training.instructions.generator_file import AskFile, GeneratedAsk, dialogues_of
from mmedagent.training.instructions.importer import read_dialogues
from support.asks import CARD, changed, completed, good, wrote
from support.chat_endpoint import ChatEndpoint, Reply, running_endpoint

TRIES = 3
KEY = "sk-of-the-tests"


@pytest.fixture(scope="module")
def running() -> Iterator[ChatEndpoint]:
    with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(running: ChatEndpoint) -> ChatEndpoint:
    running.replies.clear()
    running.asked.clear()
    running.headers.clear()
    running.paths.clear()
    return running


def client(url: str, key: str | None = None) -> AskClient:
    return AskClient(url, "small", SecretStr(key) if key else None, Patience(TRIES, first_wait_s=0.0))


def make(endpoint: ChatEndpoint, path: Path, each: int = 5, cards: tuple[ToolCard, ...] = (CARD,)) -> AskGenerator:
    return AskGenerator(cards, client(endpoint.url), AskFile(path), each=each, seed=0)


def quiet(card: ToolCard, kept: int) -> None:
    """Hears how the run goes on."""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# What is asked for


def test_a_request_shows_the_card_two_examples_and_the_tools_that_are_not_meant(
    endpoint: ChatEndpoint, tmp_path: Path
) -> None:
    endpoint.replies.append(wrote(*map(good, range(5))))
    make(endpoint, tmp_path / "a.jsonl").run(quiet)
    assert endpoint.paths == ["v1/chat/completions"]
    (body,) = endpoint.asked
    assert body.keys() == {"model", "messages", "response_format"}
    assert body["model"] == "small"
    told = body["messages"][1]["content"]
    assert CARD.description in told
    assert all(json.dumps(example.ask) in told for example in CARD.examples)
    assert "Searches the medical handbook" in told
    schema = body["response_format"]["json_schema"]["schema"]["properties"]["asks"]
    assert schema["maxItems"] == 5
    parameters = schema["items"]["properties"]["parameters"]
    assert parameters["required"] == ["vessels"]
    assert "image" not in parameters["properties"]


def test_the_seed_draws_the_voices(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    told = []
    for number, seed in enumerate((0, 0, 1)):
        endpoint.replies.append(wrote(*map(good, range(5))))
        file = AskFile(tmp_path / f"{number}.jsonl")
        AskGenerator([CARD], client(endpoint.url), file, each=5, seed=seed).run(quiet)
        told.append(endpoint.asked[-1]["messages"][1]["content"])
    assert told[0] == told[1] != told[2]


# What is kept


HOSTILE = "__import__('os').system('touch hacked') {0.__class__} %s $(reboot)"


def test_what_is_kept_and_what_is_left_out_by_reason(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    """Of 18 entries in five replies, and one reply that is none, 10 are kept."""
    named = {"ask": f"{HOSTILE}: grade the LAD", "parameters": {"vessels": ["LAD"]}}
    unsaid = {"ask": "Tell me of that vessel", "parameters": {"vessels": ["LAD"]}}
    endpoint.replies += [
        wrote(good(0), good(1), good(2), {"ask": "only this"}, {**good(3), "more": 1}),
        completed("Certainly! Here are your asks: [" + HOSTILE),
        wrote(good(4), {"ask": good(4)["ask"].upper(), "parameters": {"vessels": ["OM1"]}}, good(0), good(0)),
        completed(f"<think>{{maybe}}</think>\n```json\n{json.dumps({'asks': [good(5), good(6)]})}\n```"),
        wrote({"ask": "How tight is the D1?", "parameters": {"vessels": ["D1"]}}, named, good(7), unsaid),
        wrote(good(8), good(9), good(10)),
    ]
    path = tmp_path / "a.jsonl"
    made = make(endpoint, path, each=10)
    made.run(quiet)
    assert made.made(CARD) == 10
    assert made.missing == 0
    assert lines(path)[6] == {"tool": CARD.name, **named}
    assert made.left_out == {
        generator.NO_ASK: 2,
        generator.NO_REPLY: 1,
        validation.TEXT_NOT_SAID: 1,
        generator.KNOWN: 4,
        generator.SURPLUS: 1,
    }
    assert not list(tmp_path.glob("hacked"))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        '{"asks": {}}',
        '{"asks": []} and more',
        '{"asks": [], "asks": []}',
        '{"asks": [NaN]}',
        "[" * 100_000,
        json.dumps({"asks": [1] * 101}),
        "```json\n" + "\n" * 1_000_000,
    ],
)
def test_a_reply_that_is_none_is_counted_and_the_next_tool_is_asked_for(
    endpoint: ChatEndpoint, tmp_path: Path, text: str | None
) -> None:
    other = changed(name="other_test", examples=(CardExample(ask="Now the aorta", parameters={"vessels": ["aorta"]}),))
    endpoint.replies += [completed(text)] * generator.USELESS_IN_A_ROW + [wrote(good(0))]
    made = make(endpoint, tmp_path / "a.jsonl", each=1, cards=(CARD, other))
    made.run(quiet)
    assert (made.made(CARD), made.made(other)) == (0, 1)
    assert sum(made.left_out.values()) == (0 if text == '{"asks": []}' else generator.USELESS_IN_A_ROW)


def test_entries_that_no_json_reader_takes_are_left_out(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    open_card = changed(parameters={"type": "object"}, examples=CARD.examples[:1])
    texts = ['{"ask": "Kindly do the usual grading", "parameters": {"\\ud800": true}}', '{"ask": 7, "parameters": {}}']
    endpoint.replies += [completed(f'{{"asks": [{", ".join(texts)}]}}'), wrote(good(0))]
    made = make(endpoint, tmp_path / "a.jsonl", each=1, cards=(open_card,))
    made.run(quiet)
    assert made.left_out == {generator.NO_ASK: 2}


def test_requests_for_a_tool_are_bounded(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    """Ten are wanted and one comes at a time: eight requests, which is twice two and four more."""
    endpoint.replies += [wrote(good(number)) for number in range(20)]
    made = make(endpoint, tmp_path / "a.jsonl", each=10)
    made.run(quiet)
    assert len(endpoint.asked) == 8
    assert made.missing == 2


# The file


def test_a_run_that_was_interrupted_goes_on(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    endpoint.replies += [wrote(*map(good, range(5))), wrote(*map(good, range(3, 10)))]

    def interrupt(card: ToolCard, kept: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(endpoint, path, each=10).run(interrupt)
    before = path.read_text("utf-8")
    assert len(before.splitlines()) == 5
    again = make(endpoint, path, each=10)
    assert again.missing == 5
    again.run(quiet)
    assert path.read_text("utf-8").startswith(before)
    assert len({line["ask"] for line in lines(path)}) == 10
    assert again.left_out == {generator.KNOWN: 2}
    make(endpoint, path, each=10).run(quiet)
    assert len(endpoint.asked) == 2


def test_half_a_line_is_taken_off_and_other_tools_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    whole = GeneratedAsk(tool="another", ask="Do that", parameters={}).model_dump_json() + "\n"
    path.write_text(whole + whole[:20], "utf-8")
    assert len(AskFile(path).asks) == 1
    assert path.read_text("utf-8") == whole


@pytest.mark.parametrize("line", ["", "{}", "nonsense", '{"tool": "x", "ask": "y", "parameters": {}, "more": 1}'])
def test_a_line_that_is_no_ask_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{line}\n", "utf-8")
    with pytest.raises(InvalidRequestError, match=r"a.jsonl, line 1 is no ask"):
        AskFile(path)


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        ({"ask": "Grade it", "parameters": {"vessels": ["LAD"]}}, validation.TEXT_NOT_SAID),
        ({"ask": "How tight is the LAD?", "parameters": {"vessels": ["LAD"]}}, generator.KNOWN),
    ],
)
def test_what_is_in_the_file_has_to_pass_too(
    endpoint: ChatEndpoint, tmp_path: Path, ask: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"tool": CARD.name, **one} for one in (ask, good(0), good(0))]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    with pytest.raises(InvalidRequestError, match=rf"line 1: {problem}\. Nor do these lines pass: 3\."):
        make(endpoint, path)


def test_dialogues_are_what_a_training_reads(tmp_path: Path) -> None:
    asks = [GeneratedAsk(tool=CARD.name, **good(0)), GeneratedAsk(tool="another", ask="Do that", parameters={})]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(dialogues_of(asks, [CARD])), "utf-8")
    (dialogue,) = read_dialogues(path).dialogues
    (exchange,) = dialogue.exchanges
    assert (dialogue.image, exchange.said) == ("<imagepath>", good(0)["ask"])
    (action,) = exchange.plan.actions
    assert (action.API_name, action.API_params) == (CARD.name, good(0)["parameters"])
    assert exchange.plan.thoughts == "This asks for stenosis test, so I will use stenosis_test."


# The cards


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ((CARD, CARD), "Two cards have one name"),
        ((changed(examples=()),), "has no examples"),
        ((changed(examples=(CardExample(ask="Grade it", parameters={"vessels": ["LAD"]}),)),), "example 1: a text"),
    ],
)
def test_cards_have_to_be_right(
    endpoint: ChatEndpoint, tmp_path: Path, cards: tuple[ToolCard, ...], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        make(endpoint, tmp_path / "a.jsonl", cards=cards)
    assert endpoint.asked == []


# The endpoint


@pytest.mark.parametrize("status", [400, 422, 501])
def test_an_endpoint_without_schemas_is_asked_without(endpoint: ChatEndpoint, tmp_path: Path, status: int) -> None:
    endpoint.replies += [Reply([b"{}"], status), wrote(good(0)), wrote(good(1))]
    made = make(endpoint, tmp_path / "a.jsonl", each=2)
    made.run(quiet)
    assert made.missing == 0
    assert ["response_format" in body for body in endpoint.asked] == [True, False, False]


@pytest.mark.parametrize(
    ("status", "tried", "kind", "words"),
    [
        (400, 2, WorkerError, "refused the request with status 400"),
        (401, 1, WorkerError, "does not accept the key"),
        (404, 1, WorkerError, "no such address, or no such model"),
        (307, 1, WorkerError, "status 307"),
        (413, 1, TooLargeError, "too large"),
        (429, TRIES, OverloadedError, "too much to do"),
        (500, TRIES, UnavailableError, "failed with status 500"),
        (503, TRIES, UnavailableError, "failed with status 503"),
    ],
)
def test_a_refusal_is_told_and_tried_again_where_it_may_pass(
    endpoint: ChatEndpoint, tmp_path: Path, status: int, tried: int, kind: type[MMedAgentError], words: str
) -> None:
    elsewhere = {"location": f"{endpoint.url}/elsewhere", "retry-after": "soon"}
    endpoint.replies += [Reply([b"internal-name sk-of-the-tests"], status, elsewhere)] * 9
    with pytest.raises(kind, match=words) as raised:
        make(endpoint, tmp_path / "a.jsonl").run(quiet)
    assert "internal" not in raised.value.detail
    assert endpoint.paths == ["v1/chat/completions"] * tried


def test_what_passes_is_no_failure(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    endpoint.replies += [Reply([b""], 503), Reply([b""], 429, {"retry-after": "0"}), wrote(good(0))]
    made = make(endpoint, tmp_path / "a.jsonl", each=1)
    made.run(quiet)
    assert made.missing == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": [{"delta": {}}]}'])
def test_a_reply_in_another_protocol_is_an_error(endpoint: ChatEndpoint, tmp_path: Path, body: bytes) -> None:
    endpoint.replies.append(Reply([body]))
    with pytest.raises(WorkerError, match="no chat completion"):
        make(endpoint, tmp_path / "a.jsonl").run(quiet)


def test_a_reply_without_end_is_cut_off(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    endpoint.replies.append(Reply([b" " * 2**16] * (MAX_REPLY_BYTES // 2**16 + 1)))
    with pytest.raises(TooLargeError, match="larger than 2 MiB"):
        make(endpoint, tmp_path / "a.jsonl").run(quiet)


def test_an_endpoint_that_is_away_is_told_and_what_was_made_stays(endpoint: ChatEndpoint, tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        away = f"{url_of(listener)}/v1"
    path = tmp_path / "a.jsonl"
    endpoint.replies.append(wrote(good(0)))
    make(endpoint, path, each=1).run(quiet)
    made = AskGenerator([CARD], client(away), AskFile(path), each=5, seed=0)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        made.run(quiet)
    assert len(lines(path)) == 1


@pytest.mark.parametrize("key", [None, KEY])
def test_the_key_is_sent_and_no_proxy_is_asked(
    endpoint: ChatEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    endpoint.replies.append(wrote(good(0)))
    made = AskGenerator([CARD], client(endpoint.url, key), AskFile(tmp_path / "a.jsonl"), each=1, seed=0)
    made.run(quiet)
    assert endpoint.headers[0].get("authorization") == (f"Bearer {key}" if key else None)
