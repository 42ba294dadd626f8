"""Boxes in image coordinates.

A normalised box is (x1, y1, x2, y2) in [0, 1] of the displayed frame: x runs to the right from its left edge, y down
from its top edge, and x1 < x2, y1 < y2. In pixels the same numbers are multiplied by width and height, so that pixel
(row r, column c) covers x from c to c + 1 and y from r to r + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmedagent.protocol.errors import InvalidParametersError

Box = tuple[float, float, float, float]


def validate_box(numbers: Sequence[float]) -> Box:
    """The four numbers as a normalised box. Raises `InvalidParametersError` with what is wrong."""
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise InvalidParametersError("A box is four finite numbers: x1, y1, x2, y2.")
    x1, y1, x2, y2 = (float(number) for number in numbers)
    if min(x1, y1) < 0 or max(x2, y2) > 1:
        raise InvalidParametersError("The numbers of a box lie between 0 and 1 (parts of its width and height).")
    if x1 >= x2 or y1 >= y2:
        raise InvalidParametersError("A box needs x1 < x2 and y1 < y2.")
    return x1, y1, x2, y2


def clip_box(box: Box) -> Box | None:
    """The part of a box that lies in the frame; None where nothing does."""
    x1, y1, x2, y2 = (min(max(number, 0.0), 1.0) for number in box)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def to_pixels(box: Box, width: int, height: int) -> Box:
    """A normalised box in pixels of a frame (fractions of pixels are kept)."""
    x1, y1, x2, y2 = box
    return x1 * width, y1 * height, x2 * width, y2 * height


def from_pixels(box: Box, width: int, height: int) -> Box:
    """A box in pixels of a frame, normalised and clipped to the frame.

    Raises `InvalidParametersError` where it lies outside or is empty.
    """
    x1, y1, x2, y2 = box
    clipped = clip_box((x1 / width, y1 / height, x2 / width, y2 / height))
    if clipped is None:
        raise InvalidParametersError("The box lies outside the image or is empty.")
    return clipped


def pixel_window(box: Box, width: int, height: int) -> tuple[slice, slice]:
    """Row and column slices of the pixels that a normalised box touches: at least one pixel."""
    x1, y1, x2, y2 = to_pixels(box, width, height)
    left, top = min(math.floor(x1), width - 1), min(math.floor(y1), height - 1)
    return slice(top, max(math.ceil(y2), top + 1)), slice(left, max(math.ceil(x2), left + 1))
