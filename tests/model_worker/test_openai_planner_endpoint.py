"""An endpoint that is away, refuses, breaks off, talks nonsense or hangs; its key, and the only address asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.protocol.errors import (
    CancelledError,
    CheckpointError,
    DeadlineError,
    MMedAgentError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    WorkerError,
)
from mmedagent.serving.chat.client import MAX_LINE_BYTES, RETRY_AFTER_S
from mmedagent.serving.chat.waiting import POLL_S
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.run import bind, url_of
from openai_planners import MODEL, ask, carry_on, load, plan_of
from support.chat_endpoint import DONE, ChatEndpoint, Reply, chunk, running_endpoint, said
from support.tools import PATIENCE_S

KEY = "sk-of-the-tests"
VARIABLE = "ENDPOINT_KEY_OF_THE_TESTS"
SECRET = b'{"error": {"message": "internal-name sk-of-the-tests"}}'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def planner(endpoint: ChatEndpoint, monkeypatch: pytest.MonkeyPatch) -> OpenAIPlanner:
    endpoint.replies.clear()
    endpoint.caller_left.clear()
    monkeypatch.setenv(VARIABLE, KEY)
    return load(endpoint, api_key_variable=VARIABLE)


# Failures


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, WorkerError, "does not accept the key"),
        (403, WorkerError, "does not accept the key"),
        (404, WorkerError, "refused the request with status 404"),
        (413, TooLargeError, "too large"),
        (422, WorkerError, "refused the request with status 422"),
        (429, OverloadedError, "too much to do"),
        (500, WorkerError, "failed with status 500"),
        (503, UnavailableError, "not ready"),
        (204, WorkerError, "status 204"),
    ],
)
def test_a_refusal_is_a_typed_error_without_internals(
    planner: OpenAIPlanner,
    endpoint: ChatEndpoint,
    caplog: pytest.LogCaptureFixture,
    status: int,
    kind: type[MMedAgentError],
    words: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.replies.append(Reply([SECRET] if status != 204 else [], status))
    with pytest.raises(kind, match=words) as raised:
        plan_of(planner, ask("x"))
    assert type(raised.value) is kind
    assert len(endpoint.asked) == 1
    for text in (raised.value.detail, *caplog.messages):
        assert "internal-name" not in text
        assert KEY not in text


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0.5", 0.5), ("99999", 600.0), ("-1", None), ("nan", None), ("Mon, 1", None)]
)
def test_how_long_to_wait_is_passed_on_within_bounds(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, header: str, seconds: float | None
) -> None:
    endpoint.replies.append(Reply([], 429, {"Retry-After": header}))
    with pytest.raises(OverloadedError) as raised:
        plan_of(planner, ask("x"))
    assert raised.value.retry_after == (RETRY_AFTER_S if seconds is None else seconds)


def test_a_redirect_is_not_followed(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(Reply([], 307, {"Location": f"{endpoint.url}/elsewhere"}))
    with pytest.raises(WorkerError, match="status 307"):
        plan_of(planner, ask("x"))
    assert endpoint.paths == ["v1/chat/completions"]


def test_proxies_of_the_environment_are_ignored(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bind("127.0.0.1", 0) as nobody:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, url_of(nobody))
        endpoint.replies.append(said("Hello."))
        assert plan_of(planner, ask("x", deadline_s=PATIENCE_S)).value == "Hello."


NONSENSE = {
    "no JSON": [b"data: {'choices': []}\n\n"],
    "another type": [b'data: {"choices": [{"delta": {"content": 3}}]}\n\n'],
    "no object": [b"data: 3\n\n"],
    "not UTF-8": [b'data: {"choices": \xff}\n\n'],
    "no stream": [b'{"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}'],
    "a page": [b"<html>Hello.</html>"],
    "nothing": [],
    "an early end": [chunk(content="Hel")],
    "an end without a reason": [chunk(content="Hel"), DONE],
    "an error in the stream": [chunk(content="Hel"), b"data: " + SECRET + b"\n\n", DONE],
    "a line without end": [b"data: ", *[b"a" * 2**16] * (MAX_LINE_BYTES // 2**16 + 1)],
}


@pytest.mark.parametrize("pieces", NONSENSE.values(), ids=NONSENSE)
def test_what_is_not_the_protocol_is_a_typed_error(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, pieces: list[bytes]
) -> None:
    endpoint.replies.append(Reply(pieces))
    with pytest.raises(WorkerError, match="The endpoint") as raised:
        plan_of(planner, ask("x"))
    assert "internal-name" not in raised.value.detail


def test_a_connection_that_breaks_is_a_typed_error(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(Reply([chunk(content="Hel")], headers={"Content-Length": "100000"}))
    with pytest.raises(WorkerError, match="broke"):
        plan_of(planner, ask("x"))


def test_an_endpoint_that_is_away_is_unavailable(endpoint: ChatEndpoint) -> None:
    with running_endpoint() as short_lived:
        planner = load(short_lived)
    with pytest.raises(UnavailableError, match="cannot be reached") as raised:
        plan_of(planner, ask("x"))
    assert raised.value.retry_after == RETRY_AFTER_S
    assert short_lived.url not in raised.value.detail


# Waiting


def test_cancelling_ends_the_request_while_the_endpoint_hangs(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    never, left = threading.Event(), threading.Event()
    endpoint.replies.append(Reply([chunk(reasoning="Hm"), never]))

    def raise_if_cancelled() -> None:
        if left.is_set():
            raise CancelledError("The caller left.")

    events = planner.step(ask("x"), None, raise_if_cancelled)
    next(events)
    threading.Timer(2 * POLL_S, left.set).start()
    with pytest.raises(CancelledError):
        next(events)
    assert endpoint.caller_left.wait(PATIENCE_S)
    never.set()


def test_who_is_cancelled_before_asks_nothing(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    def cancel() -> None:
        raise CancelledError("The caller left.")

    with pytest.raises(CancelledError):
        list(planner.step(ask("x"), None, cancel))
    assert endpoint.asked == []


def test_whoever_stops_listening_ends_the_request(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    never = threading.Event()
    endpoint.replies.append(Reply([chunk(reasoning="Hm"), never]))
    events = planner.step(ask("x"), None, carry_on)
    next(events)
    del events
    assert endpoint.caller_left.wait(PATIENCE_S)
    never.set()


def test_the_deadline_of_the_step_is_kept(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    never = threading.Event()
    endpoint.replies.append(Reply([never]))
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="in time"):
        list(planner.step(ask("x", deadline_s=0.2), None, carry_on))
    never.set()
    assert time.monotonic() - started < PATIENCE_S / 2


# Loading


def test_the_key_goes_to_the_endpoint_and_nowhere_else(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.replies.append(said("Hello."))
    plan_of(planner, ask("x"))
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(endpoint.asked)
    assert KEY not in caplog.text
    assert KEY not in repr(vars(planner))


def test_without_a_variable_no_key_is_sent(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint)
    endpoint.replies.append(said("Hello."))
    plan_of(planner, ask("x"))
    assert "authorization" not in endpoint.headers[0]


@pytest.mark.parametrize("value", [None, "", "  ", "ключ", "two\nlines"])
def test_a_key_that_is_missing_or_none_is_named_by_its_variable(
    endpoint: ChatEndpoint, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(CheckpointError, match=VARIABLE) as raised:
        load(endpoint, api_key_variable=VARIABLE)
    assert not value or value not in raised.value.detail


def test_loading_plans_once_with_all_that_will_be_sent(endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(said("Fine."))
    endpoint.asked.clear()
    planner = OpenAIPlanner(checkpoint=None)
    planner.connect(Endpoint(url=endpoint.url, model=MODEL, vision=True))
    planner.load("cpu")
    (asked,) = endpoint.asked
    assert {part["type"] for part in asked["messages"][-1]["content"]} == {"text", "image_url"}
    assert "retrieval" in {tool["function"]["name"] for tool in asked["tools"]}
    assert (planner.card.name, planner.card.backend, planner.card.checkpoint_sha256) == (MODEL, "openai", None)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply([SECRET], 401), "does not accept the key"),
        (Reply([SECRET], 400), "status 400"),
        (said(), "wrote no plan"),
    ],
)
def test_an_endpoint_that_cannot_plan_is_told_when_loading(endpoint: ChatEndpoint, reply: Reply, words: str) -> None:
    endpoint.replies.clear()
    endpoint.replies += [reply, reply]
    planner = OpenAIPlanner(checkpoint=None)
    planner.connect(Endpoint(url=endpoint.url, model=MODEL))
    with pytest.raises(CheckpointError, match=words):
        planner.load("cpu")
    with pytest.raises(UnavailableError, match="not loaded"):
        plan_of(planner, ask("x"))
