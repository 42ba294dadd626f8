"""What the results of a turn look like on their image: boxes and outlines over the frame that the tools saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from mmedagent.imaging.masks import decode_mask
from mmedagent.imaging.overlay import render_overlay
from mmedagent.imaging.png import decode_frame, size_of
from mmedagent.protocol.errors import NotFoundError, RequestError, TooLargeError, UnreadableImageError
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.types import Sha256

MAX_MASK_PIXELS = 2**28
"""Of all the outlines of a picture together, each decoded to a byte a pixel."""

MAX_SHAPES = 1_000
MAX_DRAWINGS, MAX_DRAWN_PIXELS = 200, 2**29
"""Of an export: pictures, and the pixels of their frames and outlines together, some 20 s of drawing."""

Box = tuple[float, float, float, float]
ReadBlob = Callable[[str], bytes]


class MaskEntry(BaseModel):
    artifact: Sha256


class Shapes(BaseModel):
    """What results have in common that can be drawn; the k-th box, phrase and mask belong together."""

    boxes: list[Box] = Field(default_factory=list)
    phrases: list[str] = Field(default_factory=list)
    masks: list[MaskEntry] = Field(default_factory=list)


@dataclass(frozen=True)
class Shape:
    """A normalised box, the sha256 of a mask, or both, with a label."""

    box: Box | None
    mask: str | None
    label: str


@dataclass(frozen=True)
class Drawing:
    """Everything that the results of a turn show on one frame."""

    frame_sha256: str
    shapes: list[Shape] = field(default_factory=list)

    def render(self, read: ReadBlob) -> bytes:
        """The picture as PNG. A mask that is gone, or is none of this frame, is left out.

        Raises `NotFoundError` when the frame is gone and `TooLargeError` for more than can be drawn at once.
        """
        frame = read(self.frame_sha256)
        size = size_of(frame)
        if len(self.shapes) > MAX_SHAPES or self._masks * size[0] * size[1] > MAX_MASK_PIXELS:
            raise TooLargeError("There is too much on an image of this size to draw it all.")
        pixels = decode_frame(frame)
        shown = [(one.box, _mask(read, one.mask, size), one.label) for one in self.shapes]
        shown = [one for one in shown if one[0] is not None or one[1] is not None]
        shown.sort(key=lambda one: one[0] is None)
        nothing = np.zeros(size, np.bool_)
        return render_overlay(
            pixels,
            boxes=[box for box, _, _ in shown if box is not None],
            masks=[nothing if mask is None else mask for _, mask, _ in shown],
            labels=[label for _, _, label in shown],
        )

    def pixels(self, read: ReadBlob) -> int:
        """The pixels of the frame and of the outlines on it, each in the size of the frame. Raises `NotFoundError`."""
        rows, columns = size_of(read(self.frame_sha256))
        return rows * columns * (1 + self._masks)

    @property
    def _masks(self) -> int:
        return sum(one.mask is not None for one in self.shapes)


@dataclass
class Easel:
    """Draws the pictures of one export while there is room for them: so many pictures, and so many pixels."""

    read: ReadBlob
    pictures: int = MAX_DRAWINGS
    pixels: int = MAX_DRAWN_PIXELS

    def draw(self, drawing: Drawing) -> bytes | None:
        """The picture as PNG, or None for one that is left out: there is no room for it, or its frame is gone."""
        with suppress(RequestError):
            pixels = drawing.pixels(self.read)
            if self.pictures and pixels <= self.pixels:
                self.pictures, self.pixels = self.pictures - 1, self.pixels - pixels
                return drawing.render(self.read)
        return None


def drawings_of(results: Iterable[ToolResult]) -> list[Drawing]:
    """One drawing for each frame on which results have something to show, in the order of the results."""
    drawings: dict[str, Drawing] = {}
    for result in results:
        shapes = _shapes(result)
        if shapes and len(result.provenance.input_sha256) > 1:
            frame = result.provenance.input_sha256[1]
            drawings.setdefault(frame, Drawing(frame)).shapes.extend(shapes)
    return list(drawings.values())


def _shapes(result: ToolResult) -> list[Shape]:
    try:
        found = Shapes.model_validate(result.data)
    except ValidationError:
        found = Shapes()
    masks = [one.artifact for one in found.masks] or [one.sha256 for one in result.artifacts if one.kind == "mask"]
    names = {one.sha256: one.label for one in result.artifacts}
    shapes = []
    for index in range(max(len(found.boxes), len(masks))):
        box = found.boxes[index] if index < len(found.boxes) else None
        mask = masks[index] if index < len(masks) else None
        label = found.phrases[index] if index < len(found.phrases) else names.get(mask or "", "")
        shapes.append(Shape(box, mask, label))
    return shapes


def _mask(read: ReadBlob, sha256: str | None, size: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if sha256 is not None:
        with suppress(NotFoundError, UnreadableImageError):
            mask = decode_mask(read(sha256))
            return mask if mask.shape == size else None
    return None
