"""From what an ask says to the actions that it means. Pure functions, the same in training and in use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from mmedagent.networks.planner_added import AddedOutcome
from mmedagent.networks.planner_text import BOX_WORD, POINT_WORD, AskText
from mmedagent.protocol.cards import BUILT_IN
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

MAX_PROMPTS, MAX_LABELS, MAX_OPTIONS = 16, 64, 10
MAX_NAME, MAX_OPTION, MAX_INDICATION, MAX_QUERY, MAX_QUESTION = 100, 300, 500, 1_000, 2_000
_LEADING_JOINT = re.compile(r"(?:and|also|then|plus|afterwards|finally)\b[\s,;:.!?&+-]*", re.IGNORECASE)
_TRAILING_JOINTS = (" and", " then", " plus")
_MARKS = " \t\n,;:&+-"
_TRAILING = re.compile(
    r"(?:\s+(?:about|and|as|at|by|during|for|from|here|in|inside|into|of|off|on|onto|or|over|per|please|plus|pls|than|that|this|to|under|"
    r"using|via|vs|w/|w/o|with|within|without|as well))+[\s/]*$",
    re.IGNORECASE,
)
"""What no name ends with: prepositions, conjunctions and pointing words."""

_ARTICLES = re.compile(r"^(?:(?:the|a|an|any|all|every|each|some|of|this|that)\s+)+", re.IGNORECASE)

_NO_LABEL = re.compile(
    r"an?|the|not?|what|\w+thing|both|other|else|so|similar|just|is|are|was|did|does|do", re.IGNORECASE
)
"""What stands beside "or" and is no label."""


@dataclass(frozen=True)
class Part:
    """One thing that an ask wants, read from it.

    Attributes:
        outcome: a tool's name, or one of the outcomes without a tool.
        words: the words of this part.
        names: names copied from the ask: objects, labels or options.
        passages: longer copies: a question, an indication.
        task: for classification, one of modality, anatomy, histology, finding and labels.
        refers: what it means that it does not name: "nothing", what was named "before", or the "other" side of that.
        added: for a tool that was learnt later, what is wanted of it.
        confidence: calibrated probability of `outcome`, or of any harmless outcome where it is one.
        runner_up: the next probable outcome.
    """

    outcome: str
    words: str
    names: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    task: str | None = None
    refers: str = "nothing"
    added: AddedOutcome | None = None
    confidence: float = 1.0
    runner_up: str = ""

    @property
    def wants_tool(self) -> bool:
        return self.outcome in BUILT_IN or self.added is not None


@dataclass(frozen=True)
class PlannedPart:
    """A part with its action; `missing` says in a few words what the ask would have to name for there to be one."""

    part: Part
    action: Action | None = None
    missing: str = ""


def without_joints(words: str) -> str:
    """The words of a part without coordinates and without what ties it to its neighbours."""
    bare = words.replace(BOX_WORD, " ").replace(POINT_WORD, " ").strip()
    core = bare.lstrip(f"{_MARKS}.!?").rstrip(_MARKS)
    while match := _LEADING_JOINT.match(core):
        core = core[match.end() :]
    while core.casefold().endswith(_TRAILING_JOINTS):
        core = core[: core.rfind(" ")].rstrip(_MARKS)
    return core or bare


def merged(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring parts with the same outcome, task and reference as one; the lower confidence counts.

    Of an added tool, a part that makes no choice joins one that does.
    """
    found: list[Part] = []
    for part in parts:
        if found and _alike(found[-1], part):
            last = found[-1]
            found[-1] = replace(
                last if last.confidence <= part.confidence else part,
                added=last.added if last.added is not None and last.added.fixed else part.added,
                words=f"{last.words} {part.words}",
                names=(*last.names, *part.names),
                passages=(*last.passages, *part.passages),
            )
        else:
            found.append(part)
    return tuple(found)


def _alike(first: Part, second: Part) -> bool:
    if (first.outcome, first.task, first.refers) != (second.outcome, second.task, second.refers):
        return False
    choices = [part.added.fixed for part in (first, second) if part.added is not None and part.added.fixed]
    return len(choices) < 2 or choices[0] == choices[1]


