"""The fields of a result, indexed by what an answer may say of them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from pydantic import JsonValue

from mmedagent.controller.evidence.quantities import unit_of_key, unit_of_word
from mmedagent.controller.evidence.terms import stem, words_of
from mmedagent.protocol.types import JsonObject

MAX_LEAVES = 5_000
MAX_DEPTH = 12
MAX_TEXT_CHARACTERS = 100_000
MAX_POINTER = 500
MAX_EXAMINED = 64
"""How many equal values are looked at before the first of them is taken."""

MAX_NAME = 100
NAMES = frozenset({"label", "labels", "phrase", "phrases", "finding", "condition", "answer"})
"""Fields whose texts, if they are short, name what is seen, what a passage is about, or what is chosen."""

COORDINATES = frozenset({"box", "boxes", "point", "points", "highlight"})
"""Fields whose numbers say something only together."""

RANKED = frozenset({"labels", "probabilities"})
"""Fields with a name for every possibility, also for the improbable ones."""

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%°]")
_LARGEST = 1e300

Path = tuple[str | int, ...]
Entry = int | str
"""What is about one and the same thing: a place in lists beside each other, or a name among `probabilities`."""

Context = tuple[str | None, str, str | None]
"""A number with the words around it; None where nothing is around."""


class Value(NamedTuple):
    """A number that a result has, or that follows from it: a length, a sum."""

    value: float
    pointer: str
    unit: str
    entry: Entry | None
    score: float | None


class Passage(NamedTuple):
    """A text of a result."""

    text: str
    pointer: str
    score: float | None


class Name(NamedTuple):
    """A name that a result gives."""

    text: str
    pointer: str
    entry: Entry | None
    score: float | None
    ranked: bool


@dataclass
class Fields:
    """What `data` says. Of a result with more than `MAX_LEAVES` fields the rest is left out."""

    data: JsonObject
    values: list[Value] = field(default_factory=list)
    lists: list[tuple[tuple[float, ...], Value]] = field(default_factory=list)
    counts: dict[int, str] = field(default_factory=dict)
    sums: list[Value] = field(default_factory=list)
    names: list[Name] = field(default_factory=list)
    texts: list[Passage] = field(default_factory=list)
    groups: list[tuple[frozenset[int], str]] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        room = MAX_TEXT_CHARACTERS
        for path, value in islice(_walk(self.data), MAX_LEAVES):
            pointer = pointer_of(path)
            if len(pointer) > MAX_POINTER:
                continue
            if isinstance(value, list):
                self._add_list(path, pointer, value)
            elif isinstance(value, str):
                self._add_text(path, pointer, value[:room])
                room -= min(room, len(value))
            elif (number := _number(value)) is not None:
                self._add_number(path, pointer, number)
        self.values.sort(key=lambda one: one.value)
        self.lists.sort(key=lambda one: one[0])

    def near(self, low: float, high: float) -> Sequence[Value]:
        """Values from `low` to `high`, at most `MAX_EXAMINED`."""
        place = bisect_left(self._ordered, low)
        return [one for one in self.values[place : place + MAX_EXAMINED] if one.value <= high]

    def near_lists(self, low: float) -> Iterator[tuple[tuple[float, ...], Value]]:
        """Lists whose first value is `low` or more."""
        place = bisect_left(self._ordered_lists, low)
        return islice(self.lists, place, place + 4 * MAX_EXAMINED)

    @cached_property
    def contexts(self) -> dict[Context, str]:
        """Every number in a text with its neighbours, and where it stands."""
        found: dict[Context, str] = {}
        for text, pointer, _ in self.texts:
            tokens = tokens_of(text)
            for place, token in enumerate(tokens):
                if token[0].isdigit():
                    before = tokens[place - 1] if place else None
                    after = tokens[place + 1] if place + 1 < len(tokens) else None
                    for context in ((before, token, after), (before, token, None), (None, token, after)):
                        found.setdefault(context, pointer)
        return found

    @cached_property
    def _ordered(self) -> list[float]:
        return [one.value for one in self.values]

    @cached_property
    def _ordered_lists(self) -> list[float]:
        return [one[0][0] for one in self.lists]

    def _add_number(self, path: Path, pointer: str, value: float) -> None:
        if _key(path) not in COORDINATES:
            unit = self._unit(path)
            self.units.add(unit)
            self.values.append(Value(value, pointer, unit, _entry(path), score_of(self.data, path)))
        if len(path) == 2 and path[0] == "probabilities" and isinstance(path[1], str):
            self.names.append(Name(path[1], pointer, path[1], value, ranked=True))

    def _add_text(self, path: Path, pointer: str, text: str) -> None:
        key, score = _key(path), score_of(self.data, path)
        self.texts.append(Passage(text, pointer, score))
        if key in NAMES and 0 < len(text) <= MAX_NAME:
            self.names.append(Name(text, pointer, _entry(path), score, key in RANKED))
            self.words.update(words_of(text))

    def _add_list(self, path: Path, pointer: str, rows: list[JsonValue]) -> None:
        numbers = tuple(number for one in rows[:16] if (number := _number(one)) is not None)
        if 2 <= len(numbers) == len(rows):
            whole = Value(numbers[0], pointer, self._unit(path), _entry(path), score_of(self.data, path))
            self.lists.append((numbers, whole))
        if _entry(path) is None and not numbers:
            self._count(_key(path), pointer, rows)

    def _count(self, key: str, pointer: str, rows: list[JsonValue]) -> None:
        """How many rows there are: all, with each name, with something in a column; and what columns add up to."""
        self.counts.setdefault(len(rows), pointer)
        self.words.add(stem(key))
        self.groups.append((frozenset(range(len(rows))), pointer))
        names: dict[str, set[int]] = defaultdict(set)
        columns: dict[str, list[float]] = defaultdict(list)
        for place, row in enumerate(rows[:MAX_LEAVES]):
            if isinstance(row, str):
                names[row].add(place)
            for name, value in row.items() if isinstance(row, dict) else ():
                if (number := _number(value)) is not None:
                    columns[name].append(number)
        for places in names.values():
            self.groups.append((frozenset(places), pointer))
            self.counts.setdefault(len(places), pointer)
        for name, column in columns.items():
            self.counts.setdefault(sum(one > 0 for one in column), pointer)
            if unit_of_key(name) and len(column) > 1:
                self.sums.append(Value(sum(column), pointer, unit_of_key(name), None, None))

    def _unit(self, path: Path) -> str:
        """What the field's name says, or a text `unit` beside it."""
        unit = unit_of_key(_key(path))
        holder = at(self.data, path[:-1])
        beside = holder.get("unit") if isinstance(holder, dict) and not unit else None
        return unit_of_word(beside) if isinstance(beside, str) else unit


