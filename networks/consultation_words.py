"""The words between the small consultation network and whoever asks it: prompts, and what stands in its replies.

Training and the consultation tool speak to it with these and no others. A line is a token or two, so that prompts are
short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mmedagent.protocol.consultation import LETTERS

LINES = 4
"""Options of every question that it is taught; it knows no more letters."""

IMAGE = "image"
"""In a reply: the image decides, and not one of the specialists."""

CONFIDENCES = CERTAIN, UNSURE = ("certain", "unsure")
ALL_AGREE = "all agree"
DIFFER = {how: f"they differ, the first is {how}" for how in CONFIDENCES}


class Heard(Protocol):
    """An opinion as the attending physician hears it; `choice` is the index of an option."""

    @property
    def specialist(self) -> str:
        """One of the specialties."""

    @property
    def choice(self) -> int:
        """From 0."""

    @property
    def confidence(self) -> str:
        """One of `CONFIDENCES`."""


def lettered(text: str, place: int) -> str:
    """`cyst (A)`: an option, or who names it, with the letter."""
    return f"{text} ({LETTERS[place]})"


def asked(question: str, options: Sequence[str]) -> str:
    """The question and its options, a line each."""
    return "\n".join([question, *(lettered(option, place) for place, option in enumerate(options))])


def triage_prompt(question: str) -> str:
    """Asks for one of the specialties."""
    return f"{question}\nWhich specialist should see this?"


def attending_prompt(question: str, options: Sequence[str], opinions: Sequence[Heard] = ()) -> str:
    """Asks for an option; each opinion has a line, and so has what they come to. Without opinions: a plain question."""
    said = [f"{lettered(one.specialist, one.choice)} {one.confidence}" for one in opinions]
    return "\n".join([asked(question, options), *said, *([heard(opinions)] if opinions else [])])


def kind_of(modality: str, family: str) -> str:
    """How a reply begins: what kind of image it is, and what is asked. Whom to trust depends on both."""
    return f"{modality}, {family}"


def heard(opinions: Sequence[Heard]) -> str:
    """What opinions come to: that all agree, or how certain the one is whom triage called, who comes first."""
    return ALL_AGREE if len({one.choice for one in opinions}) == 1 else DIFFER[opinions[0].confidence]


def messages(prompt: str) -> list[dict[str, object]]:
    """A conversation with one image and the prompt, as processors and TRL take it."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
