"""Whether the numbers of answers resolve to stored results, and whether planted ones are marked.

Numbers are found and checked here by simpler rules than the controller's, of which this shares nothing but the claims.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pydantic import BaseModel

from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import Outcome, ToolResult
from mmedagent.protocol.types import JsonObject

_NUMERAL = re.compile(r"(?<![\w.-])\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")
_MARKER = re.compile(r"\[(\d{1,2})\]")
_PLANTS = (
    "It measures {:.1f} mm².", "Its area is {:,.0f} px.", "The score is {:.2f}.", "It is {:.0f}% sure.",
    "There are {:.0f} boxes.", "It is {:.1f} cm long.", "The density is {:.0f} HU.", "It was there {:.0f} days ago.",
)  # fmt: skip
_TRIES = 200
_EXAMPLES = tuple(example.ask for card in built_in_cards() for example in card.examples)


@dataclass(frozen=True)
class Call:
    """A call as it is stored."""

    arguments: JsonObject
    outcome: Outcome

    @property
    def data(self) -> Any:
        """None where it gave no result."""
        return self.outcome.data if isinstance(self.outcome, ToolResult) else None


@dataclass(frozen=True)
class EvidenceTurn:
    """An answer with its claims and its calls in order; `earlier` are the turns before it in its conversation."""

    name: str
    question: str
    text: str
    claims: Sequence[Claim]
    calls: Sequence[Call]
    earlier: Sequence[EvidenceTurn] = ()

    @property
    def known(self) -> dict[str, Call]:
        return {call.outcome.call_id: call for turn in (*self.earlier, self) for call in turn.calls}


@dataclass(frozen=True)
class Written:
    """A number in a text."""

    start: int
    end: int
    value: float
    decimals: int

    def rounds(self, value: float) -> bool:
        return abs(value - self.value) <= 0.5 * 10.0**-self.decimals + 1e-9


class EvidenceFigures(BaseModel):
    """Counts. `tool_numbers` stand in sentences that cite a call with a result, or repeat one that did.

    Of them `resolved` point at a field of a stored result that has the number, and `repeated` at a parameter, the
    question or the file. `planted` are sentences with a number that nothing has, `changed` are numbers with another
    digit; `marked` of each are reported as unsupported.
    """

    turns: int = 0
    turns_with_calls: int = 0
    turns_with_failures: int = 0
    undisclosed: list[str] = []
    claims: int = 0
    unsupported: list[str] = []
    tool_numbers: int = 0
    resolved: int = 0
    repeated: int = 0
    unresolved: list[str] = []
    planted: int = 0
    planted_marked: int = 0
    changed: int = 0
    changed_marked: int = 0
    missed: list[str] = []


Claimer = Callable[[EvidenceTurn, str], Sequence[Claim]]
"""The claims that a text would have as the answer of a turn."""


@dataclass
class EvidenceCount:
    """Adds turns to figures."""

    claims_of: Claimer
    random: Random
    figures: EvidenceFigures = field(default_factory=EvidenceFigures)

    def add(self, turn: EvidenceTurn) -> None:
        one = self.figures
        one.turns += 1
        one.turns_with_calls += bool(turn.calls)
        one.claims += len(turn.claims)
        one.unsupported += [f"{turn.name}: {claim.text}" for claim in turn.claims if not claim.supported]
        failed = [call for call in turn.calls if call.data is None]
        one.turns_with_failures += bool(failed)
        if failed and not any(claim.kind == "failure" for claim in turn.claims):
            one.undisclosed.append(turn.name)
        for number in tool_numbers(turn):
            self._resolve(turn, number)
        self._plant(turn)

    def _resolve(self, turn: EvidenceTurn, number: Written) -> None:
        self.figures.tool_numbers += 1
        claim = _covering(turn.claims, number)
        if claim is not None and claim.supported and _is_stored(turn, claim, number):
            self.figures.resolved += 1
        elif claim is not None and claim.supported and claim.field is None and _is_given(turn, claim):
            self.figures.repeated += 1
        else:
            self.figures.unresolved.append(f"{turn.name}: {turn.text[number.start : number.end]}")

    def _plant(self, turn: EvidenceTurn) -> None:
        text, place = planted(turn, self.random)
        self.figures.planted += 1
        self.figures.planted_marked += self._is_marked(turn, text, place)
        for number in tool_numbers(turn)[:1]:
            text, place = changed(turn, number, self.random)
            if text:
                self.figures.changed += 1
                self.figures.changed_marked += self._is_marked(turn, text, place)

    def _is_marked(self, turn: EvidenceTurn, text: str, place: Written) -> bool:
        claim = _covering(self.claims_of(turn, text), place)
        marked = claim is not None and claim.kind == "number" and not claim.supported
        if not marked:
            self.figures.missed.append(f"{turn.name}: {text[max(0, place.start - 30) : place.end + 10]}")
        return marked


def tool_numbers(turn: EvidenceTurn) -> list[Written]:
    """The numbers of cited sentences, and in an answer without calls those that earlier cited sentences have.

    Numbers of an ask that the answer suggests, which is the example of a card, come from no tool.
    """
    if turn.calls:
        works = {place for place, call in enumerate(turn.calls, 1) if call.data is not None}
        return [number for number in written(turn.text) if _cited(turn.text, number) in works]
    told = {one.text[number.start : number.end] for one in turn.earlier for number in tool_numbers(one)}
    suggested = [match.span() for ask in _EXAMPLES for match in re.finditer(re.escape(ask), turn.text)]
    return [
        number
        for number in written(turn.text)
        if turn.text[number.start : number.end] in told
        and not any(start <= number.start < end for start, end in suggested)
    ]


def written(text: str) -> list[Written]:
    """The numbers of a text, without markers and digits of names."""
    markers = {match.start(1) for match in _MARKER.finditer(text)}
    return [
        Written(match.start(), match.end(), float(match[0].replace(",", "")), len(match[0].partition(".")[2]))
        for found in _NUMERAL.finditer(text)
        if found.start() not in markers and (match := re.compile(r"[\d,.]*\d").match(text, found.start(), found.end()))
    ]


def planted(turn: EvidenceTurn, random: Random) -> tuple[str, Written]:
    """The answer with a sentence more, somewhere between its sentences, whose number nothing has."""
    ends = [match.end() for match in re.finditer(r"\]\s|\n\n|$", turn.text)]
    place = random.choice(ends)
    for _ in range(_TRIES):
        form = random.choice(_PLANTS)
        value = random.uniform(0.02, 0.98) if ":.2f" in form else random.uniform(11, 99)
        sentence = form.format(value)
        text = f"{turn.text[:place]} {sentence} {turn.text[place:]}"
        number = next(one for one in written(text) if one.start > place)
        if not _is_true(turn, number):
            return text, number
    raise ValueError("Every number that could be planted is true.")


def changed(turn: EvidenceTurn, number: Written, random: Random) -> tuple[str, Written]:
    """The answer with another last digit in one of its numbers; "" where every other one is true as well."""
    last = number.end - 1
    for digit in random.sample("0123456789", 10):
        text = f"{turn.text[:last]}{digit}{turn.text[last + 1 :]}"
        altered = next(one for one in written(text) if one.start == number.start)
        if digit != turn.text[last] and not _is_true(turn, altered):
            return text, altered
    return "", number


def _cited(text: str, number: Written) -> int | None:
    marker = _MARKER.search(text, number.end)
    return int(marker[1]) if marker and "\n" not in text[number.end : marker.start()] else None


def _covering(claims: Iterable[Claim], number: Written) -> Claim | None:
    return next((one for one in claims if one.start <= number.start and number.end <= one.end), None)


def _is_stored(turn: EvidenceTurn, claim: Claim, number: Written) -> bool:
    """Whether the field that a claim names is in the stored result and has the number."""
    call = turn.known.get(claim.call_id or "")
    if call is None or call.data is None or claim.field is None:
        return False
    value: Any = call.data
    parts = [part.replace("~1", "/").replace("~0", "~") for part in claim.field.split("/")[1:]]
    for part in parts:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return False
    is_entry = bool(parts) and parts[-1].isdigit() and number.value == int(parts[-1]) + 1
    return is_entry or _has(value, number)


def _has(value: Any, number: Written) -> bool:
    match value:
        case bool() | None:
            return False
        case int() | float():
            return any(number.rounds(one) for one in (value, 100 * value, 100 * (1 - value), value / 100))
        case str():
            return any(one.value == number.value for one in written(value))
        case list():
            return number.rounds(len(value)) or _adds_up(value, number) or any(_has(one, number) for one in value)
        case _:
            return False


def _adds_up(rows: list[Any], number: Written) -> bool:
    """Whether the number counts some of the rows, or is the sum of a column."""
    if number.decimals == 0 and 0 < number.value < len(rows):
        return True
    columns = {key for row in rows if isinstance(row, dict) for key in row}
    sums = [
        sum(row[key] for row in rows if isinstance(row, dict) and isinstance(row.get(key), int | float))
        for key in columns
    ]
    return any(number.rounds(one) or number.rounds(one / 100) for one in sums)


def _is_given(turn: EvidenceTurn, claim: Claim) -> bool:
    """Whether a claim without a field repeats a parameter, the question, or a fact of the file."""
    if claim.call_id is None:
        return bool(claim.input_sha256) or {one.value for one in written(claim.text)} <= set(_values(turn.question))
    call = turn.known.get(claim.call_id)
    given = list(_leaves(call.arguments)) if call is not None else []
    return all(any(one.rounds(value) for value in given) for one in written(claim.text))


def _is_true(turn: EvidenceTurn, number: Written) -> bool:
    """Whether anything of the conversation could be meant by a number, in whatever unit."""
    values = [value for call in turn.known.values() for value in (*_leaves(call.data), *_leaves(call.arguments))]
    values += [value for one in (*turn.earlier, turn) for value in (*_values(one.question), *_values(one.text))]
    scaled = (one for value in values for one in (value, 100 * value, 100 - 100 * value, value / 100, value / 10))
    return any(number.rounds(one) for one in scaled)


def _leaves(value: Any) -> Iterator[float]:
    """Numbers, numbers in texts, and lengths and sums of lists."""
    if isinstance(value, str):
        yield from _values(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list):
        yield len(value)
        for key in {key for row in value if isinstance(row, dict) for key in row}:
            yield sum(row[key] for row in value if isinstance(row, dict) and isinstance(row.get(key), int | float))
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _values(text: str) -> list[float]:
    return [one.value for one in written(text)]