def tokens_of(text: str) -> list[str]:
    """Words and numerals, the latter without separators of thousands."""
    return [token.replace(",", "") if token[0].isdigit() else token for token in _TOKEN.findall(text.casefold())]


def pointer_of(path: Path) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def at(data: JsonValue, path: Path) -> JsonValue:
    """What stands at a path, or None."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def score_of(data: JsonObject, path: Path) -> float | None:
    """What the tool itself gives for a field: its object's score, or the number beside it in `scores`."""
    for length in range(len(path) - 1, -1, -1):
        holder = at(data, path[:length])
        if isinstance(holder, dict):
            for key in ("score", "probability"):
                if (number := _number(holder.get(key))) is not None:
                    return number
    if path and path[0] == "probabilities" and len(path) == 2:
        return _number(at(data, path))
    entry = next((part for part in path if isinstance(part, int)), None)
    beside = (_number(at(data, (key, entry))) for key in ("scores", "probabilities") if entry is not None)
    return next((number for number in beside if number is not None), None)


def _walk(data: JsonObject) -> Iterator[tuple[Path, JsonValue]]:
    """Lists and leaves in the order in which they are written, each with its path."""
    pending: list[tuple[Path, JsonValue]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if len(path) > MAX_DEPTH:
            continue
        if isinstance(value, dict):
            pending += reversed([((*path, key), one) for key, one in islice(value.items(), MAX_LEAVES)])
            continue
        yield path, value
        if isinstance(value, list):
            pending += reversed([((*path, place), one) for place, one in enumerate(value[:MAX_LEAVES])])


def _number(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        return None
    return float(value)


def _key(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _entry(path: Path) -> Entry | None:
    if len(path) == 2 and path[0] == "probabilities":
        return path[1]
    return next((part for part in path if isinstance(part, int)), None)
