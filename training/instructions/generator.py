"""Asks that a model writes for tool cards, each checked as a hand-written one is, until there are enough of every tool.

What the model writes is data: it is read as strict JSON and checked, and never repaired, run or shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

from pydantic import ValidationError

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.strict_json import read_json
from mmedagent.training.instructions.generator_file import AskFile, GeneratedAsk
from mmedagent.training.instructions.generator_prompt import ASK, ASKS, PARAMETERS, AskRequest, make_request
from mmedagent.training.instructions.validation import AskChecker
from mmedagent.training.instructions.wordings import Wordings, hand_written

ASKS_PER_REQUEST = 5
SPARE_REQUESTS = 4
USELESS_IN_A_ROW = 5
MAX_ENTRIES = 100
MAX_LINES_TOLD = 200

NO_REPLY = f"a whole reply that is no JSON object with a list of at most {MAX_ENTRIES} asks"
NO_ASK = "an entry that is no ask with parameters"
KNOWN = "the ask is there already, perhaps with other names"
SURPLUS = "there were enough asks already"

_END_OF_THOUGHTS = "</think>"
_FENCE = "```"


class Writer(Protocol):
    """A model that writes."""

    def write(self, request: AskRequest) -> str:
        """The text of its reply."""
        ...


class AskGenerator:
    """Fills a file with asks for some tools.

    Args:
        cards: the tools; each needs an example, and its examples have to pass the check themselves.
        writer: the model.
        file: where the asks go; those that are there count, and are checked as well.
        each: how many asks of a tool there should be.
        seed: draws examples and voices; what the model makes of them is its own.

    Attributes:
        left_out: how many asks were left out, by reason.

    Raises `InvalidRequestError` for two cards with one name, a card without examples, a hand-written example or an ask
    in the file that does not pass.
    """

    def __init__(self, cards: Sequence[ToolCard], writer: Writer, file: AskFile, *, each: int, seed: int) -> None:
        self.cards = cards
        self.left_out: Counter[str] = Counter()
        self._writer = writer
        self._file = file
        self._each = each
        self._seed = seed
        self._checkers = {card.name: AskChecker(card) for card in cards}
        if len(self._checkers) < len(cards):
            raise InvalidRequestError("Two cards have one name. Name each tool once.")
        self._known = _wordings(cards, self._checkers)
        self._take_over()

    def made(self, card: ToolCard) -> int:
        """How many asks for this tool the file holds."""
        return sum(ask.tool == card.name for ask in self._file.asks)

    @property
    def missing(self) -> int:
        return sum(self._missing(card) for card in self.cards)

    def run(self, told: Callable[[ToolCard, int], None]) -> None:
        """Ask until there are enough, or until a tool's requests are used up: twice those needed, and some more.

        `told` hears after each reply for which tool how many asks were kept. Errors of the writer end the run; what was
        kept until then is in the file.
        """
        for card in self.cards:
            requests, useless = SPARE_REQUESTS + 2 * -(-self._missing(card) // ASKS_PER_REQUEST), 0
            while self._missing(card) and requests and useless < USELESS_IN_A_ROW:
                requests -= 1
                kept = self._ask(card, number=requests)
                useless = 0 if kept else useless + 1
                told(card, kept)

    def _missing(self, card: ToolCard) -> int:
        return max(0, self._each - self.made(card))

    def _ask(self, card: ToolCard, number: int) -> int:
        """One request; returns how many asks were kept."""
        random = Random(f"{self._seed} {card.name} {self.made(card)} {number}")  # noqa: S311 - not for secrets
        request = make_request(random, card, self._others(card), min(ASKS_PER_REQUEST, self._missing(card)))
        kept: list[GeneratedAsk] = []
        for entry in self._entries(self._writer.write(request)):
            read = SURPLUS if len(kept) == self._missing(card) else self._read(card, entry)
            if isinstance(read, GeneratedAsk):
                self._known.add(read.ask)
                kept.append(read)
            else:
                self.left_out[read] += 1
        self._file.add(kept)
        return len(kept)

    def _entries(self, text: str) -> list[Any]:
        try:
            return _read_entries(text)
        except ValueError:
            self.left_out[NO_REPLY] += 1
            return []

    def _read(self, card: ToolCard, entry: Any) -> GeneratedAsk | str:
        """The ask of an entry, or why it is left out."""
        if not _is_ask(entry):
            return NO_ASK
        problem = self._checkers[card.name].problem(entry[ASK], entry[PARAMETERS])
        if problem is None and self._known.holds(entry[ASK]):
            problem = KNOWN
        try:
            return problem or GeneratedAsk(tool=card.name, ask=entry[ASK], parameters=entry[PARAMETERS])
        except ValidationError:
            return NO_ASK

    def _others(self, card: ToolCard) -> list[ToolCard]:
        """The tools that are not meant."""
        named = {one.name: one for one in (*built_in_cards(), *self.cards)}
        return [one for one in named.values() if one.name != card.name]

    def _take_over(self) -> None:
        """What the file holds already counts as known."""
        faults: dict[int, str] = {}
        for number, ask in enumerate(self._file.asks, 1):
            checker = self._checkers.get(ask.tool)
            problem = checker.problem(ask.ask, ask.parameters) if checker else None
            if problem or self._known.holds(ask.ask):
                faults[number] = problem or KNOWN
            self._known.add(ask.ask)
        if faults:
            first, problem = next(iter(faults.items()))
            also = ", ".join(map(str, list(faults)[1:MAX_LINES_TOLD]))
            more = f" Nor do these lines pass: {also}." if also else ""
            raise InvalidRequestError(
                f"{self._file.path.name}, line {first}: {problem}.{more} Delete what does not pass."
            )


def _wordings(cards: Sequence[ToolCard], checkers: dict[str, AskChecker]) -> Wordings:
    """The wordings of this project's asks of every share, and of the cards' examples, which have to pass."""
    known = Wordings(base=hand_written())
    for card in cards:
        if not card.examples:
            raise InvalidRequestError(f"The card of {card.name} has no examples. Write two or more.")
        checker = checkers[card.name]
        for number, example in enumerate(card.examples, 1):
            if problem := checker.problem(example.ask, example.parameters):
                raise InvalidRequestError(f"The card of {card.name}, example {number}: {problem}. Mend it.")
            known.add_example(example.ask, checker.copied(example.parameters))
    return known


def _read_entries(text: str) -> list[Any]:
    """The entries of a reply, which may stand in a fence and after thoughts. Raises `ValueError` for another."""
    bare = text.rpartition(_END_OF_THOUGHTS)[2].strip()
    if bare.startswith(_FENCE) and bare.endswith(_FENCE):
        bare = bare.partition("\n")[2].removesuffix(_FENCE).strip()
    reply, end = read_json(bare)
    if bare[end:] or not isinstance(reply, dict) or not isinstance(reply.get(ASKS), list):
        raise ValueError("no list of asks")
    if len(reply[ASKS]) > MAX_ENTRIES:
        raise ValueError("far more than was asked for")
    return list(reply[ASKS])


def _is_ask(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {ASK, PARAMETERS}
        and isinstance(entry[ASK], str)
        and isinstance(entry[PARAMETERS], dict)
    )
