"""Boxes, masks and labels drawn over a frame, as a picture for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mmedagent.imaging.boxes import Box, to_pixels
from mmedagent.imaging.png import encode_frame
from mmedagent.protocol.errors import InvalidParametersError

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
"""Okabe and Ito's colours that people with any colour vision can tell apart (jfly.uni-koeln.de/color)."""

_LEAST_SIDE = 512
_FILL_OPACITY = 0.25
_LONGEST_LABEL = 40
_LINE_SHARE = 1 / 300
_TEXT_SHARE = 1 / 34
_LEAST_TEXT = 13
_OUTLINE: Colour = (0, 0, 0)


def render_overlay(
    pixels: NDArray[np.uint8],
    *,
    boxes: Sequence[Box] = (),
    masks: Sequence[NDArray[np.bool_]] = (),
    labels: Sequence[str] = (),
) -> bytes:
    """PNG of a frame (rows, columns[, 3]) with normalised boxes and masks (rows, columns) over it.

    The k-th box, mask and label belong together and share a colour; each list may be shorter than the others. Masks are
    translucent with a solid contour. A frame whose longer side is under 512 pixels is enlarged by a whole factor.
    Raises `InvalidParametersError` for a mask of another size than the frame.
    """
    rows, columns = pixels.shape[:2]
    if any(mask.shape != (rows, columns) for mask in masks):
        raise InvalidParametersError("A mask has another size than the image it is drawn on.")
    factor = max(1, math.ceil(_LEAST_SIDE / max(rows, columns)))
    size = (columns * factor, rows * factor)
    picture = Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    line = max(1, round(max(size) * _LINE_SHARE))
    for number, mask in enumerate(masks):
        picture = _with_mask(picture, mask, _colour(number), line)
    draw = ImageDraw.Draw(picture)
    for number, box in enumerate(boxes):
        _draw_box(draw, _corners(box, size), _colour(number), line)
    for number, label in enumerate(labels):
        corner = _label_corner(number, boxes, masks, size)
        if label and corner is not None:
            _draw_label(draw, corner, label, _colour(number), size)
    return encode_frame(np.asarray(picture))


def _colour(number: int) -> Colour:
    return COLOURS[number % len(COLOURS)]


def _with_mask(picture: Image.Image, mask: NDArray[np.bool_], colour: Colour, line: int) -> Image.Image:
    """The picture with a translucent mask; its contour lies inside the mask, a black hairline around it."""
    if not mask.any():
        return picture
    factor = picture.width // mask.shape[1]
    area = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    inner = _eroded(area, line)
    shown = np.array(picture)
    shown[inner] = np.rint(shown[inner] * (1 - _FILL_OPACITY) + np.array(colour) * _FILL_OPACITY)
    shown[area & ~inner] = colour
    shown[~area & ~_eroded(~area, 1)] = _OUTLINE
    return Image.fromarray(shown)


def _eroded(area: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The area without the pixels that are at most `steps` pixels from its edge (4-neighbours)."""
    for _ in range(steps):
        inner = area.copy()
        inner[1:] &= area[:-1]
        inner[:-1] &= area[1:]
        inner[:, 1:] &= area[:, :-1]
        inner[:, :-1] &= area[:, 1:]
        area = inner
    return area


def _corners(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last pixel that a box covers."""
    width, height = size
    x1, y1, x2, y2 = to_pixels(box, width, height)
    left, top = min(math.floor(x1), width - 1), min(math.floor(y1), height - 1)
    return left, top, max(left, math.ceil(x2) - 1), max(top, math.ceil(y2) - 1)


def _draw_box(draw: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], colour: Colour, line: int) -> None:
    left, top, right, bottom = corners
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_OUTLINE, width=line + 2)
    draw.rectangle(corners, outline=colour, width=line)


def _label_corner(
    number: int, boxes: Sequence[Box], masks: Sequence[NDArray[np.bool_]], size: tuple[int, int]
) -> tuple[int, int] | None:
    """Top left corner of the box or, without one, of the mask."""
    if number < len(boxes):
        return _corners(boxes[number], size)[:2]
    if number < len(masks) and masks[number].any():
        rows, columns = np.nonzero(masks[number])
        factor = size[0] // masks[number].shape[1]
        return int(columns.min()) * factor, int(rows.min()) * factor
    return None


def _draw_label(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], label: str, colour: Colour, size: tuple[int, int]
) -> None:
    """Coloured text on a black plate: above the corner where there is room, else below it, always in the picture."""
    text = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
    font = ImageFont.load_default(max(_LEAST_TEXT, round(max(size) * _TEXT_SHARE)))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    margin = 3
    width, height = int(right - left) + 2 * margin, int(bottom - top) + 2 * margin
    x = max(0, min(corner[0], size[0] - width))
    y = corner[1] - height - 1 if corner[1] > height else min(corner[1] + 2, max(0, size[1] - height))
    draw.rectangle((x, y, x + width, y + height), fill=_OUTLINE)
    draw.text((x + margin - left, y + margin - top), text, fill=colour, font=font)
