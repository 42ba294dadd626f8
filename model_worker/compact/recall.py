"""Answers about earlier results of a conversation: they are repeated as they were given, and nothing is added."""

from __future__ import annotations

import re

from mmedagent.protocol.plan import PlannerRequest

MAX_CHARACTERS = 3_000
MOST_ANSWERS = 3
_MARKER = re.compile(r"\s*\[\d{1,2}\]")
_INTRODUCTION = "This is what the tools found earlier in this conversation; I add nothing to it."


def recalled(request: PlannerRequest) -> str:
    """The results of the last answers that rest on tools, oldest first; "" where there is none.

    Markers are left out, because they count the actions of their own turn.
    """
    found: list[str] = []
    for message in reversed(request.messages):
        if message.role != "assistant":
            continue
        paragraphs = [line for line in message.text.split("\n\n") if _MARKER.search(line)]
        text = "\n\n".join(_MARKER.sub("", line) for line in paragraphs)
        if text and len(text) + sum(map(len, found)) <= MAX_CHARACTERS:
            found.insert(0, text)
        if len(found) == MOST_ANSWERS:
            break
    return "\n\n".join([_INTRODUCTION, *found]) if found else ""
