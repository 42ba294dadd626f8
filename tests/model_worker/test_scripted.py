"""The scripted planner follows its script, and refuses what is no script."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mmedagent.model_worker.scripted import ScriptedPlanner
from mmedagent.protocol.errors import CancelledError, CheckpointError, MalformedPlanError
from mmedagent.protocol.invocation import Outcome, ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest, Step, StepDone, assemble
from support.results import provenance

LOOK = {
    "thoughts": "I will look.",
    "actions": [{"API_name": "grounding", "API_params": {"prompts": ["liver"]}}],
    "value": "One moment, {1}.",
}
TELL = {"thoughts": "", "value": "Found: {1}"}
SCRIPT = [
    {"contains": "Liver", "plans": [LOOK, TELL]},
    {"contains": "two", "plans": [LOOK, {"thoughts": "Both.", "value": "{2} after {1}, {x}"}]},
    {"plans": [{"thoughts": "Nothing to do.", "value": "Hello."}]},
]


def load(path: Path, script: object = SCRIPT) -> ScriptedPlanner:
    path.write_text(json.dumps(script))
    planner = ScriptedPlanner(checkpoint=path)
    planner.load("cpu")
    return planner


def ask(text: str, *outcomes: Outcome) -> PlannerRequest:
    steps = (Step(plan=Plan.model_validate(LOOK), outcomes=outcomes),) if outcomes else ()
    return PlannerRequest(messages=(ChatMessage(role="user", text=text),), steps=steps, correlation_id="test")


def result(**data: object) -> ToolResult:
    made = provenance("grounding")
    return ToolResult.model_validate({"call_id": "c1", "tool": "grounding", "data": data, "provenance": made})


FAILED = ToolFailure(call_id="c1", tool="grounding", code="worker_failed", message="The worker died.")
SKIPPED = ToolSkipped(call_id="c2", tool="segmentation", reason="It needs boxes.")


def carry_on() -> None:
    """Nobody cancels."""


def plan_of(planner: ScriptedPlanner, request: PlannerRequest) -> Plan:
    return assemble(planner.step(request, None, carry_on))


def test_steps_of_a_turn_follow_the_plans_of_the_first_rule_that_fits(tmp_path: Path) -> None:
    planner = load(tmp_path / "script.json")
    assert plan_of(planner, ask("Where is the LIVER?")) == Plan.model_validate(LOOK)
    boxes = {"boxes": [[0.1, 0.2, 0.3, 0.4]], "phrase": "µ {2}"}
    answer = plan_of(planner, ask("Where is the LIVER?", result(**boxes)))
    assert answer == Plan(thoughts="", value=f"Found: {json.dumps(boxes, ensure_ascii=False)}")
    assert plan_of(planner, ask("Who are you?")).value == "Hello."


def test_the_stream_is_in_order_and_ends_with_its_maker(tmp_path: Path) -> None:
    planner = load(tmp_path / "script.json")
    events = list(planner.step(ask("liver"), None, carry_on))
    assert [event.type for event in events] == ["thoughts"] * 3 + ["actions"] + ["value"] * 3 + ["done"]
    digest = hashlib.sha256((tmp_path / "script.json").read_bytes()).hexdigest()
    assert events[-1] == StepDone(planner="scripted", checkpoint_sha256=digest)


def test_an_action_without_a_result_is_told_as_such(tmp_path: Path) -> None:
    told = plan_of(load(tmp_path / "script.json"), ask("two", FAILED, SKIPPED)).value
    assert told == (
        "no result, because segmentation was not run: It needs boxes. after "
        "no result, because grounding failed: The worker died., {x}"
    )


@pytest.mark.parametrize(
    "request_",
    [ask("two", FAILED), ask("hello", FAILED), ask("liver", result(text="x" * 20_000))],
    ids=["no such action", "no such step", "too long"],
)
def test_a_step_without_a_scripted_plan_is_malformed(tmp_path: Path, request_: PlannerRequest) -> None:
    planner = load(tmp_path / "script.json")
    with pytest.raises(MalformedPlanError):
        list(planner.step(request_, None, carry_on))


def test_a_message_without_a_rule_is_malformed(tmp_path: Path) -> None:
    planner = load(tmp_path / "script.json", SCRIPT[:1])
    with pytest.raises(MalformedPlanError, match="step 1"):
        list(planner.step(ask("hello"), None, carry_on))


def test_cancelling_stops_at_the_next_piece(tmp_path: Path) -> None:
    left = False

    def cancel() -> None:
        if left:
            raise CancelledError("The caller left.")

    events = load(tmp_path / "script.json").step(ask("liver"), None, cancel)
    next(events)
    left = True
    with pytest.raises(CancelledError):
        next(events)


def test_a_folder_or_a_file_may_be_named_and_the_card_says_what_it_is(tmp_path: Path) -> None:
    load(tmp_path / "script.json")
    planner = ScriptedPlanner(checkpoint=tmp_path)
    planner.load("cpu")
    assert planner.card.backend == "scripted"
    assert planner.card.label == "Scripted, not a model"
    assert planner.card.checkpoint_sha256 == hashlib.sha256((tmp_path / "script.json").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({}, "not valid"),
        ([{"contains": "x"}], "either plans or a completion"),
        ([{"plans": []}], "either plans or a completion"),
        ([{"plans": [{"thoughts": "x"}]}], "0.plans.0.value"),
        ([{"plans": [TELL], "when": "x"}], "0.when"),
    ],
)
def test_what_is_no_script_is_refused(tmp_path: Path, script: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "script.json", script)


def test_a_missing_or_unnamed_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="missing"):
        ScriptedPlanner(checkpoint=tmp_path).load("cpu")
    with pytest.raises(CheckpointError, match="needs a script"):
        ScriptedPlanner(checkpoint=None).load("cpu")
