"""How well the ask reader does on wordings it was not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mmedagent.networks.planner_net import HARMLESS, TOOLS
from mmedagent.networks.planner_parts import Part, merged, plan_parts
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_text import AskText, Box, Point, words_of
from mmedagent.protocol.plan import Action
from mmedagent.training.instructions.examples import Example

STAND_IN_BOX: Box = (0.1, 0.2, 0.6, 0.7)
STAND_IN_POINT: Point = (0.4, 0.5, 1)


@dataclass(frozen=True)
class Scores:
    """Shares in [0, 1]: all outcomes of an ask right, the right tools, all spans right, the whole plan right.

    `answered` is the share at or above the confidence threshold, `answered_right` the share of
    those with the right tools.
    """

    asks: int
    outcomes: float
    tools: float
    spans: float
    plans: float
    answered: float
    answered_right: float
    confusions: tuple[tuple[str, int], ...]


def as_ask(example: Example) -> AskText:
    """The example as read in use, with one stand-in for its coordinates."""
    return AskText(
        text=example.text,
        boxes=(STAND_IN_BOX,) if "[box]" in example.text else (),
        points=(STAND_IN_POINT,) if "[point]" in example.text else (),
    )


def true_parts(example: Example) -> tuple[Part, ...]:
    """What the reader should find in an example."""
    words = words_of(example.text)
    ends = [mark.start for mark in example.parts[1:]] + [len(example.text)]
    parts: list[Part] = []
    for number, (mark, end) in enumerate(zip(example.parts, ends, strict=True)):
        start = mark.start if number else 0
        own = [word for word in words if start <= word[0] < end]

        def copied(kind: str, start: int = start, end: int = end) -> tuple[str, ...]:
            spans = (span for span in example.spans if span.kind == kind and start <= span.start < end)
            touched = ([word for word in words if word[0] < span.end and word[1] > span.start] for span in spans)
            return tuple(example.text[some[0][0] : some[-1][1]] for some in touched if some)

        text = example.text[own[0][0] : own[-1][1]] if own else ""
        parts.append(Part(mark.outcome, text, copied("name"), copied("passage"), mark.task, mark.refers))
    return merged(parts)


def actions_of(parts: Sequence[Part], ask: AskText) -> tuple[Action, ...]:
    """The actions of some parts when every tool is there."""
    return tuple(planned.action for planned in plan_parts(parts, ask, TOOLS) if planned.action is not None)


def acted_alike(found: Sequence[Part], expected: Sequence[Part]) -> bool:
    """Whether the same tools are called in the same order and the same asks declined: confusing a greeting with
    thanks does no harm."""
    return [part.outcome for part in found if part.outcome not in HARMLESS] == [
        part.outcome for part in expected if part.outcome not in HARMLESS
    ]


def score(reader: AskReader, examples: Sequence[Example], threshold: float = 0.0) -> Scores:
    """Read every example and compare with what it means."""
    right = Counter[str]()
    confusions = Counter[str]()
    for example in examples:
        ask, expected = as_ask(example), true_parts(example)
        found = reader.read(ask)
        same = [part.outcome for part in found] == [part.outcome for part in expected]
        sure = min((part.confidence for part in found), default=0.0) >= threshold
        plain = [part.outcome for part in found if part.outcome not in TOOLS]
        wanted = [part.outcome for part in expected if part.outcome not in TOOLS]
        alike = acted_alike(found, expected)
        right["outcomes"] += same
        right["tools"] += alike
        right["spans"] += _copies(found) == _copies(expected)
        right["plans"] += actions_of(found, ask) == actions_of(expected, ask) and plain == wanted
        right["answered"] += sure
        right["answered_right"] += sure and alike
        if not same:
            names = [" + ".join(part.outcome for part in parts) for parts in (expected, found)]
            confusions[" read as ".join(names)] += 1
    count = len(examples)
    return Scores(
        asks=count,
        outcomes=right["outcomes"] / count,
        tools=right["tools"] / count,
        spans=right["spans"] / count,
        plans=right["plans"] / count,
        answered=right["answered"] / count,
        answered_right=right["answered_right"] / max(1, right["answered"]),
        confusions=tuple(confusions.most_common(20)),
    )


def _copies(parts: Sequence[Part]) -> list[tuple[str, ...]]:
    """Names and passages to copy; those of tools that copy nothing do not count."""
    copying = {"grounding", "grounded_segmentation", "classification", "report_generation", "consultation"}
    return [part.names + part.passages for part in parts if part.outcome in copying]
