"""Where a number of an answer comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

from mmedagent.controller.evidence.fields import Entry, Fields, Value, tokens_of
from mmedagent.controller.evidence.quantities import Group, Number, factor, quantities
from mmedagent.controller.evidence.sources import Basis, Place, Source, cited_first, repeated, without_call
from mmedagent.controller.evidence.terms import stem
from mmedagent.controller.evidence.texts import Answer
from mmedagent.protocol.claims import Claim

_AROUND = 60
"""Characters on either side of a number in which its neighbours are looked for."""

_COUNTED = frozenset(
    stem(word)
    for word in (
        "box", "mask", "region", "place", "object", "structure", "label", "passage", "finding", "result", "opinion",
        "match", "hit", "lesion", "instance", "area",
    )
)  # fmt: skip
_ORDINAL = re.compile(r"\b(?:number|structure|mask|box|region|object|passage|no\.?)\s?#?$", re.IGNORECASE)
_MORE = re.compile(r"\s+(?:more|others?)\b")
_EDGE_BEFORE, _EDGE_AFTER = re.compile(r"[“:.!?\n(]"), re.compile(r"[”.!?\n)]")


@dataclass(frozen=True)
class NumberSources:
    """Finds the sources of numbers, which must be asked for from the first to the last.

    A number rests on a field that rounds to it at the decimals written, in a unit that the field states: first in the
    call that its sentence cites, then in the others; then on the parameters of the calls, the question, the file's
    facts, and on the same number in an earlier answer.
    """

    answer: Answer
    basis: Basis
    sources: Sequence[Source]

    def claims(self, found: Number | Group) -> Iterator[Claim]:
        if isinstance(found, Number):
            yield self._of_number(found)
        elif (claim := self._of_group(found)).supported or self.answer.text[found.start] in "[(":
            yield claim
        else:
            yield from map(self._of_number, found.numbers)

    def _of_number(self, number: Number) -> Claim:
        place = self._place(number)
        if not isfinite(number.value):
            return without_call(place, "number", False)
        sources = cited_first(self.sources, self.answer.cited_at(number.start))
        for source in sources:
            value = self._in_result(source, number)
            if value is not None:
                source.speak_of(value.entry)
                return source.claim(place, "number", value.pointer, value.score)
        for source in sources:
            if _measured(source.parameters, number, None) is not None:
                return source.claim(place, "number", None)
        if any(_same(number, one) for one in self._asked):
            return without_call(place, "number", True)
        return self._outside(place, (number,))

    def _of_group(self, group: Group) -> Claim:
        place = self._place(group)
        sources = cited_first(self.sources, self.answer.cited_at(group.start))
        for source in sources:
            value = _listed(source.fields, group, source)
            if value is not None:
                source.speak_of(value.entry)
                return source.claim(place, "number", value.pointer, value.score)
        for source in sources:
            if _listed(source.parameters, group) is not None:
                return source.claim(place, "number", None)
        if any(_all_say(group.numbers, [one.value for one in asked.numbers]) for asked in self._asked_groups):
            return without_call(place, "number", True)
        return self._outside(place, group.numbers)

    def _in_result(self, source: Source, number: Number) -> Value | None:
        fields = source.fields
        whole = number.unit == "" and number.decimals == 0
        return (
            (self._of_entries(source, number) if whole else None)
            or (self._counted(fields, number) if whole else None)
            or _measured(fields, number, source.entry)
            or self._quoted(fields, number)
        )

    def _of_entries(self, source: Source, number: Number) -> Value | None:
        """ "mask 2" is an entry of a list; "3 more" are the entries that were not spoken of yet."""
        text = self.answer.text
        is_rest = _MORE.match(text, number.end) is not None
        is_entry = _ORDINAL.search(text, max(0, number.start - _AROUND), number.start) is not None
        for places, pointer in source.fields.groups if is_rest or is_entry else ():
            if is_rest and number.value == len(places - source.spoken) < len(places):
                source.spoken.update(places)
                return Value(number.value, pointer, "", None, None)
            if is_entry and number.value - 1 in places:
                entry = int(number.value) - 1
                return Value(number.value, f"{pointer}/{entry}", "", entry, None)
        return None

    def _counted(self, fields: Fields, number: Number) -> Value | None:
        """ "2 boxes" is the length of a list."""
        pointer = fields.counts.get(int(number.value)) if number.value < 1e6 else None
        if pointer is None:
            return None
        following = re.split(r"[.!?;,\n]", self.answer.text[number.end : number.end + _AROUND], maxsplit=1)[0]
        words = {stem(word) for word in tokens_of(following)[:3]}
        before = tokens_of(self.answer.text[max(0, number.start - _AROUND) : number.start])[-3:]
        if words & (_COUNTED | fields.words) or before[:2] == ["number", "of"]:
            return Value(number.value, pointer, "", None, None)
        return None

    def _quoted(self, fields: Fields, number: Number) -> Value | None:
        """A number in a text, between the same words as here."""
        text = self.answer.text
        before, after = text[max(0, number.start - _AROUND) : number.start], text[number.numeral_end :][:_AROUND]
        left, right = tokens_of(before)[-1:], tokens_of(after)[:1]
        at_start = not left or _EDGE_BEFORE.search(before[before.casefold().rfind(left[0]) :]) is not None
        at_end = not right or _EDGE_AFTER.search(after[: max(0, after.casefold().find(right[0]))]) is not None
        numeral = tokens_of(text[number.start : number.numeral_end])[-1:]
        if not numeral or (at_start and at_end):
            return None
        context = (None if at_start else left[0], numeral[0], None if at_end else right[0])
        pointer = fields.contexts.get(context)
        return Value(number.value, pointer, "", None, None) if pointer is not None else None

    def _outside(self, place: Place, numbers: Sequence[Number]) -> Claim:
        """A fact of the image's file, a number of an earlier answer, or nothing."""
        image = self.basis.image
        if image is not None and any(_states(fact, unit, numbers) for fact, unit in self._facts):
            return without_call(place, "number", True, (image.source_sha256, image.sha256))
        earlier = self._earlier.get(place.text.casefold())
        return repeated(place, earlier) if earlier else without_call(place, "number", False)

    def _place(self, found: Number | Group) -> Place:
        return Place(found.start, found.end, self.answer.text[found.start : found.end])

    @cached_property
    def _asked(self) -> list[Number]:
        found = quantities(self.basis.question)
        return [number for one in found for number in (one.numbers if isinstance(one, Group) else (one,))]

    @cached_property
    def _asked_groups(self) -> list[Group]:
        return [one for one in quantities(self.basis.question) if isinstance(one, Group)]

    @cached_property
    def _facts(self) -> list[tuple[tuple[float, ...], str]]:
        image = self.basis.image
        if image is None:
            return []
        facts: list[tuple[tuple[float, ...], str]] = [((image.width, image.height), "px")]
        return facts if image.spacing_mm is None else [*facts, (image.spacing_mm, "mm")]

    @cached_property
    def _earlier(self) -> dict[str, Claim]:
        return {one.text.casefold(): one for one in self.basis.earlier if one.kind == "number" and one.supported}


