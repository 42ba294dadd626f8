"""What the OpenAI planner makes of the replies of an endpoint: plans, answers, and a second question for nonsense."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.model_worker.openai_compatible.calls import MAX_PREAMBLE
from mmedagent.model_worker.openai_compatible.reading import MAX_THOUGHTS
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.invocation import ToolFailure
from mmedagent.protocol.plan import MAX_ACTIONS, Plan, StepDone, ThoughtsDelta, ValueDelta, assemble
from mmedagent.protocol.types import MAX_TEXT
from openai_planners import MODEL, action, ask, carry_on, found, load, plan_of, step
from support.chat_endpoint import DONE, ChatEndpoint, Reply, call_piece, called, chunk, cut, running_endpoint, said

LIVER = ("grounding", {"prompts": ["liver"]})
SPLEEN = ("grounding", {"prompts": ["spleen"]})
FIND_LIVER = Plan(thoughts="", actions=(action("grounding", prompts=["liver"]),), value="")
FAILED = ToolFailure(call_id="c", tool="grounding", code="worker_failed", message="It died.")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def planner(endpoint: ChatEndpoint) -> OpenAIPlanner:
    endpoint.replies.clear()
    return load(endpoint)


# Plans


def test_a_call_becomes_an_action(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(called(LIVER))
    events = list(planner.step(ask("Where is the liver?"), None, carry_on))
    assert assemble(events) == FIND_LIVER
    assert [event.type for event in events] == ["actions", "done"]
    assert events[-1] == StepDone(planner=MODEL)
    assert len(endpoint.asked) == 1


def test_calls_of_one_reply_become_one_plan(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(called(LIVER, SPLEEN, ("segmentation", {"boxes": "$2.boxes"})))
    assert plan_of(planner, ask("Both")).actions == (
        action("grounding", prompts=["liver"]),
        action("grounding", prompts=["spleen"]),
        action("segmentation", boxes="$2.boxes"),
    )


def in_turns() -> Reply:
    """Two calls whose pieces take turns."""
    pieces = [
        call_piece(1, "b", name="grounding"),
        call_piece(0, "a", name="grounding", arguments='{"prompts": '),
        call_piece(1, arguments='{"prompts": ["spleen"'),
        call_piece(0, arguments='["liver"]}'),
        call_piece(1, arguments="]}"),
    ]
    return Reply([*(chunk(tool_calls=[piece]) for piece in pieces), chunk("tool_calls"), DONE])


def whole(index: int | None) -> Reply:
    """As Ollama does: every call whole, all under the same index or none, told apart by their ids."""
    calls = [
        call_piece(index, name, name="grounding", arguments=f'{{"prompts": ["{name}"]}}')
        for name in ("spleen", "liver")
    ]
    return Reply([chunk(tool_calls=[calls[0]]), chunk("tool_calls", tool_calls=[calls[1]]), DONE])


@pytest.mark.parametrize("reply", [in_turns(), whole(0), whole(None)], ids=["in turns", "one index", "no index"])
def test_pieces_of_calls_find_together(planner: OpenAIPlanner, endpoint: ChatEndpoint, reply: Reply) -> None:
    endpoint.replies.append(reply)
    actions = plan_of(planner, ask("Both")).actions
    assert {str(one.API_params["prompts"]) for one in actions} == {"['liver']", "['spleen']"}


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_it_does_not_matter_where_the_stream_is_cut(planner: OpenAIPlanner, endpoint: ChatEndpoint, size: int) -> None:
    prompts = {"prompts": ["läsion 🫁", "µ"]}
    reply = called(("grounding", prompts), text="Größe 🩺?", reasoning_content="Ärzte 🤔 fragen.")
    endpoint.replies.append(cut(reply, size))
    thoughts = "Ärzte 🤔 fragen.\n\nGröße 🩺?"
    assert plan_of(planner, ask("x")) == Plan(thoughts=thoughts, actions=(action("grounding", **prompts),), value="")


def test_carriage_returns_comments_and_usage_are_passed_over(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    usage = b'data: {"choices": [], "usage": {"total_tokens": 3}}\r\n\r\n'
    pieces = [b": ping\r\n\r\n", *(piece for piece in said("Hi.").pieces if isinstance(piece, bytes) and piece != DONE)]
    endpoint.replies.append(Reply([piece.replace(b"\n", b"\r\n") for piece in pieces] + [usage, DONE]))
    assert plan_of(planner, ask("x")).value == "Hi."


def test_a_tool_may_be_called_by_its_alias_and_without_its_image(
    planner: OpenAIPlanner, endpoint: ChatEndpoint
) -> None:
    endpoint.replies.append(called(("Grounding DINO", {"prompts": ["liver"], "image": ""})))
    assert plan_of(planner, ask("x")) == FIND_LIVER


def test_no_arguments_are_an_empty_object(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies += [called(("retrieval", "")), called(("retrieval", {"query": "x"}))]
    assert plan_of(planner, ask("x")).actions == (action("retrieval", query="x"),)
    assert "'query' is a required property" in endpoint.asked[1]["messages"][-1]["content"]


def test_references_reach_back_over_the_turn(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(called(("segmentation", {"boxes": "$1.boxes"})))
    done = step((action("grounding", prompts=["liver"]), found("grounding", boxes=[[0, 0, 1, 1]])))
    assert plan_of(planner, ask("x", done)).actions == (action("segmentation", boxes="$1.boxes"),)


# Thoughts and answers


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_thoughts(planner: OpenAIPlanner, endpoint: ChatEndpoint, name: str) -> None:
    pieces = [chunk(**{name: "Let me "}), chunk(**{name: "think."}), chunk(content="\n\nHello."), chunk("stop"), DONE]
    endpoint.replies.append(Reply(pieces))
    events = list(planner.step(ask("Hi"), None, carry_on))
    assert assemble(events) == Plan(thoughts="Let me think.", value="Hello.")
    assert [event.type for event in events] == ["thoughts", "thoughts", "actions", "value", "done"]


def test_long_reasoning_is_cut(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    pieces = [chunk(reasoning="a" * 3_000) for _ in range(12)]
    endpoint.replies.append(Reply([*pieces, chunk(content="Hello."), chunk("stop"), DONE]))
    plan = plan_of(planner, ask("Hi"))
    assert plan.thoughts == "a" * MAX_THOUGHTS + "…"
    assert plan.value == "Hello."


@pytest.mark.parametrize("tools", [(), None], ids=["no tools", "tools"])
def test_an_answer_is_passed_on_while_it_is_written(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, tools: tuple[()] | None
) -> None:
    rest, start = threading.Event(), "The liver is there [1]. " * (1 if tools == () else 20)
    endpoint.replies.append(Reply([chunk(content=start), rest, chunk(content="End."), chunk("stop"), DONE]))
    events = planner.step(ask("x") if tools is None else ask("x", tools=tools), None, carry_on)
    assert [next(events).type, next(events)] == ["actions", ValueDelta(text=start)]
    rest.set()
    assert [event for event in events if isinstance(event, ValueDelta)] == [ValueDelta(text="End.")]


def test_thoughts_are_passed_on_while_they_are_written(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    rest = threading.Event()
    endpoint.replies.append(Reply([chunk(reasoning="Hm"), rest, chunk(content="End."), chunk("stop"), DONE]))
    events = planner.step(ask("x"), None, carry_on)
    assert next(events) == ThoughtsDelta(text="Hm")
    rest.set()
    assert assemble(events).value == "End."


def test_a_sentence_before_calls_is_thoughts(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(called(LIVER, text="I will look for it. "))
    assert plan_of(planner, ask("x")) == FIND_LIVER.model_copy(update={"thoughts": "I will look for it."})


def test_a_refusal_is_the_answer(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    refusal = Reply([chunk(refusal="I cannot "), chunk(refusal="help with that."), chunk("stop"), DONE])
    endpoint.replies.append(refusal)
    assert plan_of(planner, ask("x")) == Plan(thoughts="", value="I cannot help with that.")


# Replies that are no plan

MALFORMED: list[Any] = [
    pytest.param(called(("xray", {})), "no tool 'xray'; there is: grounding, segmentation, retrieval", id="unknown"),
    pytest.param(called(("grounding", {"prompts": "liver"})), "prompts: 'liver' is not of type", id="type"),
    pytest.param(called(("grounding", {"prompts": ["a"], "x": 1})), "'x' was unexpected", id="extra"),
    pytest.param(called(("grounding", {})), "'prompts' is a required", id="missing"),
    pytest.param(called(("segmentation", {"boxes": [[0, 0, 2, 2]]})), "maximum of 1", id="outside"),
    pytest.param(called(("grounding", '{"prompts": ["liver"]')), "not valid JSON", id="unclosed"),
    pytest.param(called(("grounding", "{'prompts': ['liver']}")), "not valid JSON", id="python"),
    pytest.param(called(("grounding", '{"prompts": ["a"], "prompts": ["b"]}')), "not valid JSON", id="twice"),
    pytest.param(called(("grounding", '{"prompts": NaN}')), "not valid JSON", id="NaN"),
    pytest.param(called(("grounding", '{"prompts": ["a"]} done')), "not one JSON object", id="more"),
    pytest.param(called(("grounding", '["liver"]')), "not one JSON object", id="list"),
    pytest.param(called(("grounding", "[" * 100_000)), "64000 characters", id="endless"),
    pytest.param(called(("grounding", "[" * 60_000)), "nested too deeply", id="deep"),
    pytest.param(called(("segmentation", {"boxes": "$1.boxes"})), "does not come before", id="itself"),
    pytest.param(called(("segmentation", {"boxes": "$0.boxes"})), "does not come before", id="nothing"),
    pytest.param(called(LIVER, ("segmentation", {"boxes": "$1.masks"})), r"\$1.masks, which is not there", id="field"),
    pytest.param(called(*[LIVER] * (MAX_ACTIONS + 1)), f"at most {MAX_ACTIONS} actions", id="many"),
    pytest.param(said(), "empty", id="nothing said"),
    pytest.param(said(" \n", reasoning="Hm."), "empty", id="only thoughts"),
    pytest.param(said("The liver is", finish="length"), "limit of tokens", id="cut off"),
    pytest.param(said("The", finish="content_filter"), "content filter", id="filtered"),
]


@pytest.mark.parametrize(("reply", "words"), MALFORMED)
def test_what_is_no_plan_is_asked_for_again_with_what_is_wrong(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, reply: Reply, words: str
) -> None:
    endpoint.replies += [reply, called(LIVER)]
    assert plan_of(planner, ask("x")).actions == FIND_LIVER.actions
    first, second = (asked["messages"] for asked in endpoint.asked)
    assert second[:-1] == first[:-1]
    assert second[-1]["content"].startswith("x\n\nYour last reply could not be used: ")

    endpoint.replies += [reply, reply]
    with pytest.raises(MalformedPlanError, match=words) as raised:
        plan_of(planner, ask("x"))
    assert "also when asked again" in raised.value.detail
    assert len(endpoint.asked) == 4


def test_a_reference_to_what_failed_is_asked_for_again(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies += [called(("segmentation", {"boxes": "$1.boxes"})), said("It failed [1].")]
    done = step((action("grounding", prompts=["liver"]), FAILED))
    assert plan_of(planner, ask("x", done)).value == "It failed [1]."
    assert endpoint.asked[1]["messages"][-1]["role"] == "user"
    assert "$1.boxes, which is not there" in endpoint.asked[1]["messages"][-1]["content"]


def test_thoughts_of_both_replies_are_kept_apart(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies += [called(("xray", {}), reasoning="First."), called(LIVER, reasoning="Second.")]
    assert plan_of(planner, ask("x")).thoughts == "First.\n\nSecond."


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (said("a" * (MAX_PREAMBLE + 1), finish="length"), "limit of tokens"),
        (called(LIVER, text="a" * (MAX_PREAMBLE + 1)), "in the middle of an answer"),
        (said(*["a" * 1_000] * (MAX_TEXT // 1_000), "b"), f"at most {MAX_TEXT} characters"),
    ],
    ids=["cut off", "calls", "too long"],
)
def test_an_answer_that_has_begun_is_not_asked_for_again(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, reply: Reply, words: str
) -> None:
    endpoint.replies.append(reply)
    with pytest.raises(MalformedPlanError, match=words):
        plan_of(planner, ask("x"))
    assert len(endpoint.asked) == 1


def test_calls_are_refused_when_no_tool_is_left(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies += [called(LIVER), said("Enough.")]
    assert plan_of(planner, ask("x", tools=())).value == "Enough."
    assert "there is: none at present" in endpoint.asked[1]["messages"][-1]["content"]
