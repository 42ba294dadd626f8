"""How a request becomes the text that a planner was trained with; MMedAgent's with vicuna_v1 (arXiv 2407.02483):

    <system> USER: <image>
    <question> ASSISTANT: <plan></s>USER: <tool> output: {...}

    Answer my first question: <question> ASSISTANT:

Qwen's models have the same in ChatML. MMedAgent lists no tools in the prompt, because the model knows them. A planner
trained otherwise may ask for the list.
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


@dataclass(frozen=True)
class Template:
    """The text around what is said. Every pair is what comes before and what comes after.

    A prompt ends with `reply`; the planner goes on with `gap`, its reply and `end`. `image` stands for the image, in
    front of the first question. `after_tools` closes a system text that lists tools.
    """

    image: str
    system: tuple[str, str]
    after_tools: str
    user: tuple[str, str]
    reply: str
    gap: str
    end: str
    between: str = ""


VICUNA = Template(
    image=f"{IMAGE_TOKEN}\n",
    system=("", " "),
    after_tools="\n",
    user=("USER: ", " "),
    reply="ASSISTANT:",
    gap=" ",
    end=END_OF_REPLY,
)
"""Of LLaVA, and with it MMedAgent: vicuna_v1."""

CHATML = Template(
    image="<|vision_start|><|image_pad|><|vision_end|>",
    system=("<|im_start|>system\n", "<|im_end|>\n"),
    after_tools="<|im_end|>\n",
    user=("<|im_start|>user\n", "<|im_end|>\n"),
    reply="<|im_start|>assistant\n",
    gap="",
    end="<|im_end|>",
    between="\n",
)
"""Of Qwen2.5-VL and Qwen3-VL: what their chat templates write for these turns."""


@dataclass(frozen=True)
class PromptStyle:
    """What differs between checkpoints.

    `control_tokens` are the strings that the tokenizer reads as control tokens. Where a user, a tool or a document
    writes one, it is broken up, so that no such text can end a turn or stand for an image.
    """

    control_tokens: Collection[str] = (IMAGE_TOKEN, "<s>", END_OF_REPLY)
    lists_tools: bool = False
    template: Template = VICUNA


@dataclass(frozen=True)
class Turn:
    """What one side said: a question or tool output, or the text of a plan."""

    role: Literal["USER", "ASSISTANT"]
    text: str


def render_prompt(
    request: PlannerRequest, *, has_image: bool, style: PromptStyle | None = None, correction: str | None = None
) -> str:
    """The whole prompt of one step, up to and with the template's `reply`, which the planner continues.

    `correction` is what was wrong with a first reply to the same request; it is added to the last user message.
    """
    style = style or PromptStyle()
    turns = _dialogue(request)
    if correction is not None:
        asked = f"{turns[-1].text}\n\nYour reply was not a plan. {correction} Reply with thoughts, actions and value."
        turns[-1] = Turn(turns[-1].role, asked)
    return render_turns(turns, has_image=has_image, style=style, tools=request.tools) + style.template.reply


def render_conversation(messages: Sequence[ChatMessage], *, has_image: bool, style: PromptStyle) -> str:
    """The prompt of a free text that continues the messages, whose replies were free texts as well.

    A system message is put in front of what the user says next: these templates have a system text of their own.
    """
    turns: list[Turn] = []
    before: list[str] = []
    for message in messages:
        if message.role == "system":
            before.append(message.text)
            continue
        role: Literal["USER", "ASSISTANT"] = "USER" if message.role == "user" else "ASSISTANT"
        turns.append(Turn(role, "\n\n".join([*before, message.text])))
        before = []
    if before:
        turns.append(Turn("USER", "\n\n".join(before)))
    return render_turns(turns, has_image=has_image, style=style) + style.template.reply


def render_turns(turns: Sequence[Turn], *, has_image: bool, style: PromptStyle, tools: Sequence[ToolCard] = ()) -> str:
    """The text of a dialogue. With the template's `reply` behind it, it is the prompt of the reply that comes next."""
    template = style.template
    first_user = next((place for place, turn in enumerate(turns) if turn.role == "USER"), None)
    text = _system(tools, style)
    for place, turn in enumerate(turns):
        image = template.image if has_image and place == first_user else ""
        said = image + _without_control(turn.text, style)
        if turn.role == "USER":
            text += f"{template.user[0]}{said}{template.user[1]}"
        else:
            text += f"{template.reply}{template.gap}{said}{template.end}{template.between}"
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
    opening, closing = style.template.system
    if not style.lists_tools or not tools:
        return f"{opening}{SYSTEM}{closing}"
    lines = [f"{planner_name(card.name, tools)}: {card.description} {json.dumps(card.parameters)}" for card in tools]
    listed = "\n".join(_without_control(line, style) for line in lines)
    return f"{opening}{SYSTEM} These tools can be used:\n{listed}{style.template.after_tools}"


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
            problems.append(failed(name, outcome.message))
        else:
            problems.append(f"{name} was not run and gave no output: {outcome.reason}\n")
    return "".join(problems) + second_turn(outputs, question)


def failed(name: str, reason: str) -> str:
    """The line that tells the planner of a failure, under the name that it knows the tool by."""
    return f"{name} failed and gave no output: {reason}\n"


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
