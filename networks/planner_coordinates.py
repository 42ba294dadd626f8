"""Coordinates as people write them, put into brackets: labelled, as ranges, as corners, or bare behind a word."""

from __future__ import annotations

import re

NUMBER = r"[-+]?(?!0\d{3}(?!\d))(?:\d+(?:\.\d+)?|\.\d+)"
"""Not half a tag of DICOM, four digits of which the first is 0: (0018,0050) is no point."""

BETWEEN = r"(?:\s*[,;]\s*|\s+)"

_LABEL = r"\"?\b(?:[xy](?:_?(?:min|max)|[012])?|left|top|right|bottom|width|height|w|h)\b\"?"
_VALUE = re.compile(rf"({_LABEL})\s*[=:]\s*({NUMBER})", re.IGNORECASE)
_LABELLED = re.compile(rf"[\[({{]?{_VALUE.pattern}(?:[\s,;]*{_VALUE.pattern}){{1,3}}[\])}}]?", re.IGNORECASE)

_RANGE = rf"\s*+(?:[=:]\s*+)?(?:from\s++)?({NUMBER})\s*+(?:-|–|to)\s*+({NUMBER})"
_RANGES = re.compile(rf"\bx{_RANGE}[\s,;]*+(?:and\s++)?y{_RANGE}", re.IGNORECASE)

_PAIR = rf"[\[(]\s*({NUMBER}){BETWEEN}({NUMBER})\s*[\])]"
_CORNERS = re.compile(
    rf"\b(?:from|corners?(?: at)?|(?:top|upper)[- ]left(?: corner)?(?: at)?)[\s:]*+{_PAIR}"
    rf"[\s,;]*+(?:to|and|-|–)?\s*+(?:(?:bottom|lower)[- ]right(?: corner)?(?: at)?)?[\s:]*+{_PAIR}",
    re.IGNORECASE,
)

_PLAIN = r"(?:0?\.\d+|\d{2,4}|1\.0+|[01])(?![\w%]|\.\d)"
"""A fraction or a number of pixels, not a small count such as that of boxes."""

_BARE_BOX = re.compile(
    rf"\b(b?box|rectangle|roi)((?: at| coordinates)?[\s:=]++)({_PLAIN}(?:{BETWEEN}{_PLAIN}){{3}})(?!{BETWEEN}\d)",
    re.IGNORECASE,
)
_BARE_POINT = re.compile(
    rf"\b(point|seed|click|clicked|inside|foreground|outside|background)((?: at| on)?[\s:=]++)"
    rf"({_PLAIN}\s*,\s*{_PLAIN})(?!\s*,\s*\d)",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(rf"\b((?:outside|background)(?: point)?(?: at| on)?[\s:=]++){_PAIR}", re.IGNORECASE)

_CORNER_LABELS = (("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"),
                  ("left", "top", "right", "bottom"))  # fmt: skip
_SIZE_LABELS = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))


def bracketed(text: str) -> str:
    """The text with boxes as `[x1, y1, x2, y2]` and points as `[x, y]`, or `[x, y, 0]` for one outside.

    Boxes are read from `x1=0.1 y1=0.2 x2=0.5 y2=0.6` and the like, from a corner with width and height, from
    `x 0.1-0.5, y 0.2-0.6`, from two opposite corners, and from four numbers behind "box"; points from `x=0.3, y=0.4`
    and from two numbers behind such a word as "point", "inside" or "background". Anything else stays as it is.
    """
    text = _LABELLED.sub(_of_labels, text)
    text = _RANGES.sub(r"[\1, \3, \2, \4]", text)
    text = _CORNERS.sub(r"[\1, \2, \3, \4]", text)
    text = _BARE_BOX.sub(r"\1\2[\3]", text)
    text = _BARE_POINT.sub(r"\1\2[\3]", text)
    return _OUTSIDE.sub(r"\1[\2, \3, 0]", text)


def _of_labels(match: re.Match[str]) -> str:
    given = {one[1].strip('"').casefold().replace("_", ""): one[2] for one in _VALUE.finditer(match[0])}
    for labels in _CORNER_LABELS:
        if given.keys() == {*labels}:
            return f"[{', '.join(given[one] for one in labels)}]"
    for x, y, width, height in _SIZE_LABELS:
        if given.keys() == {x, y, width, height}:
            right, bottom = (round(float(given[a]) + float(given[b]), 6) for a, b in ((x, width), (y, height)))
            return f"[{given[x]}, {given[y]}, {right:g}, {bottom:g}]"
    return f"[{given['x']}, {given['y']}]" if given.keys() == {"x", "y"} else match[0]
