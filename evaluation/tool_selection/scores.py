"""From what was planned to accuracy by category, argument exactness, parse rate and confusions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, JsonValue

from mmedagent.evaluation.tool_selection.asks import AskCase, Expected
from mmedagent.protocol.cards import BUILT_IN
from mmedagent.protocol.plan import Action

Z = 1.96
"""Of a two-sided interval of 95 %."""

NO_TOOL, MALFORMED = "no tool", "malformed"


@dataclass(frozen=True)
class Planned:
    """What was done about an ask: its actions in order, or None where the planner's output was no plan."""

    actions: tuple[Action, ...] | None
    seconds: float

    @property
    def tools(self) -> tuple[str, ...] | None:
        return None if self.actions is None else tuple(action.API_name for action in self.actions)

    def names(self, text: str) -> tuple[str, ...]:
        """The names that the actions carry: prompts, and for a tool that was added whatever it copies from the ask."""
        found: list[str] = []
        for action in self.actions or ():
            if action.API_name in BUILT_IN:
                found += _texts(action.API_params.get("prompts"))
            else:
                found += [one for value in action.API_params.values() for one in _texts(value) if one in text]
        return tuple(found)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Share(_Row):
    """A share with its interval of 95 % (Wilson 1927); all three are 0 without a count."""

    value: float
    low: float
    high: float
    count: int


class Confusion(_Row):
    """How often the tools `found` were chosen where `wanted` was right; one confusion of several asks."""

    wanted: str
    found: str
    times: int


class Selection(_Row):
    """The whole result.

    Attributes:
        tools: asks of which the chosen tools are one of the accepted sequences.
        by_category: the same by category.
        arguments: asks with names, of which the tools are right and the names are exactly those.
        parsed: asks for which the planner's output was a plan.
        p50_ms: median time to a plan, or with a server to the end of the turn.
        wrong: ids of the asks with wrong tools.
    """

    planner: str
    tools: Share
    by_category: dict[str, Share]
    arguments: Share
    parsed: Share
    p50_ms: float
    confusions: tuple[Confusion, ...]
    wrong: tuple[str, ...]


def share(hits: Sequence[bool]) -> Share:
    """The share that is true, with Wilson's interval."""
    count = len(hits)
    if not count:
        return Share(value=0.0, low=0.0, high=0.0, count=0)
    rate = sum(hits) / count
    spread = Z * math.sqrt(rate * (1 - rate) / count + Z**2 / (4 * count**2))
    middle, whole = rate + Z**2 / (2 * count), 1 + Z**2 / count
    return Share(
        value=rate, low=max(0.0, (middle - spread) / whole), high=min(1.0, (middle + spread) / whole), count=count
    )


def tools_right(expected: Expected, planned: Planned) -> bool:
    return planned.tools in expected.expect


def names_right(ask: AskCase, planned: Planned) -> bool:
    """Whether the names are those that were asked for, whatever their order, case and article."""
    return Counter(map(_bare, ask.prompts or ())) == Counter(map(_bare, set(planned.names(ask.text))))


def score(planner: str, rows: Iterable[tuple[AskCase, Planned]]) -> Selection:
    """All figures of asks and what was planned for them."""
    pairs = list(rows)
    right = {ask.id: tools_right(ask, planned) for ask, planned in pairs}
    groups: dict[str, list[bool]] = {}
    confused: Counter[tuple[str, str]] = Counter()
    for ask, planned in pairs:
        groups.setdefault(ask.group, []).append(right[ask.id])
        if not right[ask.id]:
            confused[_label(ask.expect[0]), _label(planned.tools)] += 1
    named = [(ask, planned) for ask, planned in pairs if ask.prompts is not None]
    times = sorted(planned.seconds for _, planned in pairs)
    return Selection(
        planner=planner,
        tools=share(list(right.values())),
        by_category={name: share(hits) for name, hits in sorted(groups.items())},
        arguments=share([right[ask.id] and names_right(ask, planned) for ask, planned in named]),
        parsed=share([planned.actions is not None for _, planned in pairs]),
        p50_ms=1_000 * times[len(times) // 2] if times else 0.0,
        confusions=tuple(
            Confusion(wanted=wanted, found=found, times=times) for (wanted, found), times in confused.most_common()
        ),
        wrong=tuple(ask for ask, hit in right.items() if not hit),
    )


def _texts(value: JsonValue) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [value] if isinstance(value, str) else []


def _label(tools: Sequence[str] | None) -> str:
    return MALFORMED if tools is None else " + ".join(tools) or NO_TOOL


def _bare(name: str) -> str:
    words = name.casefold().split()
    return " ".join(words[1:] if words and words[0] in ("the", "a", "an", "any") else words)
