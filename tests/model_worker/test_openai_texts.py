"""Free text from a model behind an endpoint: what is sent, what comes back, and how it may end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.model_worker.planner import Completing
from mmedagent.protocol.completion import Completion, CompletionRequest, assemble_text
from mmedagent.protocol.errors import CancelledError, MMedAgentError, TooLargeError, UnavailableError, WorkerError
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.serving.tool import PixelArray
from openai_planners import MODEL, carry_on, load
from support.chat_endpoint import DONE, ChatEndpoint, Reply, chunk, running_endpoint, said

FRAME: PixelArray = np.zeros((6, 8), np.uint8)
MESSAGES = (ChatMessage(role="system", text="You are brief."), ChatMessage(role="user", text="What is it?"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


def text_of(planner: OpenAIPlanner, frame: PixelArray | None = None, **fields: Any) -> Completion:
    request = CompletionRequest(
        **{"messages": MESSAGES, "correlation_id": "test", "callers": ("consultation",), **fields}
    )
    return assemble_text(planner.complete(request, frame, carry_on))


def test_the_messages_are_sent_as_they_are_and_the_text_comes_back(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint)
    assert isinstance(planner, Completing)
    endpoint.replies.append(said("A ", "liver.", reasoning_content="Hm."))
    assert text_of(planner, FRAME, max_tokens=9) == Completion(text="A liver.", reasoning="Hm.", model=MODEL)
    assert endpoint.asked.pop() == {
        "model": MODEL,
        "messages": [{"role": one.role, "content": one.text} for one in MESSAGES],
        "max_tokens": 9,
        "stream": True,
    }


def test_a_model_that_sees_gets_the_image_with_the_first_question(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint, vision=True)
    endpoint.replies.append(said("A liver."))
    text_of(planner, FRAME, messages=(*MESSAGES, ChatMessage(role="assistant", text="What?"), MESSAGES[1]))
    _, first, _, second = endpoint.asked.pop()["messages"]
    assert [part["type"] for part in first["content"]] == ["image_url", "text"]
    assert second["content"] == "What is it?"


def test_what_the_request_says_comes_before_the_endpoint_s_parameters(endpoint: ChatEndpoint) -> None:
    """But for the limit of tokens, of which servers know one name or the other."""
    planner = load(endpoint, parameters={"temperature": 0.1, "max_completion_tokens": 50, "top_p": 0.9})
    endpoint.replies.extend([said("A"), said("B")])
    text_of(planner)
    text_of(planner, temperature=1.5, seed=3)
    plain, sampled = endpoint.asked[-2:]
    assert ("max_tokens" in plain, plain["temperature"], plain["top_p"]) == (False, 0.1, 0.9)
    assert (sampled["temperature"], sampled["seed"], sampled["max_completion_tokens"]) == (1.5, 3, 50)


def test_a_text_that_is_cut_off_says_so(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint)
    endpoint.replies.append(said("A liv", finish="length"))
    assert text_of(planner).finish == "length"


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (said("x", finish="content_filter"), WorkerError, "content filter"),
        (Reply([chunk(content="A"), DONE]), WorkerError, "middle of its answer"),
        (Reply([chunk(content="a" * MAX_TEXT), chunk(content="b"), chunk("stop")]), WorkerError, "more than"),
        (Reply([], 503), UnavailableError, "not ready"),
    ],
)
def test_what_goes_wrong_is_a_typed_error(
    endpoint: ChatEndpoint, reply: Reply, error: type[MMedAgentError], words: str
) -> None:
    planner = load(endpoint)
    endpoint.replies.append(reply)
    with pytest.raises(error, match=words):
        text_of(planner)


def test_messages_beyond_the_context_are_not_sent(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint, context_characters=4_000)
    with pytest.raises(TooLargeError, match="4000 characters"):
        text_of(planner, messages=(ChatMessage(role="user", text="a" * 4_001),))
    assert not endpoint.asked


def test_a_planner_that_is_not_loaded_has_nobody_to_ask() -> None:
    with pytest.raises(UnavailableError):
        text_of(OpenAIPlanner(checkpoint=None))


def test_who_leaves_is_not_waited_for(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint)

    def leave() -> None:
        raise CancelledError("The caller left.")

    request = CompletionRequest(messages=MESSAGES, correlation_id="test", callers=("consultation",))
    with pytest.raises(CancelledError):
        assemble_text(planner.complete(request, None, leave))
