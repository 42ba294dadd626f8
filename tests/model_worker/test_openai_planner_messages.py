"""What the OpenAI planner sends: instructions, conversation, image, tools, and the steps so far, within bounds."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mmedagent.imaging.png import decode_frame
from mmedagent.model_worker.openai_compatible.messages import MAX_OUTCOME_CHARACTERS
from mmedagent.protocol.errors import TooLargeError
from mmedagent.protocol.invocation import ToolFailure, ToolSkipped
from mmedagent.protocol.plan import ChatMessage, PlannerRequest
from mmedagent.serving.chat.picture import MAX_SIDE
from mmedagent.serving.tool import PixelArray
from openai_planners import CARDS, GROUNDING, MODEL, RETRIEVAL, action, ask, carry_on, found, load, step
from support.chat_endpoint import ChatEndpoint, running_endpoint, said

FRAME: PixelArray = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
FIND, OUTLINE = action("grounding", prompts=["liver"]), action("segmentation", boxes="$1.boxes")
BOXES = found("grounding", boxes=[[0.1, 0.2, 0.5, 0.6]], phrase="µ")
FAILED = ToolFailure(call_id="c", tool="segmentation", code="worker_failed", message="The worker died.")
SKIPPED = ToolSkipped(call_id="c", tool="segmentation", reason="It needs boxes.")
SECRET_PARTS = ("sha256", "0" * 64)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


def sent(
    endpoint: ChatEndpoint, request: PlannerRequest, frame: PixelArray | None = None, **settings: Any
) -> dict[str, Any]:
    """The body of the request that a step makes."""
    planner = load(endpoint, **settings)
    endpoint.replies.append(said("Fine."))
    list(planner.step(request, frame, carry_on))
    assert endpoint.paths == ["v1/chat/completions"]
    return endpoint.asked[0]


def chat(*texts: str) -> tuple[ChatMessage, ...]:
    """Messages of user and assistant in turn."""
    roles = ("user", "assistant")
    return tuple(ChatMessage.model_validate({"role": roles[at % 2], "text": text}) for at, text in enumerate(texts))


def test_every_tool_is_a_function_with_the_schema_of_its_card(endpoint: ChatEndpoint) -> None:
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", **GROUNDING.parameters}
    tools = (GROUNDING.model_copy(update={"parameters": dialect}), *CARDS[1:])
    body = sent(endpoint, ask("x", tools=tools))
    assert body["model"] == MODEL
    assert body["stream"] is True
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": card.name, "description": card.description, "parameters": card.parameters},
        }
        for card in CARDS
    ]
    assert "response_format" not in body


def test_tools_that_need_an_image_are_left_out_without_one(endpoint: ChatEndpoint) -> None:
    body = sent(endpoint, ask("x", image=None))
    assert [tool["function"]["name"] for tool in body["tools"]] == [RETRIEVAL.name]
    assert "There is no image. Without one there is no grounding, segmentation." in body["messages"][0]["content"]


def test_without_tools_none_are_sent(endpoint: ChatEndpoint) -> None:
    body = sent(endpoint, ask("x", tools=()))
    assert "tools" not in body
    assert "No tool can be called now" in body["messages"][0]["content"]


def test_further_parameters_are_sent_as_they_are(endpoint: ChatEndpoint) -> None:
    given = {"temperature": 0, "max_tokens": 900, "chat_template_kwargs": {"enable_thinking": False, "x": None}}
    body = sent(endpoint, ask("x"), parameters=given)
    assert {name: body[name] for name in given} == given


def test_the_conversation_keeps_its_roles_and_the_client_its_system_messages(endpoint: ChatEndpoint) -> None:
    earlier = (ChatMessage(role="system", text="Be brief."), *chat("Hi.", "Hello."), *chat("Lost."))
    messages = sent(endpoint, ask("Where?", earlier=earlier))["messages"]
    assert messages[0]["content"].endswith(
        "There is an image: 60 x 40 pixels, CT. You do not see it; only the tools do.\n\nBe brief."
    )
    assert messages[1:] == [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Lost.\n\nWhere?"},
    ]


def test_steps_are_calls_and_their_results(endpoint: ChatEndpoint) -> None:
    steps = (step((FIND, BOXES), (OUTLINE, FAILED), value="Looking."), step((OUTLINE, SKIPPED)))
    messages = sent(endpoint, ask("Where?", *steps))["messages"]
    roles = [message["role"] for message in messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "tool"]
    first, second = messages[2], messages[5]
    assert first["content"] == "Looking."
    assert [call["function"]["name"] for call in first["tool_calls"]] == ["grounding", "segmentation"]
    assert [json.loads(call["function"]["arguments"]) for call in first["tool_calls"]] == [
        FIND.API_params,
        OUTLINE.API_params,
    ]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert answered == [call["id"] for message in (first, second) for call in message["tool_calls"]]
    assert len(set(answered)) == 3
    told = [json.loads(message["content"]) for message in messages if message["role"] == "tool"]
    assert told == [
        {"call": 1, "result": BOXES.data},
        {"call": 2, "failed": "The worker died."},
        {"call": 3, "not_run": "It needs boxes."},
    ]


def test_a_long_result_is_cut_and_says_so(endpoint: ChatEndpoint) -> None:
    long = found("retrieval", passages=["word " * 10_000])
    messages = sent(endpoint, ask("x", step((action("retrieval", query="x"), long))))["messages"]
    text = messages[-1]["content"]
    assert text.startswith('{"call": 1, "result": {"passages": ["word word')
    assert text.endswith("characters)")
    assert len(text) < MAX_OUTCOME_CHARACTERS + 50


def test_earlier_turns_give_way_when_there_is_too_much(endpoint: ChatEndpoint) -> None:
    earlier = (ChatMessage(role="system", text="Be brief."), *chat("a" * 3_000, "Old.", "Newer?", "New."))
    messages = sent(endpoint, ask("Now?", earlier=earlier), context_characters=4_000)["messages"]
    assert len(messages) == 6
    fewer = sent(endpoint, ask("b" * 1_500, earlier=earlier), context_characters=4_000)["messages"]
    assert [message["content"][:6] for message in fewer[1:]] == ["Newer?", "New.", "b" * 6]
    assert fewer[0]["content"].endswith("Be brief.")


def test_a_turn_that_is_too_long_by_itself_is_refused_unasked(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint, context_characters=4_000)
    results = [(action("retrieval", query="x"), found("retrieval", passages=["b" * 3_000])) for _ in range(2)]
    with pytest.raises(TooLargeError, match="4000 characters"):
        list(planner.step(ask("x", step(*results)), None, carry_on))
    assert endpoint.asked == []


# The image


def test_an_image_is_sent_only_to_a_model_that_takes_one(endpoint: ChatEndpoint) -> None:
    body = sent(endpoint, ask("Where?", step((FIND, BOXES))), FRAME)
    assert "image_url" not in json.dumps(body)
    seen = sent(endpoint, ask("Where?", step((FIND, BOXES)), earlier=chat("Hi.", "Hello.")), FRAME, vision=True)
    assert "You see it." in seen["messages"][0]["content"]
    assert [type(message["content"]) for message in seen["messages"]] == [str, str, str, list, str, str]
    picture, text = seen["messages"][3]["content"]
    assert text == {"type": "text", "text": "Where?"}
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(decode_frame(base64.b64decode(data)), FRAME)


@pytest.mark.parametrize("shape", [(3_000, 1_500), (1_024, 1_024, 3)])
def test_a_large_image_is_made_smaller(endpoint: ChatEndpoint, shape: tuple[int, ...]) -> None:
    body = sent(endpoint, ask("x"), np.zeros(shape, np.uint8), vision=True)
    data = body["messages"][1]["content"][0]["image_url"]["url"].partition(",")[2]
    smaller = decode_frame(base64.b64decode(data))
    assert max(smaller.shape) == MAX_SIDE
    assert smaller.shape[0] * shape[1] == smaller.shape[1] * shape[0]


def test_hashes_stay_here(endpoint: ChatEndpoint) -> None:
    text = json.dumps(sent(endpoint, ask("x", step((FIND, BOXES))), FRAME, vision=True))
    assert not any(part in text for part in SECRET_PARTS)


def test_what_was_wrong_is_said_beside_the_image(endpoint: ChatEndpoint) -> None:
    planner = load(endpoint, vision=True)
    endpoint.replies += [said(), said("Fine.")]
    list(planner.step(ask("Where?"), FRAME, carry_on))
    *same, correction = endpoint.asked[1]["messages"][-1]["content"]
    assert same == endpoint.asked[0]["messages"][-1]["content"]
    assert "The reply is empty." in correction["text"]
