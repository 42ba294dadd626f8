"""What can be read from an ask without a model: its words, and explicit coordinates, which no model may invent.

Coordinates are written as `[x1, y1, x2, y2]` (a box) or `[x, y]` (a point; a third number of 1 or 0 says inside or
outside), in square or round brackets, anywhere in the text, or on lines of their own after `Input box:` and
`Input point:`, as MMedAgent appends what a user draws. Other ways to write them are put into brackets first. Values in
[0, 1] are fractions of the frame's width and height; larger ones are pixels of the frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmedagent.networks.planner_coordinates import BETWEEN, NUMBER, bracketed

Box = tuple[float, float, float, float]
Point = tuple[float, float, int]
FrameSize = tuple[int, int]
"""Width and height in pixels."""

BOX_WORD, POINT_WORD = "[box]", "[point]"
MAX_SHAPES = 64
_GROUP = re.compile(
    rf"(?:\bInput (?:box|point):\s*)?[\[(]\s*({NUMBER}(?:{BETWEEN}{NUMBER}){{1,3}})\s*[\])]", re.IGNORECASE
)
_WORD = re.compile(r"\[box\]|\[point\]|\d+(?:\.\d+)?(?![\w.])|\w+(?:[-'’]\w+)*|[^\w\s]")
_THRESHOLD = re.compile(
    r"\bthreshold(?:\s+(?:of|at|to)|\s*[=:])?\s*(0?\.\d{1,6}|[01](?:\.0{1,6})?)(?!\.?\d)", re.IGNORECASE
)


@dataclass(frozen=True)
class AskText:
    """An ask as the model reads it, with every coordinate group replaced by a word that stands for it.

    Boxes are (x1, y1, x2, y2) and points (x, y, 1 inside or 0 outside), normalised to [0, 1]. `problems` are sentences
    about coordinates that cannot be used; `in_pixels` says that some were given in pixels.
    """

    text: str
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    threshold: float | None = None
    problems: tuple[str, ...] = ()
    in_pixels: bool = False

    @property
    def has_coordinates(self) -> bool:
        return bool(self.boxes or self.points)


def read_ask_text(text: str, frame: FrameSize | None = None) -> AskText:
    """Take the explicit numbers out of an ask. `frame` is needed only for coordinates in pixels."""
    boxes: list[Box] = []
    points: list[Point] = []
    problems: list[str] = []
    largest = 0.0

    def take(match: re.Match[str]) -> str:
        nonlocal largest
        values = [float(value) for value in re.findall(NUMBER, match[1])]
        largest = max(largest, *values)
        shape = _box(values, frame) if len(values) == 4 else _point(values, frame)
        if isinstance(shape, str):
            problems.append(f"{match[0].strip()}: {shape}")
        elif len(shape) == 4:
            boxes.append(shape)
        else:
            points.append(shape)
        return BOX_WORD if len(values) == 4 else POINT_WORD

    replaced = _GROUP.sub(take, bracketed(text)).strip()
    if max(len(boxes), len(points)) > MAX_SHAPES:
        problems.append(f"at most {MAX_SHAPES} boxes and {MAX_SHAPES} points can be given at once")
    threshold = _THRESHOLD.search(text)
    return AskText(
        text=replaced,
        boxes=tuple(dict.fromkeys(boxes)),
        points=tuple(dict.fromkeys(points)),
        threshold=float(threshold[1]) if threshold else None,
        problems=tuple(problems),
        in_pixels=largest > 1,
    )


def words_of(text: str) -> list[tuple[int, int]]:
    """The words and punctuation marks of a text as (start, end) character offsets."""
    return [match.span() for match in _WORD.finditer(text)]


def _box(values: list[float], frame: FrameSize | None) -> Box | str:
    scaled = _normalised(values, frame)
    if isinstance(scaled, str):
        return scaled
    x1, y1, x2, y2 = scaled
    if not (x1 < x2 and y1 < y2):
        return "a box is [x1, y1, x2, y2] with its top left corner first"
    return x1, y1, x2, y2


def _point(values: list[float], frame: FrameSize | None) -> Point | str:
    if len(values) == 3 and values[2] not in (0.0, 1.0):
        return "the third number of a point is 1 for inside or 0 for outside"
    scaled = _normalised(values[:2], frame)
    if isinstance(scaled, str):
        return scaled
    return scaled[0], scaled[1], int(values[2]) if len(values) == 3 else 1


def _normalised(values: list[float], frame: FrameSize | None) -> list[float] | str:
    if all(0 <= value <= 1 for value in values):
        return values
    if min(values) < 0:
        return "coordinates are not negative"
    if frame is None:
        return "coordinates above 1 are pixels, and there is no image to count them on"
    sizes = (frame[0], frame[1]) * 2
    if any(value > size for value, size in zip(values, sizes, strict=False)):
        return f"the frame is only {frame[0]} x {frame[1]} pixels large"
    return [round(value / size, 6) for value, size in zip(values, sizes, strict=False)]
