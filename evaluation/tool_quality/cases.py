"""What a tool is measured on: an image with the truth about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]
LEAST_PIXELS = 12
_ALONE = 0.03


@dataclass(frozen=True)
class Case:
    """An image and what is true of it.

    Attributes:
        kind: the group it is counted in, such as "ct".
        pixels: uint8, (rows, columns) gray or (rows, columns, 3) RGB.
        masks: structure name -> bool (rows, columns).
        labels: task -> labels that are right, in the words of the classifier; a task without a truth is absent.
        findings: names of abnormal findings, as reports name them.
        view: kind and body part, such as "X-ray chest".
    """

    kind: str
    pixels: Pixels
    masks: Mapping[str, Mask] = field(default_factory=dict)
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()
    view: str = ""


@dataclass(frozen=True)
class Piece:
    """A connected piece of a structure.

    Attributes:
        structure: the name of its mask.
        mask: of this piece alone.
        box: normalised xyxy, pixel edges included.
        area: in pixels.
        alone: whether its box holds next to nothing of the structure's other pieces.
    """

    structure: str
    mask: Mask
    box: Box
    area: int
    alone: bool


def pieces(structure: str, mask: Mask, least: int = LEAST_PIXELS) -> Iterator[Piece]:
    """The connected pieces of a mask that have at least `least` pixels."""
    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())
    height, width = mask.shape
    for label, window in enumerate(ndimage.find_objects(labels), 1):
        area = int(areas[label])
        if window is None or area < least:
            continue
        rows, columns = window
        others = int((mask[window] & (labels[window] != label)).sum())
        box = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        yield Piece(structure, labels == label, box, area, others <= _ALONE * area)
