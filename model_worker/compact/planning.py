"""From a reading to a plan: which tools run, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence

from mmedagent.model_worker.compact import talk
from mmedagent.model_worker.compact.compose import composed
from mmedagent.model_worker.compact.reading import Reading
from mmedagent.model_worker.compact.recall import recalled
from mmedagent.networks.planner_parts import Part, PlannedPart, plan_parts
from mmedagent.protocol.plan import Plan, PlannerRequest
from mmedagent.protocol.references import references_of

MAX_ANSWER = 18_000
"""Longer answers are cut at this many characters."""


def first_plan(reading: Reading, request: PlannerRequest, threshold: float) -> Plan:
    """What to do about an ask that nothing has been done about yet."""
    if reading.has("unsafe"):
        return Plan(thoughts="This asks for something that I must not do, so I will decline.", value=talk.DECLINED)
    if reading.ask.problems and reading.has("segmentation"):
        thoughts = "The coordinates cannot be used as they are, so I will ask for others."
        return Plan(thoughts=thoughts, value=talk.unusable_coordinates(reading.ask.problems))
    if reading.misplaced and not reading.parts:
        return _elsewhere(reading, request)
    if reading.confidence < threshold:
        thoughts = "I am not sure enough what is wanted, so I will ask instead of guessing."
        return Plan(thoughts=thoughts, value=_question(reading, request))
    if not reading.tool_parts:
        return _elsewhere(reading, request) if reading.misplaced else _without_tools(reading, request)
    planned = _planned(reading, request)
    actions = tuple(part.action for part in planned if part.action is not None)
    notes = _notes(reading, planned, request)
    if not actions:
        return _without_actions(reading, notes)
    thoughts = talk.intention([part for part in planned if part.action is not None], reading.ask)
    if len(actions) > 1:
        dependent = any(references_of(action.API_params) for action in actions)
        thoughts += " " + (talk.ONE_AFTER_THE_OTHER if dependent else talk.AT_ONCE)
    return Plan(thoughts=thoughts, actions=actions, value=" ".join([talk.announcement(actions), *notes]))


def answer(reading: Reading, request: PlannerRequest) -> Plan:
    """What came of the actions, and what of the ask had no action."""
    paragraphs = composed(request)
    if reading.look is not None or reading.has("image_question"):
        paragraphs.insert(0, _looked(reading))
    paragraphs += _notes(reading, _planned(reading, request), request)
    thoughts = "The actions are done, so I will answer from their results and from nothing else."
    text = "\n\n".join(paragraphs)
    return Plan(thoughts=thoughts, value=text if len(text) <= MAX_ANSWER else f"{text[:MAX_ANSWER]}…")


def _elsewhere(reading: Reading, request: PlannerRequest) -> Plan:
    thoughts = "The image is not one for what is asked, so I will say so instead of running a tool."
    seen = [reading.look.text] if reading.look is not None else []
    return Plan(thoughts=thoughts, value="\n\n".join([*seen, *_notes(reading, (), request)]))


def _looked(reading: Reading) -> str:
    return reading.look.text if reading.look is not None else talk.IMAGE_NEEDED


def _without_actions(reading: Reading, notes: Sequence[str]) -> Plan:
    """Why no tool runs, after what a look at the image can say instead."""
    if reading.look is None:
        return Plan(thoughts="No tool can do this as things are, so I will say why.", value=" ".join(notes))
    thoughts = "The tool for this is not there, so I will say what a look at the image tells."
    return Plan(thoughts=thoughts, value="\n\n".join([reading.look.text, *notes]))


def _planned(reading: Reading, request: PlannerRequest) -> tuple[PlannedPart, ...]:
    usable = {card.name for card in request.tools if request.image is not None or not card.needs_image}
    return plan_parts(reading.tool_parts, reading.ask, usable)


def _notes(reading: Reading, planned: Sequence[PlannedPart], request: PlannerRequest) -> list[str]:
    """Why parts of an ask have no action, each reason once."""
    registered = {card.name for card in request.tools}
    notes = [
        *reading.misplaced,
        *(talk.no_tool_for(part.words) for part in reading.parts if part.outcome == "other_tool"),
    ]
    for part in planned:
        if part.action is not None:
            continue
        tool = part.part.outcome
        if tool not in registered:
            notes.append(talk.unavailable(tool, registered))
        elif part.missing:
            notes.append(talk.missing(tool, part.missing))
        else:
            notes.append(talk.IMAGE_NEEDED)
    return list(dict.fromkeys(notes))


def _without_tools(reading: Reading, request: PlannerRequest) -> Plan:
    """Answers that need no tool; among several the most substantial one is given."""
    by_weight = (
        "off_topic",
        "other_tool",
        "image_question",
        "recall",
        "abilities",
        "clarify",
        "greeting",
        "thanks",
    )
    outcome = next((outcome for outcome in by_weight if reading.has(outcome)), "clarify")
    match outcome:
        case "off_topic":
            return Plan(thoughts="This has nothing to do with medical images or medicine.", value=talk.OFF_TOPIC)
        case "other_tool":
            seen = [_looked(reading)] if reading.has("image_question") else []
            value = "\n\n".join([*seen, *_notes(reading, (), request), talk.abilities(request.tools)])
            return Plan(thoughts="This needs a tool that is not there, so I will say so.", value=value)
        case "image_question":
            thoughts = "A look at the image is enough for this, so no tool is needed."
            return Plan(thoughts=thoughts, value=_looked(reading))
        case "recall" if told := recalled(request):
            return Plan(thoughts="This is about results that are there already, so no tool is needed.", value=told)
        case "abilities":
            return Plan(thoughts="This is a question about what I can do.", value=talk.abilities(request.tools))
        case "greeting":
            return Plan(thoughts="This is a greeting, so no tool is needed.", value=talk.GREETING)
        case "thanks":
            return Plan(thoughts="Nothing is asked for, so no tool is needed.", value=talk.WELCOME)
        case _:
            thoughts = "It is not said what should be done or with what, so I will ask."
            return Plan(thoughts=thoughts, value=talk.open_question(request.tools, request.image is not None))


def _question(reading: Reading, request: PlannerRequest) -> str:
    unsure: Part | None = min(reading.parts, key=lambda part: part.confidence, default=None)
    if unsure is None:
        return talk.open_question(request.tools, request.image is not None)
    return talk.either_or(unsure.outcome, unsure.runner_up, request.tools, request.image is not None)