def plan_parts(parts: Sequence[Part], ask: AskText, tools: Collection[str]) -> tuple[PlannedPart, ...]:
    """The action of every part that has one, in order; a part of a tool outside `tools` has none.

    A segmentation without coordinates takes the boxes of the grounding before it. Named structures are outlined by
    grounding and segmentation together where `grounded_segmentation` is not among the tools.
    """
    planned: list[PlannedPart] = []
    number = 0
    boxes_from: int | None = None
    for part in parts:
        for step in _expanded(part, tools):
            parameters = _parameters(step, ask, boxes_from) if step.outcome in tools else None
            if parameters is None:
                planned.append(PlannedPart(step))
            elif isinstance(parameters, str):
                planned.append(PlannedPart(step, missing=parameters))
            else:
                number += 1
                boxes_from = number if step.outcome == "grounding" else boxes_from
                planned.append(PlannedPart(step, Action(API_name=step.outcome, API_params=parameters)))
    return tuple(planned)


def _expanded(part: Part, tools: Collection[str]) -> tuple[Part, ...]:
    if (
        part.outcome == "grounded_segmentation"
        and part.outcome not in tools
        and {"grounding", "segmentation"} <= set(tools)
    ):
        return replace(part, outcome="grounding"), replace(part, outcome="segmentation", names=())
    return (part,)


def _parameters(part: Part, ask: AskText, boxes_from: int | None) -> JsonObject | str:
    """The parameters of a part's tool, or what is missing for them."""
    if part.added is not None:
        return part.added.parameters(_unique(part.names, MAX_NAME), part.passages, without_joints(part.words), ask)
    match part.outcome:
        case "grounding" | "grounded_segmentation":
            return _named(part, ask)
        case "segmentation":
            return _located(ask, boxes_from)
        case "classification":
            return _classified(part)
        case "report_generation":
            indication = "; ".join(part.passages)[:MAX_INDICATION]
            return {"indication": indication} if indication else {}
        case "retrieval":
            return {"query": query[:MAX_QUERY]} if (query := without_joints(part.words)) else "a question"
        case _:
            return _consulted(part)


def _named(part: Part, ask: AskText) -> JsonObject | str:
    prompts = _unique((_TRAILING.sub("", _ARTICLES.sub("", name)) for name in part.names), MAX_NAME)[:MAX_PROMPTS]
    if not prompts:
        return "the name of the structure"
    threshold: JsonObject = {} if ask.threshold is None else {"threshold": ask.threshold}
    return {"prompts": [*prompts], **threshold}


def _located(ask: AskText, boxes_from: int | None) -> JsonObject | str:
    parameters: JsonObject = {}
    if ask.boxes:
        parameters["boxes"] = [[*box] for box in ask.boxes]
    if ask.points:
        parameters["points"] = [[*point] for point in ask.points]
    if not parameters and boxes_from is not None:
        parameters["boxes"] = f"${boxes_from}.boxes"
    return parameters or "a box, a point or the name of the structure"


def _classified(part: Part) -> JsonObject:
    names = _alternatives(part.names[0], part.words) if part.task == "labels" and len(part.names) == 1 else part.names
    labels = _unique((_ARTICLES.sub("", name) for name in names), MAX_NAME)[:MAX_LABELS]
    if len(labels) >= 2:
        return {"labels": [*labels]}
    return {"task": part.task if part.task not in (None, "labels") else "modality"}


def _alternatives(name: str, words: str) -> tuple[str, ...]:
    """A name with the single word on the other side of an "or": "AP" with "PA" in "PA or AP film?"."""
    if " " in name:
        return (name,)
    before = re.search(rf"([\w-]+) or {re.escape(name)}\b", words)
    after = re.search(rf"\b{re.escape(name)} or ([\w-]+)", words)
    others = [match[1] if match and not _NO_LABEL.fullmatch(match[1]) else "" for match in (before, after)]
    return tuple(one for one in (others[0], name, others[1]) if one)


def _consulted(part: Part) -> JsonObject | str:
    question = " ".join(part.passages) or without_joints(part.words)
    if not question:
        return "a question"
    parameters: JsonObject = {"question": question[:MAX_QUESTION]}
    options = _unique(part.names, MAX_OPTION)[:MAX_OPTIONS]
    if len(options) >= 2:
        parameters["options"] = [*options]
    return parameters


def _unique(names: Iterable[str], longest: int) -> list[str]:
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.casefold(), name[:longest])
    return [name for name in found.values() if name]
