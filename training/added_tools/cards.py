"""From a tool card to what the planner has to learn: outcomes, and asks with what they copy marked.

How a parameter is filled follows from the card's examples: a value that stands in the ask is copied from there,
coordinates are read, and anything else is a choice. Each combination of choices is an outcome of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmedagent.networks.planner_added import AddedOutcome, Copy
from mmedagent.networks.planner_text import read_ask_text
from mmedagent.protocol.card import CardExample, ToolCard
from mmedagent.protocol.cards import BUILT_IN
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.types import JsonObject
from mmedagent.training.instructions.ask_files import Ask, AskPart
from mmedagent.training.instructions.validation import AskChecker

MOST_OUTCOMES, FEWEST_EXAMPLES = 12, 10
_NO_MARKS = str.maketrans("<>{}«»", "      ")
"""What the markup of hand-written asks is made of means nothing in a card, such as the mark in "below <5 mm"."""

LONGEST_NAME_WORDS = 7
"""A text that is copied counts as a name up to so many words in every example, beyond that as a passage."""


@dataclass(frozen=True)
class Taught:
    """An example of a card as the planner learns it: the key of its outcome and its words with markup."""

    key: str
    words: str
    example: CardExample

    @property
    def ask(self) -> Ask:
        return Ask((AskPart(self.key, None, self.words),), "train")


@dataclass(frozen=True)
class Lesson:
    """A card's outcomes by their keys, and its examples."""

    card: ToolCard
    outcomes: dict[str, AddedOutcome]
    taught: tuple[Taught, ...]

    @property
    def named(self) -> tuple[Ask, ...]:
        """The tool's title and its name, which ask for it like an example, with as few choices as there can be."""
        key = min(self.outcomes, key=lambda key: len(self.outcomes[key].fixed))
        names = self.card.title.translate(_NO_MARKS), self.card.name.replace("_", " ")
        return tuple(Ask((AskPart(key, None, words),), "train") for words in names)


def lesson_of(card: ToolCard) -> Lesson:
    """What there is to learn from a card.

    Raises:
        InvalidRequestError: the card is of a tool that the planner knows, has too few examples, examples that break its
            own schema, more than one list of names or passage, or too many different choices.
    """
    if card.name in BUILT_IN:
        raise InvalidRequestError(f"{card.name} is a tool that every planner of this project knows already.")
    if len(card.examples) < FEWEST_EXAMPLES:
        raise InvalidRequestError(f"{card.name} has {len(card.examples)} examples; give at least {FEWEST_EXAMPLES}.")
    checker = AskChecker(card)
    for number, example in enumerate(card.examples, 1):
        if problem := checker.mismatch(example.parameters):
            raise InvalidRequestError(f"Example {number} of {card.name} breaks its schema: {problem}.")
    copied = _copied(card)
    outcomes: dict[str, AddedOutcome] = {}
    keys: dict[str, str] = {}
    taught = []
    for example in card.examples:
        fixed = {key: value for key, value in example.parameters.items() if key not in copied}
        said = json.dumps(fixed, sort_keys=True)
        key = keys.setdefault(said, card.name if not keys else f"{card.name}/{len(keys) + 1}")
        outcomes.setdefault(key, _outcome(card, fixed, copied))
        taught.append(Taught(key, _marked(example, copied), example))
    if len(outcomes) > MOST_OUTCOMES:
        raise InvalidRequestError(
            f"The examples of {card.name} make {len(outcomes)} different choices of what is not in the ask; at most "
            f"{MOST_OUTCOMES} can be told apart."
        )
    return Lesson(card, outcomes, tuple(taught))


def _outcome(card: ToolCard, fixed: JsonObject, copied: dict[str, Copy]) -> AddedOutcome:
    lists = [card.parameters["properties"][key] for key, kind in copied.items() if kind == "names"]
    return AddedOutcome(
        tool=card.name,
        fixed=fixed,
        copied=copied,
        required=tuple(card.parameters.get("required", ())),
        most=min([16, *(one.get("maxItems", 16) for one in lists)]),
    )


def _copied(card: ToolCard) -> dict[str, Copy]:
    """Which parameters are taken from the ask, and how."""
    values: dict[str, list[tuple[str, object]]] = {}
    for example in card.examples:
        for key, value in example.parameters.items():
            values.setdefault(key, []).append((example.ask, value))
    found: dict[str, Copy] = {}
    for key, uses in values.items():
        if (kind := _kind(uses)) is not None:
            found[key] = kind
    for kinds in ({"names", "name"}, {"passage"}, {"boxes"}, {"points"}):
        sharing = [key for key, kind in found.items() if kind in kinds]
        if len(sharing) > 1:
            raise InvalidRequestError(
                f"{card.name} copies {' and '.join(sharing)} from the ask; they cannot be told apart. Keep one of them."
            )
    return found


def _kind(uses: Sequence[tuple[str, object]]) -> Copy | None:
    if all(isinstance(value, list) and value and all(isinstance(one, str) for one in value) for _, value in uses):
        texts = [(ask, str(one)) for ask, value in uses for one in value]  # type: ignore[attr-defined]
        return "names" if _all_said(texts) else None
    if all(isinstance(value, str) for _, value in uses):
        texts = [(ask, str(value)) for ask, value in uses]
        if all(_bare(value) == _bare(ask) for ask, value in texts):
            return "words"
        if not _all_said(texts):
            return None
        return "name" if max(len(value.split()) for _, value in texts) <= LONGEST_NAME_WORDS else "passage"
    if all([*map(list, read_ask_text(ask).boxes)] == value for ask, value in uses):
        return "boxes"
    if all([*map(list, read_ask_text(ask).points)] == value for ask, value in uses):
        return "points"
    return None


def _all_said(texts: Sequence[tuple[str, str]]) -> bool:
    return all(value and value in ask for ask, value in texts)


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _marked(example: CardExample, copied: dict[str, Copy]) -> str:
    """The ask with names, passages and coordinates marked as in the files of hand-written asks."""
    words = example.ask.translate(_NO_MARKS)
    for key, kind in copied.items():
        value = example.parameters.get(key)
        signs = "«»" if kind == "passage" else "<>"
        for one in value if isinstance(value, list) else [value]:
            if kind in ("names", "name", "passage") and isinstance(one, str):
                words = _once(words, one.translate(_NO_MARKS), signs)
    words = re.sub(r"\nInput (box|point): \[[^\]]*\]", r"{input_\1}", words)
    return re.sub(r"\[\d[\d., ]*\]", "{box}", words)


def _once(words: str, name: str, signs: str) -> str:
    """The first place of a name that is a whole word and not inside another mark."""
    pattern = re.compile(rf"(?<![\w<«]){re.escape(name)}(?!\w)(?![^<«]*[>»])")
    return pattern.sub(lambda match: f"{signs[0]}{match[0]}{signs[1]}", words, count=1)
