"""The literal form of a plan: what is written is read back, and what is no plan is refused in one way only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import (
    MAX_ACTIONS,
    Action,
    ActionsReady,
    Plan,
    StepDone,
    ThoughtsDelta,
    ValueDelta,
    assemble,
)
from mmedagent.protocol.planner_format import (
    ACTIONS,
    THOUGHTS,
    VALUE,
    parse_plan,
    render_plan,
    second_turn,
)
from mmedagent.protocol.strict_json import MAX_NESTING

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=6
)
NAMES = st.text(max_size=40)
ACTION = st.builds(
    Action, API_name=NAMES, API_params=st.dictionaries(st.text().filter(lambda key: key != "image"), VALUES, max_size=4)
)
WORDS = st.text(max_size=200).map(str.strip).filter(lambda words: ACTIONS not in words)
PLANS = st.builds(
    Plan, thoughts=WORDS, actions=st.lists(ACTION, max_size=MAX_ACTIONS).map(tuple), value=st.text().map(str.strip)
)
PIECES = st.sampled_from([THOUGHTS, ACTIONS, VALUE, "[", "]", "{", "}", '"', ",", "NaN", "1e999", "\n", "\\", "\ud800"])


@settings(max_examples=50, deadline=None)
@given(PLANS)
def test_a_plan_is_read_back_as_it_was_written(plan: Plan) -> None:
    assert parse_plan(render_plan(plan)) == plan


@settings(deadline=None)
@given(st.text() | st.lists(PIECES | st.text(max_size=5)).map("".join))
def test_any_text_is_a_plan_or_malformed(text: str) -> None:
    read_or_refuse(text)


@settings(max_examples=100, deadline=None)
@given(PLANS, st.data())
def test_a_damaged_plan_is_a_plan_or_malformed(plan: Plan, data: st.DataObject) -> None:
    text = render_plan(plan)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    read_or_refuse(text[:start] + data.draw(PIECES | st.text(max_size=3)) + text[end:])


def read_or_refuse(text: str) -> None:
    try:
        plan = parse_plan(text)
    except MalformedPlanError:
        return
    assert parse_plan(render_plan(plan)).actions == plan.actions
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def written(actions: str) -> str:
    return f"{THOUGHTS} I will look.\n{ACTIONS} {actions}\n{VALUE} One moment."


def test_the_form_of_mmedagent_is_read() -> None:
    text = (
        '"thoughts🤔" I will use grounding dino.\n'
        '"actions🚀" [{"API_name": "grounding dino", "API_params": {"prompts": ["liver"], "image": "<image>"}}]\n'
        '"value👉" Let me look for it.\n'
    )
    (action,) = parse_plan(text).actions
    assert action == Action(API_name="grounding dino", API_params={"prompts": ["liver"]})


@pytest.mark.parametrize("image", ["", "<image>", "<imagepath>"])
def test_placeholders_stand_for_the_image_of_the_turn(image: str) -> None:
    actions = json.dumps([{"API_name": "MedSAM", "API_params": {"image": image}}])
    assert parse_plan(written(actions)).actions[0].API_params == {}
    kept = json.dumps([{"API_name": "MedSAM", "API_params": {"image": "file-1"}}])
    assert parse_plan(written(kept)).actions[0].API_params == {"image": "file-1"}


@pytest.mark.parametrize(
    "actions",
    [
        "",
        "{}",
        "null",
        "[",
        "[3]",
        "[{}]",
        "[] []",
        "[],",
        "['a']",
        '[{"API_name": 3}]',
        '[{"API_name": "a", "API_params": []}]',
        '[{"API_name": "a", "API_params": {"x": NaN}}]',
        '[{"API_name": "a", "API_params": {"x": 1e999}}]',
        '[{"API_name": "a", "API_params": {"x": "\\ud800"}}]',
        '[{"API_name": "a", "API_params": {"x": 1, "x": 2}}]',
        '[{"API_name": "a", "API_name": "b"}]',
        '[{"API_name": "a", "API_params": {}, "more": 1}]',
        '[{"API_name": "' + "a" * 501 + '"}]',
        "[" + ",".join(['{"API_name": "a"}'] * (MAX_ACTIONS + 1)) + "]",
        "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1),
        "[" * 50_000,
        '[{"API_name": "a", "API_params": {"x": ' + "9" * 5_000 + "}}]",
        '__import__("os")',
    ],
)
def test_actions_that_are_none_are_malformed(actions: str) -> None:
    with pytest.raises(MalformedPlanError):
        parse_plan(written(actions))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words",
        THOUGHTS,
        f"{THOUGHTS} a {ACTIONS} []",
        f"{ACTIONS} [] {VALUE} b",
        f"{VALUE} a {ACTIONS} [] {THOUGHTS} b",
        f"before {THOUGHTS} a {ACTIONS} [] {VALUE} b",
        f"{THOUGHTS} a {ACTIONS} [] between {VALUE} b",
        f"{THOUGHTS} a {ACTIONS} [] {VALUE} " + "b" * 70_000,
        f"{THOUGHTS} a {ACTIONS} [] {VALUE} " + "b" * 21_000,
    ],
)
def test_the_three_parts_are_there_in_order(text: str) -> None:
    with pytest.raises(MalformedPlanError):
        parse_plan(text)


def test_results_are_told_in_the_words_of_mmedagent() -> None:
    text = second_turn([("grounding", {"boxes": []}), ("MedSAM", {"µ": 1})], "Where is it?")
    assert text == 'grounding output: {"boxes": []}\nMedSAM output: {"µ": 1}\n\nAnswer my first question: Where is it?'


def test_events_add_up_to_a_plan() -> None:
    actions = (Action(API_name="a"),)
    thoughts = (ThoughtsDelta(text="a"), ThoughtsDelta(text="b"))
    events = (*thoughts, ActionsReady(actions=actions), ValueDelta(text="c"), StepDone(planner="x"))
    assert assemble(events) == Plan(thoughts="ab", actions=actions, value="c")
    with pytest.raises(MalformedPlanError):
        assemble([ValueDelta(text="a" * 15_000)] * 2)
