"""What an ask means in its conversation: "and the spleen?", "outline it", "now the other side", "how big was it?"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mmedagent.networks.planner_net import TOOLS
from mmedagent.networks.planner_parts import Part

NAMED = frozenset({"grounding", "grounded_segmentation"})
"""Tools that are given names."""

_ANSWERED_WITH = {"grounding": frozenset({"grounding", "grounded_segmentation"})}
"""Tools whose results hold those of another one."""

_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_OPPOSITE = {"left": "right", "right": "left"}


def in_context(parts: Sequence[Part], earlier: Sequence[Part]) -> tuple[Part, ...]:
    """The parts of an ask as they would read if they named everything themselves.

    `earlier` are the parts of the asks before, oldest first, as this function gave them. What they do not tell stays
    open: a part that repeats a tool where none was used, or a tool without the name that it needs.
    """
    known = list(earlier)
    for part in parts:
        known.append(_meant(part, known))
    return tuple(known[len(earlier) :])


def refers_back(part: Part) -> bool:
    """Whether a part needs the asks before to be understood."""
    return part.outcome == "again" or part.refers != "nothing" or _may_be_answered(part)


def other_side(name: str) -> str:
    """The name with left for right and right for left; "" for a name without a side."""
    turned = _SIDE.sub(lambda side: _matched(side[0], _OPPOSITE[side[0].lower()]), name)
    return turned if turned != name else ""


def _matched(like: str, word: str) -> str:
    return word.capitalize() if like[0].isupper() else word


def _meant(part: Part, known: Sequence[Part]) -> Part:
    if part.outcome == "again":
        return _repeated(part, known)
    if _may_be_answered(part) and _answered(part, known) and (part.refers == "before" or _names_again(part, known)):
        return replace(part, outcome="recall")
    if part.outcome not in TOOLS or part.refers == "nothing":
        return part
    if part.outcome not in NAMED:
        return replace(part, words=_about(part.words, known))
    if part.names:
        return part
    return replace(part, names=_named_before(part, known))


def _repeated(part: Part, known: Sequence[Part]) -> Part:
    """The tool of the last part that had one, for what this part names or refers to."""
    last = next((one for one in reversed(known) if one.outcome in TOOLS), None)
    if last is None:
        return replace(part, outcome="clarify")
    if last.outcome == "segmentation" and part.names:
        return replace(part, outcome="grounded_segmentation")
    if last.outcome not in NAMED:
        words = part.words if part.refers == "nothing" else _about(part.words, known)
        return replace(part, outcome=last.outcome, task=last.task, words=words, names=part.names or last.names)
    return replace(part, outcome=last.outcome, names=part.names or _named_before(part, known))


def _named_before(part: Part, known: Sequence[Part]) -> tuple[str, ...]:
    names = next((one.names for one in reversed(known) if one.outcome in NAMED and one.names), ())
    if part.refers != "other":
        return names
    return tuple(turned for turned in map(other_side, names) if turned)


def _may_be_answered(part: Part) -> bool:
    """Whether a part may be about an earlier result: "how big is it?", "Back to the liver: what did it measure?"."""
    is_open = part.outcome in NAMED and not part.names
    return is_open and (part.refers == "before" or part.runner_up == "recall")


def _names_again(part: Part, known: Sequence[Part]) -> bool:
    said = part.words.casefold()
    return any(name.casefold() in said for one in known for name in one.names)


def _answered(part: Part, known: Sequence[Part]) -> bool:
    """Whether the last part with a tool has brought what this one asks for about the same thing."""
    last = next((one for one in reversed(known) if one.outcome in TOOLS), None)
    if last is None:
        return False
    if last.outcome == "segmentation":
        return True
    return last.outcome in _ANSWERED_WITH.get(part.outcome, {part.outcome}) and bool(last.names)


def _about(words: str, known: Sequence[Part]) -> str:
    """The words with what they are about: the names, or else the words, of the last part with a tool."""
    last = next((one for one in reversed(known) if one.outcome in TOOLS and (one.names or one.words)), None)
    if last is None:
        return words
    return f"{words} ({', '.join(last.names) if last.outcome in NAMED and last.names else last.words})"
