"""Which answers say the same, who agrees with whom, and how many do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmedagent.protocol.consultation import normalised
from mmedagent.tool_workers.consultation.doctors import Opinion

_WORD = re.compile(r"\w+(?:[-'.]\w+)*")
_DENIALS = frozenset({"no", "not", "nor", "never", "neither", "none", "without", "absent", "negative", "unlikely"})
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True)
class Answer:
    """An answer in words, and the index of the option that it names, if there are options and it names one."""

    text: str
    choice: int | None = None

    def agrees_with(self, other: Answer) -> bool:
        """By the option, where either names one. Otherwise by their words: equal, or all words of the one in the other
        with the same denials. That is a rule of thumb: other words for the same thing count as another answer."""
        if self.choice is not None or other.choice is not None:
            return self.choice == other.choice
        if normalised(self.text) == normalised(other.text):
            return True
        mine, theirs = _words(self.text), _words(other.text)
        if not mine or not theirs or mine & _DENIALS != theirs & _DENIALS:
            return False
        return mine <= theirs or theirs <= mine


def groups(answers: Sequence[Answer]) -> list[list[int]]:
    """The places of the answers that agree with the first of their group, the largest group first."""
    found: list[list[int]] = []
    for place, answer in enumerate(answers):
        group = next((one for one in found if answer.agrees_with(answers[one[0]])), None)
        if group is None:
            found.append([place])
        else:
            group.append(place)
    return sorted(found, key=len, reverse=True)


def agreement(opinions: Sequence[Opinion]) -> tuple[float | None, str]:
    """The share of the specialists, 0 to 1, who give the answer that most give, and that in words; None without any."""
    if not opinions:
        return None, "No specialist gave an opinion."
    largest, *others = groups([answer_of(opinion) for opinion in opinions])
    total, share = len(opinions), len(largest) / len(opinions)
    common = f"“{opinions[largest[0]].answer}”"
    if total == 1:
        return share, f"The only specialist who answered says {common}."
    if not others:
        return share, f"All {total} specialists say {common}."
    if len(largest) == 1:
        return share, f"The {total} specialists disagree: each gives another answer."
    return share, f"{len(largest)} of {total} specialists say {common}; the others disagree."


def answer_of(opinion: Opinion) -> Answer:
    return Answer(opinion.answer, opinion.choice)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(normalised(text))) - _ARTICLES
