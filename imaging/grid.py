"""From the places of frames to the grid that they lie on.

Frames are sorted by their position along the normal of the slices, never by name or number. Equal steps make a volume,
which is turned so that it is seen in radiological convention; anything else makes a stack that is shown as it is stored
and has no third dimension to measure in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmedagent.imaging.dicom_facts import Position, frame_affine
from mmedagent.imaging.geometry import Affine, is_usable
from mmedagent.imaging.spacing import pixel_spacing

_STEP_SHARE = 0.01
_STEP_MM = 1e-3
_SPACING_SHARE = 1e-3
_CODES = {frozenset({0, 1}): "LAS", frozenset({0, 2}): "LSP", frozenset({1, 2}): "PSR"}
"""Letters that i, j and k of a volume grow towards, by the two axes of its slices, as converters of DICOM write them.

The slices of supine and prone scans, and of those whose rows run the other way, get the same grid.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One frame: which file, which frame of it, its attributes and its place. `number` is its Instance Number."""

    file: int
    index: int
    header: Dataset
    number: int
    position: Position | None


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Frames in their final order, on the grid (i, j, k) of `shape` if they lie on one.

    `turn` brings a stored frame (column, row) to (i, j), as nibabel's orientations do. Without `affine` the frames are
    a stack, for the `reason`.
    """

    members: list[Member]
    shape: tuple[int, int, int]
    turn: NDArray[np.float64]
    affine: Affine | None = None
    reason: str | None = None

    def section(self, frame: NDArray[Any]) -> NDArray[Any]:
        """A stored frame (rows, columns[, 3]) as a slice (i, j[, 3])."""
        turned: NDArray[Any] = apply_orientation(frame.swapaxes(0, 1), self.turn)
        return turned


def arrange(members: Sequence[Member]) -> Grid:
    """Sort the frames, and find their grid."""
    ordered, reason = _ordered(members)
    columns = max(int(one.header.Columns) for one in ordered)
    rows = max(int(one.header.Rows) for one in ordered)
    shape = (columns, rows, len(ordered))
    affine = _affine(ordered) if reason is None else None
    if affine is None:
        reason = reason or "The slices are not equally spaced, or some are missing or double."
        return Grid(ordered, shape, np.array([[0.0, 1.0], [1.0, 1.0]]), reason=reason)
    current = io_orientation(affine)
    turn = ornt_transform(current, axcodes2ornt(_CODES[frozenset(int(axis) for axis in current[:2, 0])]))
    turned = [shape[int(axis)] for axis in np.argsort(turn[:, 0])]
    final = ordered[::-1] if turn[2, 1] < 0 else ordered
    return Grid(final, (turned[0], turned[1], turned[2]), turn[:2], affine @ inv_ornt_aff(turn, shape))


def common_position(members: Sequence[Member]) -> Position | None:
    """The place of the first frame where all are parallel to it."""
    first = members[0].position
    if first is None or not all(one.position and one.position.is_parallel_to(first) for one in members):
        return None
    return first


def common_spacing(members: Sequence[Member]) -> tuple[tuple[float, float], str] | tuple[None, None]:
    """The pixel spacing of the first frame and its source, where all frames have it."""
    spacing, source = pixel_spacing(members[0].header)
    if spacing is None or source is None:
        return None, None
    others = [pixel_spacing(one.header)[0] for one in members]
    if any(other is None or not np.allclose(other, spacing, rtol=_SPACING_SHARE, atol=0) for other in others):
        return None, None
    return spacing, source


def _ordered(members: Sequence[Member]) -> tuple[list[Member], str | None]:
    """The frames sorted, and why they cannot be a volume if that is certain already."""
    by_number = sorted(members, key=lambda member: (member.number, member.file, member.index))
    places = [member.position for member in by_number if member.position is not None]
    if len(places) < len(by_number):
        return by_number, "A slice does not say where it lies."
    if common_position(by_number) is None:
        return by_number, "The slices do not have the same orientation."
    depths = [float(place.corner @ places[0].normal) for place in places]
    ordered = [by_number[place] for place in sorted(range(len(places)), key=depths.__getitem__)]
    if len({(int(one.header.Rows), int(one.header.Columns)) for one in ordered}) > 1:
        return ordered, "The slices do not have the same size."
    if common_spacing(ordered)[0] is None:
        return ordered, "The slices do not have the same pixel spacing."
    return ordered, None


def _affine(ordered: Sequence[Member]) -> Affine | None:
    """(column, row, frame) to RAS+ millimetres for frames in equal steps."""
    places = [member.position for member in ordered if member.position is not None]
    spacing_mm, _ = common_spacing(ordered)
    corners = np.array([place.corner for place in places])
    steps = max(1, len(corners) - 1)
    step = (corners[-1] - corners[0]) / steps
    length = float(np.linalg.norm(step))
    expected = corners[0] + np.outer(np.arange(len(corners)), step)
    if spacing_mm is None or length == 0 or np.abs(corners - expected).max() > _STEP_SHARE * length + _STEP_MM:
        return None
    affine = frame_affine(places[0], spacing_mm, step)
    return affine if is_usable(affine) else None
