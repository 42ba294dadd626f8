"""Numbers as people write them, with their units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

_WRITTEN = {
    "mm²": ("mm²", "mm2", "mm^2", "sq mm", "square millimetre", "square millimeter"),
    "cm²": ("cm²", "cm2", "cm^2", "sq cm", "square centimetre", "square centimeter"),
    "mm³": ("mm³", "mm3", "mm^3", "cubic millimetre", "cubic millimeter"),
    "ml": ("ml", "cm³", "cm3", "cm^3", "cc", "millilitre", "milliliter", "cubic centimetre", "cubic centimeter"),
    "mm": ("mm", "millimetre", "millimeter"),
    "cm": ("cm", "centimetre", "centimeter"),
    "µm": ("µm", "μm", "um", "micron", "micrometre", "micrometer"),
    "px": ("px", "pixel"),
    "%": ("%", "percent", "per cent"),
    "HU": ("hu", "hounsfield unit"),
    "ms": ("ms", "millisecond"),
    "s": ("s", "second"),
    "min": ("min", "minute"),
    "h": ("h", "hour"),
    "day": ("day",),
    "week": ("week",),
    "month": ("month",),
    "year": ("year",),
    "mg": ("mg", "milligram"),
    "g": ("g", "gram"),
    "kg": ("kg", "kilogram"),
    "bpm": ("bpm",),
    "mmHg": ("mmhg",),
    "°": ("°", "degree"),
    "°C": ("°c", "degrees celsius"),
}
_UNITS = {word: unit for unit, words in _WRITTEN.items() for word in words}
_IN_BASE = {
    "mm": ("mm", 1.0), "cm": ("mm", 10.0), "µm": ("mm", 0.001),
    "mm²": ("mm²", 1.0), "cm²": ("mm²", 100.0),
    "mm³": ("mm³", 1.0), "ml": ("mm³", 1000.0),
}  # fmt: skip
_SUFFIXES = {**_UNITS, "pixels": "px", "percent": "%", "pct": "%", "deg": "°"}

_UNIT_WORDS = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_UNIT = re.compile(rf"[ \u00a0\u202f-]?(?P<word>{_UNIT_WORDS})(?:s|es)?(?!\w)", re.IGNORECASE)
_EXPONENT = r"(?:[eE][-+]?\d{1,3}(?!\w))?"
_NUMERAL = rf"(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d++)(?:\.\d++)?{_EXPONENT}"
_NUMBER = re.compile(rf"(?<!\w)(?<!\d\.)(?:{_NUMERAL}|(?<!\.)\.\d++)")
_PLAIN = rf"[-−+]?(?:\d++(?:\.\d++)?|\.\d++){_EXPONENT}"
_BRACKETS = re.compile(rf"([\[(])\s*({_PLAIN}(?:\s*[,;]\s*{_PLAIN}){{1,15}})\s*[\])]")
_PRODUCT = re.compile(rf"(?<![\w.]){_PLAIN}(?:\s?[x×]\s?{_PLAIN}){{1,3}}(?![\w.]*\d)")
_LIST_NUMBER = re.compile(r"^[ \t>*]*(?P<number>\d{1,3})[.)][ \t]", re.MULTILINE)
_PLAIN_NUMBER = re.compile(_PLAIN)


@dataclass(frozen=True)
class Number:
    """One number. `end` is after its unit; `numeral_end` before. `unit` is "" where none is written."""

    start: int
    numeral_end: int
    end: int
    value: float
    decimals: int
    unit: str

    @property
    def tolerance(self) -> float:
        """How far a value may be from what is written and still round to it."""
        return 0.5 * 10.0**-self.decimals + abs(self.value) * 1e-12

    def says(self, value: float) -> bool:
        return isfinite(self.value) and abs(value - self.value) <= self.tolerance


@dataclass(frozen=True)
class Group:
    """Numbers that belong together: `[0.1, 0.2, 0.5, 0.7]`, `(12, 40)`, `0.66 x 0.66 mm`."""

    start: int
    end: int
    numbers: tuple[Number, ...]


def quantities(text: str) -> Iterator[Number | Group]:
    """The numbers of a text in their order. Numbers in words, numbers of lists and digits in names (T1) are none."""
    listed = {match.start("number") for match in _LIST_NUMBER.finditer(text)}
    groups = sorted(_groups(text), key=lambda one: one.start)
    place = 0
    for match in _NUMBER.finditer(text):
        while place < len(groups) and groups[place].end <= match.start():
            yield groups[place]
            place += 1
        inside = place < len(groups) and groups[place].start <= match.start()
        if inside or match.start() in listed:
            continue
        number = _number(text, match.start(), match.end())
        if number is not None:
            yield number
    yield from groups[place:]


def unit_of_key(key: str) -> str:
    """The unit that the name of a field states at its end, as in `area_mm2`."""
    return _SUFFIXES.get(key.rpartition("_")[2].casefold(), "") if "_" in key else ""


def unit_of_word(word: str) -> str:
    return _UNITS.get(word.strip().casefold(), "")


def factor(written: str, given: str) -> float | None:
    """What a value in the unit `written` is multiplied with to be in the unit `given`; None where they do not match."""
    if written == given:
        return 1.0
    of, to = _IN_BASE.get(written), _IN_BASE.get(given)
    return of[1] / to[1] if of and to and of[0] == to[0] else None


def _groups(text: str) -> Iterator[Group]:
    last = 0
    found = [*_BRACKETS.finditer(text), *_PRODUCT.finditer(text)]
    for match in sorted(found, key=lambda one: one.start()):
        if match.start() < last:
            continue
        first = match.start(2) if match.re is _BRACKETS else match.start()
        stop = match.end(2) if match.re is _BRACKETS else match.end()
        unit = _UNIT.match(text, match.end())
        end, name = (unit.end(), _UNITS[unit["word"].casefold()]) if unit else (match.end(), "")
        numbers = tuple(
            Number(one.start(), one.end(), one.end(), *_value(one[0]), name)
            for one in _PLAIN_NUMBER.finditer(text, first, stop)
        )
        last = end
        yield Group(match.start(), end, numbers)


def _number(text: str, start: int, numeral_end: int) -> Number | None:
    """The number whose digits are there, with its sign and unit, or None for digits that are part of a name."""
    before = text[max(0, start - 2) : start]
    if before[-1:] in "-−+‑" and before[-1:]:
        if before[:-1].isalpha():
            return None
        if not before[:-1] or not (before[0].isalnum() or before[0] in ")]%"):
            start -= 1
    unit = _UNIT.match(text, numeral_end)
    after = text[numeral_end : numeral_end + 2]
    if unit is None and (after[:1].isalnum() or after[:1] == "_" or (after[:1] == "." and after[1:].isdigit())):
        return None
    end, name = (unit.end(), _UNITS[unit["word"].casefold()]) if unit else (numeral_end, "")
    return Number(start, numeral_end, end, *_value(text[start:numeral_end]), name)


def _value(numeral: str) -> tuple[float, int]:
    """The value, and how many of its decimals are written."""
    plain = numeral.replace(",", "").replace("−", "-").replace("‑", "-")
    mantissa, _, exponent = plain.casefold().partition("e")
    decimals = len(mantissa.partition(".")[2]) - (int(exponent) if exponent else 0)
    return float(plain), min(max(decimals, 0), 17)
