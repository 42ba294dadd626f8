"""Numbers, boxes and lists as they are written in answers."""

from __future__ import annotations

from collections.abc import Sequence

MM2_PER_CM2 = 100.0


def quantity(value: float) -> str:
    """About three significant digits, with thousands separated: 3.14, 31.4, 3,141."""
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def area(pixels: int, mm2: float | None) -> str:
    """An area in mm², also in cm² from 1 cm² on, and in pixels; in pixels alone when the spacing is unknown."""
    if mm2 is None:
        return f"{pixels:,} px"
    large = f" ({mm2 / MM2_PER_CM2:.2f} cm²)" if mm2 >= MM2_PER_CM2 else ""
    return f"{quantity(mm2)} mm²{large}, {pixels:,} px"


def shows(probability: float) -> bool:
    """Whether it is more than 0 in whole per cent."""
    return f"{probability:.0%}" != "0%"


def box(corners: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.2f}" for value in corners) + "]"


def place(corners: Sequence[float]) -> str:
    """Where the centre of a normalised box lies, such as "upper left": sides of the image, not of the patient."""
    x, y = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
    row = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else "middle"
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else "centre"
    if row == "middle":
        return "middle" if column == "centre" else f"{column} side"
    return f"{row} {column}"


def listed(items: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def quoted(text: str) -> str:
    return f"“{text}”"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 'es' if noun.endswith('x') else 's'}"