def _measured(fields: Fields, number: Number, entry: Entry | None) -> Value | None:
    """The field, or sum of fields, that rounds to a number; preferably of the entry that was spoken of last."""
    found = [one for given in _scales(fields, number) for one in given]
    found += [one for one in fields.sums if _sums_to(one, number)]
    return min(found, key=lambda one: (one.entry != entry, abs(one.value - number.value)), default=None)


def _scales(fields: Fields, number: Number) -> Iterator[Iterable[Value]]:
    """The fields that round to a number, by the units that fields can have."""
    low, high = number.value - number.tolerance, number.value + number.tolerance
    if number.unit == "":
        near = fields.near(low, high)
        yield (one for one in near if number.decimals or abs(one.value) >= 1 or one.value == number.value)
        return
    if number.unit == "%":
        yield (one for one in fields.near(low / 100, high / 100) if one.unit == "" and 0 <= one.value <= 1)
        rest = fields.near(1 - high / 100, 1 - low / 100)
        yield (one for one in rest if one.pointer.endswith("probability") and 0 <= one.value <= 1)
    for unit in fields.units - {""}:
        scale = factor(number.unit, unit)
        if scale is not None:
            yield (one for one in fields.near(low * scale, high * scale) if one.unit == unit)


def _sums_to(total: Value, number: Number) -> bool:
    scale = 1.0 if number.unit == "" else factor(number.unit, total.unit)
    return scale is not None and number.says(total.value / scale)


def _listed(fields: Fields, group: Group, source: Source | None = None) -> Value | None:
    """The list that rounds to a group, preferably of an entry of which no value was given yet."""
    first = group.numbers[0]
    scales = {unit: factor(first.unit, unit) if first.unit else 1.0 for unit in {"", *fields.units}}
    found: list[Value] = []
    for scale in {one for one in scales.values() if one is not None}:
        for values, whole in fields.near_lists((first.value - first.tolerance) * scale):
            if values[0] > (first.value + first.tolerance) * scale:
                break
            if scales.get(whole.unit) == scale and _all_say(group.numbers, [value / scale for value in values]):
                found.append(whole)
    if source is None:
        return next(iter(found), None)
    return min(found, key=lambda one: (one.entry in source.spoken, one.entry != source.entry), default=None)


def _all_say(numbers: Sequence[Number], values: Sequence[float]) -> bool:
    return len(numbers) == len(values) and all(map(Number.says, numbers, values))


def _states(fact: tuple[float, ...], unit: str, numbers: Sequence[Number]) -> bool:
    if any(one.unit != unit for one in numbers):
        return False
    return _all_say(numbers, fact) or (len(numbers) == 1 and any(numbers[0].says(value) for value in fact))


def _same(number: Number, asked: Number) -> bool:
    return number.value == asked.value and number.unit in {"", asked.unit}
