"""The planner's own sentences: intentions, questions back, and answers that rest on no tool."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.networks.planner_parts import PlannedPart, without_joints
from mmedagent.networks.planner_text import AskText
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action

DECLINED = (
    "I cannot help with that. I do not prescribe or dose medicines, decide on treatment, identify people, or write "
    "anything untrue about an image. If someone may be in danger, please call your local emergency number now; for "
    "decisions about treatment, please speak to a physician."
)
OFF_TOPIC = "That is outside of what I do. I answer questions about medical images and look up medical conditions."
GREETING = "Hello. Attach a medical image and ask about it, or ask about a condition."
WELCOME = "You are welcome. Ask on whenever you like."
IMAGE_NEEDED = "There is no image in this conversation yet. Please attach one and ask again."
AT_ONCE = "The parts do not depend on each other, so the tools run at the same time."
ONE_AFTER_THE_OTHER = "Where an action needs the result of another, it waits for it."
MAX_QUOTED = 160
"""Longer words of the user are quoted up to this many characters."""

_DOING = {
    "grounding": "find something by its name",
    "segmentation": "outline what is inside a box or at a point",
    "grounded_segmentation": "outline something that you name",
    "classification": "classify the image",
    "report_generation": "write a radiology report",
    "retrieval": "look a condition up in the medical handbook",
    "consultation": "ask the panel of specialists",
    "image_question": "describe the image at a glance",
    "abilities": "tell what I can do",
}
_TASKS = {
    "modality": "which imaging modality it is",
    "anatomy": "which body part it shows",
    "histology": "which kind of tissue or stain it shows",
    "finding": "which finding is the most probable",
}


def intention(planned: Sequence[PlannedPart], ask: AskText) -> str:
    """The thoughts of a plan with actions: what is asked and so what will be done."""
    sentences = [_intended(part, ask) for part in planned]
    if ask.in_pixels and ask.has_coordinates:
        sentences.append("Coordinates above 1 are read as pixels of the frame.")
    return " ".join(sentences)


def _intended(planned: PlannedPart, ask: AskText) -> str:
    part, parameters = planned.part, planned.action.API_params if planned.action else {}
    names = numbers.listed([numbers.quoted(str(name)) for name in _items(parameters.get("prompts"))])
    match part.outcome:
        case "grounding":
            return f"The question is whether and where {names} can be seen, so I will look for it with grounding."
        case "grounded_segmentation":
            return f"An outline of {names} is wanted, so I will find it by name and outline it."
        case "segmentation" if isinstance(parameters.get("boxes"), str):
            return "What is found should be outlined, so segmentation will take the boxes of the step before."
        case "segmentation":
            given = numbers.listed(
                [
                    numbers.counted(len(shapes), name)
                    for shapes, name in ((ask.boxes, "box"), (ask.points, "point"))
                    if shapes
                ]
            )
            return f"The place is given by {given}, so I will outline what is there with segmentation and measure it."
        case "classification":
            labels = [numbers.quoted(str(label)) for label in _items(parameters.get("labels"))]
            goal = f"whether it is {numbers.listed(labels, 'or')}" if labels else _TASKS[str(parameters["task"])]
            return f"A label for the whole image is wanted, so I will classify {goal}."
        case "report_generation":
            return "A written report is wanted, so I will have one drafted from the image."
        case "retrieval":
            return "This part is general medical knowledge, so I will search the handbook and quote it."
        case "consultation":
            return "Another opinion is wanted, so I will put the question to the specialists."
        case _:
            return f"This is what the {_spoken(part.outcome)} tool is for, so I will use it."


def announcement(actions: Sequence[Action]) -> str:
    """The value of a plan with actions."""
    doing = {
        "grounding": "look for it",
        "segmentation": "outline it",
        "grounded_segmentation": "find and outline it",
        "classification": "classify the image",
        "report_generation": "draft the report",
        "retrieval": "search the handbook",
        "consultation": "ask the specialists",
    }
    names = [action.API_name for action in actions]
    return f"Let me {numbers.listed([doing.get(name, _doing(name)) for name in names])}."


def unavailable(tool: str, registered: Collection[str]) -> str:
    """That a capability is not there; for a named structure, that a box helps where one can be used."""
    sentence = f"To {_doing(tool)}, the {_spoken(tool)} tool is needed, which is not available on this server."
    if tool in {"grounding", "grounded_segmentation"} and "segmentation" in registered:
        return f"{sentence} Draw a box around the structure, and I can outline and measure what is in it."
    return sentence


def no_tool_for(words: str) -> str:
    """That the planner knows no tool for what some words ask for."""
    said = without_joints(_line(words))
    shown = said if len(said) <= MAX_QUOTED else f"{said[:MAX_QUOTED].rstrip()}…"
    return f"I know no tool for this: {numbers.quoted(shown.rstrip('.?!'))}."


def missing(tool: str, what: str) -> str:
    return f"To {_doing(tool)}, I need {what}. Could you give it?"


def unusable_coordinates(problems: Sequence[str]) -> str:
    return (
        f"I cannot use these coordinates ({'; '.join(problems)}). Could you give a box as [x1, y1, x2, y2] in "
        "fractions of the image's sides, or draw it on the image?"
    )


def either_or(first: str, second: str, tools: Sequence[ToolCard], has_image: bool) -> str:
    """The clarifying question between the two most probable readings of an ask."""
    known = {*_DOING, *(card.name for card in tools)}
    choices = [_doing(outcome) for outcome in (first, second) if outcome in known]
    if not choices:
        return open_question(tools, has_image)
    if len(choices) == 1:
        return f"I am not sure what you would like. Should I {choices[0]}? If not, please say it in other words."
    return f"I am not sure what you would like. Should I {choices[0]}, or {choices[1]}?"


def open_question(tools: Sequence[ToolCard], has_image: bool) -> str:
    """The question back to an ask that says too little, with asks that would work here."""
    examples = [card.examples[0].ask for card in tools if card.examples and (has_image or not card.needs_image)][:3]
    asks = f" For example: {numbers.listed([numbers.quoted(_line(ask)) for ask in examples], 'or')}" if examples else ""
    image = "" if has_image else " There is no image in this conversation yet."
    return f"What would you like to know, and about which structure?{image}{asks}"


def abilities(tools: Sequence[ToolCard]) -> str:
    """What can be done with the tools that are registered now."""
    if not tools:
        return "I plan the work of image tools, but no tool is registered on this server now."
    titles = numbers.listed([card.title[:1].lower() + card.title[1:] for card in tools])
    return (
        "I am the planner of a research system for medical images, not a physician and not a medical device. "
        f"With the tools that are registered now I can: {titles}. Boxes and points are given as [x1, y1, x2, y2] and "
        "[x, y] in fractions of the image's sides, or drawn on the image."
    )


def elsewhere(names: Sequence[str], seen: str) -> str:
    """That an image, of which `seen` says what it shows, cannot show what is named, and what to do if it does."""
    listed = numbers.listed([numbers.quoted(one) for one in names])
    return (
        f"At a glance, this looks like {seen}, which does not show {listed}, so no tool was run for it. "
        "If it is there all the same, draw a box around it, and I can outline and measure what is in it."
    )


def other_kind(tool: str, modality: str, seen: str) -> str:
    """That a tool is for images of one modality, of which this one is not."""
    purpose = f"the {_spoken(tool)} tool is for {modality} images only, so it was not run"
    return f"At a glance, this looks like {seen}, and {purpose}."


def file_facts(image: ImageRef | None) -> list[str]:
    """What is known of an image without looking at it: its size, and what the file's header states."""
    if image is None:
        return []
    facts = [f"The frame is {image.width} x {image.height} pixels large."]
    stated = [
        f"{name} {value}"
        for name, value in (("modality", image.modality), ("body part", image.body_part), ("side", image.laterality))
        if value
    ]
    if stated:
        facts.append(f"The file's header states {numbers.listed(stated)}; where I differ from it, trust the header.")
    if image.spacing_mm is not None:
        rows, columns = image.spacing_mm
        facts.append(f"Its pixel spacing is {rows:.4g} x {columns:.4g} mm.")
    return facts


def _doing(tool: str) -> str:
    return _DOING.get(tool, f"use the {_spoken(tool)} tool")


def _spoken(tool: str) -> str:
    return tool.replace("_", " ")


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _line(text: str) -> str:
    return " ".join(text.split())
