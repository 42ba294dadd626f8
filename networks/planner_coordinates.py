"""Coordinates as people write them, put into brackets: labelled, as ranges, as corners, or bare behind a word."""

from __future__ import annotations

import re

NUMBER = r"[-+]?(?!0\d{3}(?!\d))(?:\d++(?:\.\d++)?+|\.\d++)"
"""Not half a tag of DICOM, four digits of which the first is 0: (0018,0050) is no point."""

BETWEEN = r"(?:\s*[,;]\s*|\s+)"

_GAP = r"[\s,;]*+(?:and\s++)?"
_NO_UNIT = r"(?!\s*(?:%|(?:[mc]m|m[lL]|HU|[mc]?Gy|m?Sv|hours?|days?|weeks?)\b))"

_LABEL = r"[\"']?\b(?:[xy](?:_?(?:min|max)|_?[012])?|left|top|width|height|w|h)\b[\"']?"
_VALUE = re.compile(rf"({_LABEL})\s*[=:]\s*({NUMBER})", re.IGNORECASE)
_LABELLED = re.compile(
    rf"[\[({{]?{_VALUE.pattern}(?:{_GAP}{_VALUE.pattern}){{1,9}}[\])}}]?{_NO_UNIT}(?!{_GAP}z\b)", re.IGNORECASE
)
_CORNER_LABELS = (("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"))
_SIZE_LABELS = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))

_RANGE = rf"\s*+(?:[=:]\s*+)?(?:from\s++)?({NUMBER})\s*+(?:-|–|to)\s*+({NUMBER})"
_RANGES = re.compile(rf"\bx{_RANGE}{_GAP}y{_RANGE}{_NO_UNIT}", re.IGNORECASE)

_PAIR = re.compile(rf"[\[(]\s*({NUMBER}){BETWEEN}({NUMBER})\s*[\])]")
_SHAPE = re.compile(rf"{_PAIR.pattern}|[\[(]\s*{NUMBER}(?:{BETWEEN}{NUMBER}){{3}}\s*[\])]")
_LEFT_TOP = rf"(?:top|upper)[- ]left(?: corner)?(?: at)?[\s:]*+{_PAIR.pattern}"
_CORNERS = re.compile(
    rf"\b(?:from[\s:]*+{_PAIR.pattern}\s*+(?:to|-|–)"
    rf"|(?:box|bbox|corners?)(?: at)?[\s:]*+{_PAIR.pattern}{_GAP}(?:to|-|–)?"
    rf"|{_LEFT_TOP}{_GAP}(?:bottom|lower)[- ]right(?: corner)?(?: at)?)"
    rf"[\s:]*+{_PAIR.pattern}{_NO_UNIT}(?!{_GAP}{_PAIR.pattern})",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(
    rf"\b(?:outside|background)(?: points?)?(?: at| on)?[\s:=]++{_PAIR.pattern}(?:{_GAP}{_PAIR.pattern})*+",
    re.IGNORECASE,
)

_FRACTION, _PIXELS = r"(?:0?\.\d+|[01]\.0)", r"\d{1,4}"
_FOUR = rf"{_FRACTION}(?:{BETWEEN}{_FRACTION}){{3}}|{_PIXELS}(?:{BETWEEN}{_PIXELS}){{3}}"
_BARE_END = rf"(?![\w%]|[.,]\d|{BETWEEN}(?:(?:and|or)\s++)?\d){_NO_UNIT}"
_BARE_BOX = re.compile(rf"\b(b?box(?: at| coordinates)?[\s:=]++)({_FOUR}){_BARE_END}", re.IGNORECASE)
_BARE_POINT = re.compile(
    rf"\b((?:point|seed|click|inside|foreground|outside|background)(?: at| on)?[\s:=]++)"
    rf"({_FRACTION}\s*,\s*{_FRACTION}){_BARE_END}",
    re.IGNORECASE,
)


def bracketed(text: str) -> str:
    """The text with boxes as `[x1, y1, x2, y2]` and points as `[x, y]`, or `[x, y, 0]` for one outside.

    Boxes are read from `x1=0.1 y1=0.2 x2=0.5 y2=0.6` and the like, from a corner with width and height, from
    `x 0.1-0.5, y 0.2-0.6`, from two opposite corners, and from four numbers behind "box"; points from `x=0.3, y=0.4`
    and from two fractions behind such a word as "point". Points behind "background" or "outside" are outside where
    anything else is given. All other numbers stay as they are.
    """
    text = _LABELLED.sub(_of_labels, text)
    text = _RANGES.sub(r"[\1, \3, \2, \4]", text)
    text = _CORNERS.sub(_of_corners, text)
    text = _BARE_BOX.sub(r"\1[\2]", text)
    text = _BARE_POINT.sub(r"\1[\2]", text)
    is_inside_given = _SHAPE.search(_OUTSIDE.sub("", text)) is not None
    return _OUTSIDE.sub(lambda match: _PAIR.sub(r"[\1, \2, 0]", match[0]), text) if is_inside_given else text


def _of_labels(match: re.Match[str]) -> str:
    values = [(one[1].strip("\"'").casefold().replace("_", ""), one[2]) for one in _VALUE.finditer(match[0])]
    given = dict(values)
    labels = tuple(label for label, _ in values)
    if labels == ("x", "y") * (len(labels) // 2):
        return ", ".join(f"[{x[1]}, {y[1]}]" for x, y in zip(values[::2], values[1::2], strict=True))
    if len(given) < len(labels):
        return match[0]
    for corners in _CORNER_LABELS:
        if {*corners} <= {*labels}:
            return f"[{', '.join(given[one] for one in corners)}]"
    if labels in _SIZE_LABELS:
        left, top, width, height = (float(value) for _, value in values)
        return f"[{left:g}, {top:g}, {round(left + width, 6):g}, {round(top + height, 6):g}]"
    return match[0]


def _of_corners(match: re.Match[str]) -> str:
    (left, top), (right, bottom) = _PAIR.findall(match[0])
    return f"[{left}, {top}, {right}, {bottom}]"
