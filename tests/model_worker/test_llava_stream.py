"""Reading a plan while it is written: any cutting of any text gives what `parse_plan` gives for the whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmedagent.model_worker.llava.stream import PlanSplitter
from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import Action, ActionsReady, Plan, ThoughtsDelta, ValueDelta, assemble
from mmedagent.protocol.planner_format import ACTIONS, THOUGHTS, VALUE, parse_plan, render_plan
from mmedagent.protocol.strict_json import MAX_NESTING

PROSE = st.text(max_size=40).map(str.strip)
KEYS = st.text(min_size=1, max_size=8).filter(lambda key: key != "image")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PROSE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
ACTION = st.builds(Action, API_name=st.text(max_size=12), API_params=st.dictionaries(KEYS, JSON, max_size=3))
PLANS = st.builds(Plan, thoughts=PROSE, actions=st.lists(ACTION, max_size=3).map(tuple), value=PROSE)
ONE_ACTION = '[{"API_name": "a", "API_params": {"b": "\\"]"}}]'
FRAGMENTS = st.sampled_from(
    [THOUGHTS, ACTIONS, VALUE, THOUGHTS[:5], ACTIONS[:-1], "🚀", ONE_ACTION, "[]", "[{}]", "]]", "1", "word"]
) | st.sampled_from(' \n\u2028[]{}"\\')
JUNK = st.lists(FRAGMENTS, max_size=12).map("".join) | st.text(max_size=60)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def read(parts: list[str]) -> tuple[list[StepEvent], Plan]:
    splitter = PlanSplitter()
    events = [event for part in parts for event in splitter.feed(part)]
    return events, splitter.finish()


def read_or_refuse(parts: list[str]) -> Plan | None:
    try:
        return read(parts)[1]
    except MalformedPlanError:
        return None


def parse_or_refuse(text: str) -> Plan | None:
    try:
        return parse_plan(text)
    except MalformedPlanError:
        return None


@settings(deadline=None)
@given(plan=PLANS, cuts=st.lists(st.integers(0, 2_000), max_size=12), around=st.sampled_from(["", " ", "\n\t"]))
def test_events_of_any_cutting_add_up_to_the_plan(plan: Plan, cuts: list[int], around: str) -> None:
    assume(ACTIONS not in plan.thoughts)
    assume(json.dumps([action.model_dump() for action in plan.actions]).count("[") <= MAX_NESTING // 2)
    text = f"{around}{render_plan(plan)}{around}"

    events, whole = read(pieces(text, cuts))

    assert assemble(events) == whole == plan
    order = [event.type for event in events]
    assert order == sorted(order, key=["thoughts", "actions", "value"].index)
    assert order.count("actions") == 1


@settings(deadline=None)
@given(text=JUNK, prefix=st.sampled_from(["", f"{THOUGHTS} x", f"{THOUGHTS}{ACTIONS}"]), cuts=st.lists(st.integers(0)))
def test_junk_is_read_or_refused_exactly_as_by_the_parser(text: str, prefix: str, cuts: list[int]) -> None:
    text = prefix + text
    assert read_or_refuse(pieces(text, cuts)) == parse_or_refuse(text)


@settings(deadline=None)
@given(plan=PLANS, cut=st.integers(0))
def test_what_is_accepted_leads_back_to_the_same_place(plan: Plan, cut: int) -> None:
    assume(ACTIONS not in plan.thoughts)
    text = render_plan(plan)
    splitter = PlanSplitter()
    given_out = splitter.feed(text[: cut % len(text)])
    assume(not splitter.answering)

    resumed = PlanSplitter()
    again = resumed.feed(splitter.accepted)

    assert resumed.accepted == splitter.accepted
    assert assemble(again) == assemble(given_out)


def test_every_part_is_given_out_as_soon_as_it_is_certain() -> None:
    splitter = PlanSplitter()
    assert splitter.feed(f"{THOUGHTS} I look") == [ThoughtsDelta(text="I look")]
    assert splitter.feed('. "act') == [ThoughtsDelta(text=".")]
    assert splitter.feed("s") == [ThoughtsDelta(text=' "acts')]
    assert splitter.feed(f'{ACTIONS} [{{"API_name": "a"}}') == []
    assert splitter.feed("]") == [ActionsReady(actions=(Action(API_name="a"),))]
    assert splitter.feed(f"\n{VALUE}  Done") == [ValueDelta(text="Done")]
    assert splitter.feed(". \n") == [ValueDelta(text=".")]
    assert splitter.finish().value == "Done."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I ", "begins with its thoughts"),
        (f"{THOUGHTS} x {ACTIONS} none", "not a list"),
        (f"{THOUGHTS} x {ACTIONS} [1,]", "not valid JSON"),
        (f"{THOUGHTS} x {ACTIONS} [1]", "API_name"),
        (f"{THOUGHTS} x {ACTIONS} [] and", "value right after"),
        (f"{THOUGHTS} x {ACTIONS} {'[' * 40}{']' * 40}", "nested too deeply"),
        (f"{THOUGHTS} {'x' * 20_001}", "over its bounds"),
        (f"{THOUGHTS} {'x ' * 15_000}{ACTIONS} []", "over its bounds"),
        (" " * 64_001, "at most 64000"),
    ],
)
def test_what_cannot_become_a_plan_is_refused_at_once(text: str, words: str) -> None:
    with pytest.raises(MalformedPlanError, match=words):
        PlanSplitter().feed(text)


@pytest.mark.parametrize("text", ["", THOUGHTS, f"{THOUGHTS} x", f"{THOUGHTS} x {ACTIONS} [", f"{THOUGHTS}{ACTIONS}[]"])
def test_a_plan_that_stops_early_is_refused_at_the_end(text: str) -> None:
    splitter = PlanSplitter()
    splitter.feed(text)
    with pytest.raises(MalformedPlanError, match="before its value"):
        splitter.finish()
