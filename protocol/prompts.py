"""How a request becomes the text that MMedAgent's planner was trained with (arXiv 2407.02483): the template vicuna_v1.

    <system> USER: <image>
    <question> ASSISTANT: <plan></s>USER: <tool> output: {...}

    Answer my first question: <question> ASSISTANT:

MMedAgent lists no tools in the prompt, because the model knows them. A planner trained otherwise may ask for the list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.invocation import ToolFailure, ToolResult
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest, Step
from mmedagent.protocol.planner_format import render_plan, second_turn

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
IMAGE_TOKEN = "<image>"  # noqa: S105 - a placeholder in the text, not a secret
END_OF_REPLY = "</s>"
REPLY = "ASSISTANT:"
"""What a prompt ends with; the planner goes on with a blank and its reply."""


@dataclass(frozen=True)
class PromptStyle:
    """What differs between checkpoints.

    `control_tokens` are the strings that the tokenizer reads as control tokens. Where a user, a tool or a document
    writes one, it is broken up, so that no such text can end a turn or stand for an image.
    """

    control_tokens: Collection[str] = (IMAGE_TOKEN, "<s>", END_OF_REPLY)
    lists_tools: bool = False


@dataclass(frozen=True)
class Turn:
    """What one side said: a question or tool output, or the text of a plan."""

    role: Literal["USER", "ASSISTANT"]
    text: str


def render_prompt(
    request: PlannerRequest, *, has_image: bool, style: PromptStyle | None = None, correction: str | None = None
) -> str:
    """The whole prompt of one step, up to and with the `ASSISTANT:` that the planner continues.

    `correction` is what was wrong with a first reply to the same request; it is added to the last user message.
    """
    style = style or PromptStyle()
    turns = _dialogue(request)
    if correction is not None:
        asked = f"{turns[-1].text}\n\nYour reply was not a plan. {correction} Reply with thoughts, actions and value."
        turns[-1] = Turn(turns[-1].role, asked)
    return f"{render_turns(turns, has_image=has_image, style=style, tools=request.tools)}{REPLY}"


def render_turns(turns: Sequence[Turn], *, has_image: bool, style: PromptStyle, tools: Sequence[ToolCard] = ()) -> str:
    """The text of a dialogue. With `REPLY` behind it, it is the prompt of the reply that comes next."""
    first_user = next((place for place, turn in enumerate(turns) if turn.role == "USER"), None)
    text = _system(tools, style)
    for place, turn in enumerate(turns):
        image = f"{IMAGE_TOKEN}\n" if has_image and place == first_user else ""
        ending = " " if turn.role == "USER" else END_OF_REPLY
        text += f"{turn.role}: {image}{_without_control(turn.text, style)}{ending}"
    return text


def render_reply(plan: Plan) -> str:
    """The assistant's text of a plan; MMedAgent's training data ends it with a line break."""
    return f"{render_plan(plan)}\n"


def without_earliest_turn(request: PlannerRequest) -> PlannerRequest | None:
    """The request without its first user message and the replies to it, or None when no earlier turn is left."""
    later = [place for place, message in enumerate(request.messages) if place and message.role == "user"]
    if not later:
        return None
    return request.model_copy(update={"messages": request.messages[later[0] :]})


def _system(tools: Sequence[ToolCard], style: PromptStyle) -> str:
    if not style.lists_tools or not tools:
        return f"{SYSTEM} "
    lines = [f"{planner_name(card.name, tools)}: {card.description} {json.dumps(card.parameters)}" for card in tools]
    listed = "\n".join(_without_control(line, style) for line in lines)
    return f"{SYSTEM} These tools can be used:\n{listed}\n"


def _dialogue(request: PlannerRequest) -> list[Turn]:
    turns = [_message(message) for message in request.messages]
    question = request.messages[-1].text
    for step in request.steps:
        turns.append(Turn("ASSISTANT", render_reply(with_planner_names(step.plan, request.tools))))
        turns.append(Turn("USER", _outcomes(step, question, request.tools)))
    return turns


def _message(message: ChatMessage) -> Turn:
    """An earlier answer is shown as a plan without actions, because the planner has only ever seen plans as replies."""
    if message.role == "user":
        return Turn("USER", message.text)
    return Turn("ASSISTANT", render_reply(Plan(thoughts="", value=message.text)))


def _outcomes(step: Step, question: str, tools: Sequence[ToolCard]) -> str:
    """What the tools gave. A failure or a skip is told in words of its own, and never as an output."""
    outputs = []
    problems = []
    for outcome in step.outcomes:
        name = planner_name(outcome.tool, tools)
        if isinstance(outcome, ToolResult):
            outputs.append((name, outcome.data))
        elif isinstance(outcome, ToolFailure):
            problems.append(f"{name} failed and gave no output: {outcome.message}\n")
        else:
            problems.append(f"{name} was not run and gave no output: {outcome.reason}\n")
    return "".join(problems) + second_turn(outputs, question)


def planner_name(tool: str, tools: Sequence[ToolCard]) -> str:
    """The name that the planner knows a tool by: its card's first alias, which is MMedAgent's, or its own name."""
    for card in tools:
        if card.answers_to(tool) and card.aliases:
            return card.aliases[0]
    return tool


def with_planner_names(plan: Plan, tools: Sequence[ToolCard]) -> Plan:
    """The plan with every tool under its `planner_name`."""
    actions = [action.model_copy(update={"API_name": planner_name(action.API_name, tools)}) for action in plan.actions]
    return plan.model_copy(update={"actions": tuple(actions)})


def _without_control(text: str, style: PromptStyle) -> str:
    for token in style.control_tokens:
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
