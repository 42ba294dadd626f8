"""What a DICOM header says of its frames: meaning of the values, place in the patient, windows, spacing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmedagent.imaging.dicom_pixels import DicomPixels
from mmedagent.imaging.facts import Edges, Facts, FrameInfo, View
from mmedagent.imaging.frame import FrameMeta
from mmedagent.imaging.geometry import LPS_TO_RAS, Affine, edges, is_usable, volume_info
from mmedagent.imaging.samples import dtype_name
from mmedagent.imaging.spacing import pixel_spacing
from mmedagent.imaging.windowing import (
    Window,
    has_modality_table,
    is_hounsfield,
    presets_of,
    rescale_of,
    stated_window,
)

Vector = NDArray[np.float64]

AS_STORED = View(flip_rows=True)
"""Index j of a single picture grows upwards, as in the NIfTI files that converters write; what is shown is unturned."""

_PARALLEL = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """Where a frame lies (PS3.3 C.7.6.2), in LPS+ millimetres.

    `corner` is the centre of the first pixel; `columns` and `rows` are unit vectors to the next column and row.
    """

    corner: Vector
    columns: Vector
    rows: Vector

    @property
    def normal(self) -> Vector:
        return np.cross(self.columns, self.rows)

    def is_parallel_to(self, other: Position) -> bool:
        return bool(
            np.allclose(self.columns, other.columns, atol=_PARALLEL)
            and np.allclose(self.rows, other.rows, atol=_PARALLEL)
        )


def position_of(header: Dataset) -> Position | None:
    """The place of a frame, None where the header does not give one."""
    corner = _vector(header, "ImagePositionPatient", 3)
    directions = _vector(header, "ImageOrientationPatient", 6)
    if corner is None or directions is None:
        return None
    columns, rows = directions[:3], directions[3:]
    lengths = float(np.linalg.norm(columns)), float(np.linalg.norm(rows))
    if not all(math.isclose(length, 1.0, abs_tol=0.01) for length in lengths) or abs(columns @ rows) > 0.01:
        return None
    return Position(corner, columns / lengths[0], rows / lengths[1])


def patient_edges(position: Position) -> Edges:
    """The sides of the patient at the edges of a frame that is shown as it is stored."""
    turn = LPS_TO_RAS[:3, :3]
    return edges(turn @ position.rows, turn @ position.columns)


def frame_affine(position: Position, spacing_mm: tuple[float, float], step: Vector) -> Affine:
    """(column, row, frame, 1) to RAS+ millimetres. `step` is from a frame to the next, in LPS+ millimetres."""
    affine = np.eye(4)
    affine[:3, 0] = position.columns * spacing_mm[1]
    affine[:3, 1] = position.rows * spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = position.corner
    turned: Affine = LPS_TO_RAS @ affine
    return turned


def frame_meta(header: Dataset, window: Window, index: int, frames: int) -> FrameMeta:
    spacing_mm, spacing_source = pixel_spacing(header)
    return FrameMeta(
        modality=header.get("Modality"),
        spacing_mm=spacing_mm,
        spacing_source=spacing_source,
        body_part=header.get("BodyPartExamined"),
        laterality=header.get("FrameLaterality") or header.get("ImageLaterality") or header.get("Laterality"),
        window_center=window.center,
        window_width=window.width,
        window_source=window.source,
        frame_index=index,
        frame_count=frames,
        photometric=str(header.PhotometricInterpretation),
    )


def picture_facts(header: Dataset, pixels: DicomPixels, frames: int) -> Facts:
    """Facts of a file whose frames are shown as they are stored: a picture, or a cine loop."""
    info = frame_info(header, pixels.window, pixels.stored, frames)
    position = position_of(header)
    if position is None or frames > 1:
        return Facts(frames=info)
    info = info.model_copy(update={"orientation": patient_edges(position)})
    if info.spacing_mm is None:
        return Facts(frames=info)
    thickness = _vector(header, "SliceThickness", 1)
    step = position.normal * (float(thickness[0]) if thickness is not None and thickness[0] > 0 else 1.0)
    upwards = np.diag([1.0, -1.0, 1.0, 1.0])
    upwards[1, 3] = info.height - 1
    affine = frame_affine(position, info.spacing_mm, step) @ upwards
    volume = volume_info((info.width, info.height, 1), affine) if is_usable(affine) else None
    return Facts(frames=info, volume=volume, view=AS_STORED)


def frame_info(header: Dataset, window: Window, stored: NDArray[np.generic], frames: int) -> FrameInfo:
    """The frames that have this header, of which `stored` is one (rows, columns[, 3])."""
    spacing_mm, spacing_source = pixel_spacing(header)
    common = {
        "count": frames,
        "width": stored.shape[1],
        "height": stored.shape[0],
        "spacing_mm": spacing_mm,
        "spacing_source": spacing_source,
    }
    if stored.ndim == 3:
        return FrameInfo(**common, samples=3)
    slope, intercept = (1.0, 0.0) if has_modality_table(header) else rescale_of(header)
    return FrameInfo(
        **common,
        dtype=dtype_name(stored.dtype),
        slope=slope,
        intercept=intercept,
        unit="HU" if is_hounsfield(header) else None,
        window=stated_window(header, window),
        presets=presets_of(header),
        invert=header.PhotometricInterpretation == "MONOCHROME1",
    )


def _vector(header: Dataset, keyword: str, length: int) -> Vector | None:
    value = header.get(keyword)
    if value is None or value == "":
        return None
    numbers = [value] if length == 1 else value
    try:
        vector = np.array([float(number) for number in numbers])
    except (TypeError, ValueError):
        return None
    return vector if vector.shape == (length,) and bool(np.isfinite(vector).all()) else None
