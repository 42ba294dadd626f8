"""Objects that were marked by eye on real images: the truth for segmentation, from `marked_objects.json`."""

from __future__ import annotations

from importlib import resources
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mmedagent.protocol.types import ShortText, Text

Mask = NDArray[np.bool_]
Polygon = Annotated[tuple[tuple[float, float], ...], Field(min_length=3)]


class MarkedObject(BaseModel):
    """An object on an image of the registry: polygons of (x, y) in pixels of the frame, filled by the even-odd rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: ShortText
    name: ShortText
    note: ShortText
    polygons: Annotated[tuple[Polygon, ...], Field(min_length=1)]

    def mask(self, height: int, width: int) -> Mask:
        """The pixels (height, width) whose centres are inside."""
        inside = np.zeros((height, width), np.bool_)
        for polygon in self.polygons:
            inside ^= _filled(np.asarray(polygon, np.float64), height, width)
        return inside


class MarkedObjects(BaseModel):
    """All marked objects, how they were marked, and what the numbers mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Text
    coordinates: Text
    objects: Annotated[tuple[MarkedObject, ...], Field(min_length=1)]


def load_marked_objects() -> MarkedObjects:
    """The committed marks."""
    text = resources.files("mmedagent.evaluation.real_images").joinpath("marked_objects.json").read_text("utf-8")
    return MarkedObjects.model_validate_json(text)


def _filled(polygon: NDArray[np.float64], height: int, width: int) -> Mask:
    """Crossing-number test of every pixel centre against the edges of a polygon (n, 2)."""
    x, y = np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5
    inside = np.zeros((height, width), np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 <= y) != (y2 <= y)) & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return inside
