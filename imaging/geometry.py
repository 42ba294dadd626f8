"""Where slices lie in the patient, and how they are turned to be looked at.

Directions are in RAS+ millimetres, the convention of NIfTI-1; DICOM's LPS+ differs by the sign of the first two axes.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from nibabel.orientations import aff2axcodes, io_orientation
from numpy.typing import NDArray

from mmedagent.imaging.facts import AffineRows, Edges, Letter, View, VolumeInfo

Affine = NDArray[np.float64]

LPS_TO_RAS: Affine = np.diag([-1.0, -1.0, 1.0, 1.0])
_TOWARDS: tuple[Letter, ...] = ("R", "A", "S")
_AWAY: tuple[Letter, ...] = ("L", "P", "I")
_LARGEST_SPACING_MM = 1_000.0


def is_usable(affine: Affine) -> bool:
    """Whether it is finite, of rank 3 and has spacings of up to a metre."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or (affine[3] != (0, 0, 0, 1)).any():
        return False
    spacings = spacings_of(affine)
    if not ((spacings > 0) & (spacings <= _LARGEST_SPACING_MM)).all():
        return False
    return abs(float(np.linalg.det(affine[:3, :3] / spacings))) > 1e-3


def spacings_of(affine: Affine) -> NDArray[np.float64]:
    """Millimetres between neighbours along i, j and k."""
    spacings: NDArray[np.float64] = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return spacings


def radiological_view(affine: Affine) -> View:
    """The view of slices along k in which the patient's right is on the left, and anterior or superior is up."""
    (axis_i, sign_i), (axis_j, sign_j), _ = orientation_of(affine)
    if axis_i > axis_j:
        return View(transposed=True, flip_rows=sign_i > 0, flip_columns=sign_j > 0)
    return View(transposed=False, flip_rows=sign_j > 0, flip_columns=sign_i > 0)


def orientation_of(affine: Affine) -> list[tuple[int, int]]:
    """For each of i, j, k the closest axis of the patient (0 right, 1 anterior, 2 superior), and +1 or -1 along it."""
    return [(int(axis), int(sign)) for axis, sign in io_orientation(affine)]


def to_frame(section: NDArray[Any], view: View) -> NDArray[Any]:
    """A slice (i, j[, 3]) as a shown frame (rows, columns[, 3])."""
    frame = section if view.transposed else section.swapaxes(0, 1)
    return frame[:: -1 if view.flip_rows else 1, :: -1 if view.flip_columns else 1]


def to_section(frame: NDArray[Any], view: View) -> NDArray[Any]:
    """A shown frame (rows, columns) as a slice (i, j): the inverse of `to_frame`."""
    turned = frame[:: -1 if view.flip_rows else 1, :: -1 if view.flip_columns else 1]
    return turned if view.transposed else turned.swapaxes(0, 1)


def edges_of(affine: Affine, view: View) -> Edges:
    """The sides of the patient at the edges of a frame."""
    rows, columns = frame_directions(affine, view)
    return edges(rows, columns)


def edges(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Edges:
    """The same from the directions (RAS+) in which rows and columns are counted: down, and to the right."""
    return Edges(left=_letter(-columns), right=_letter(columns), top=_letter(-rows), bottom=_letter(rows))


def frame_directions(affine: Affine, view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Millimetres (RAS+) from a pixel to the one below it, and to the one right of it."""
    along_i, along_j = affine[:3, 0], affine[:3, 1]
    rows, columns = (along_i, along_j) if view.transposed else (along_j, along_i)
    return rows * (-1 if view.flip_rows else 1), columns * (-1 if view.flip_columns else 1)


def frame_spacing(affine: Affine, view: View) -> tuple[float, float]:
    """Millimetres between rows and between columns of a frame."""
    rows, columns = frame_directions(affine, view)
    return float(np.linalg.norm(rows)), float(np.linalg.norm(columns))


def volume_info(shape: tuple[int, int, int], affine: Affine, *, placed: bool = True) -> VolumeInfo:
    """A regular grid. `placed` is false where the affine is a default and says nothing of the patient."""
    i, j, k = (float(spacing) for spacing in spacings_of(affine))
    return VolumeInfo(
        shape=shape,
        spacing_mm=(i, j, k),
        affine=cast("AffineRows", tuple(tuple(float(number) for number in row) for row in affine)),
        orientation="".join(aff2axcodes(affine)) if placed else None,
    )


def affine_of(volume: VolumeInfo) -> Affine | None:
    return None if volume.affine is None else np.array(volume.affine, dtype=np.float64)


def _letter(direction: NDArray[np.float64]) -> Letter:
    axis = int(np.argmax(np.abs(direction)))
    return _TOWARDS[axis] if direction[axis] > 0 else _AWAY[axis]
