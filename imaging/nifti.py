"""NIfTI files as studies: NIfTI-1 and -2 in one file, gzip or not (nifti.nimh.nih.gov).

A slice is a plane of the third array axis. Descriptions, names, intents and extensions of the file are not kept.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from mmedagent.imaging.facts import Facts, FrameInfo, View, WindowUsed
from mmedagent.imaging.frame import Decoded, FrameMeta
from mmedagent.imaging.geometry import (
    Affine,
    edges_of,
    frame_spacing,
    is_usable,
    radiological_view,
    spacings_of,
    volume_info,
)
from mmedagent.imaging.limits import MAX_STUDY_BYTES, check_study
from mmedagent.imaging.samples import as_stored, dtype_name, stored_type
from mmedagent.imaging.study import RGB24, Study
from mmedagent.imaging.windowing import percentile_window
from mmedagent.protocol.errors import UnreadableImageError, UnsupportedImageError

_HEADER_BYTES = 540
_MAX_OFFSET = 16 * 2**20
_MILLIMETRES = {"meter": 1_000.0, "micron": 0.001}
_ERRORS = (
    ArithmeticError,
    EOFError,
    HeaderDataError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    WrapStructError,
    zlib.error,
)
_BROKEN = "The NIfTI file is broken or cut short."


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What is read of a file: values (i, j, k) or (i, j, k, 3), their scale, and the grid."""

    values: NDArray[Any]
    slope: float
    intercept: float
    affine: Affine
    placed: bool
    shown_range: tuple[float, float] | None


def decode_nifti(path: Path, *, compressed: bool) -> Decoded:
    """Decode a NIfTI file of one volume.

    Raises `UnreadableImageError`, `UnsupportedImageError` (several volumes, complex values) or `TooLargeError`.
    """
    try:
        with LoggingOutputSuppressor(), gzip.open(path) if compressed else path.open("rb") as file:
            source = _read(cast("BinaryIO", file), compressed)
        return _decoded(source)
    except _ERRORS as error:
        raise UnreadableImageError(_BROKEN) from error


def _read(file: BinaryIO, compressed: bool) -> Source:
    head = file.read(_HEADER_BYTES)
    header = _header(head, compressed)
    shape, dtype = _shape(header), header.get_data_dtype()
    if dtype != RGB24 and dtype.kind not in "iuf":
        raise UnsupportedImageError("NIfTI images of complex values, RGBA or bits are not accepted.")
    offset, size = int(header.get_data_offset()), math.prod(shape) * dtype.itemsize
    check_study(shape, dtype.itemsize, 2 * MAX_STUDY_BYTES)
    if not len(header.binaryblock) <= offset <= _MAX_OFFSET:
        raise UnreadableImageError(_BROKEN)
    content = head + file.read(max(0, offset + size - len(head)))
    if len(content) < offset + size:
        raise UnreadableImageError(_BROKEN)
    # Reading on makes gzip compare its checksum where the data end.
    file.read(1)
    slope, intercept = header.get_slope_inter()
    low, high = float(header["cal_min"]), float(header["cal_max"])
    has_range = math.isfinite(low) and math.isfinite(high) and low < high
    return Source(
        values=_shaped(content, dtype, offset, shape),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        affine=_affine(header),
        placed=bool(header["sform_code"] > 0 or header["qform_code"] > 0),
        shown_range=(low, high) if has_range else None,
    )


def _header(head: bytes, compressed: bool) -> Nifti1Header:
    if head[344:348] == b"n+1\0":
        return Nifti1Header(head[:348])
    if head[4:8] == b"n+2\0":
        return Nifti2Header(head)
    if compressed:
        raise UnsupportedImageError("gzip files are accepted only where a NIfTI image is inside.")
    raise UnreadableImageError(_BROKEN)


def _shape(header: Nifti1Header) -> tuple[int, int, int]:
    shape = [int(length) for length in header.get_data_shape()]
    if math.prod(shape[3:]) > 1:
        raise UnsupportedImageError(
            f"The NIfTI file holds {math.prod(shape[3:])} volumes (time points or directions). Send one volume."
        )
    if len(shape) < 2:
        raise UnreadableImageError(_BROKEN)
    i, j, k = [*shape, 1][:3]
    return i, j, k


def _shaped(content: bytes, dtype: np.dtype[Any], offset: int, shape: tuple[int, int, int]) -> NDArray[Any]:
    if dtype != RGB24:
        return np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape, order="F")
    triplets = np.frombuffer(content, np.uint8, 3 * math.prod(shape), offset)
    return np.moveaxis(triplets.reshape((3, *shape), order="F"), 0, -1)


def _affine(header: Nifti1Header) -> Affine:
    affine: Affine = np.array(header.get_best_affine(), dtype=np.float64)
    affine[:3] *= _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    if not is_usable(affine):
        raise UnreadableImageError("The NIfTI header states a grid that cannot be: a spacing or a direction is wrong.")
    return affine


def _decoded(source: Source) -> Decoded:
    values = source.values
    shape = values.shape[0], values.shape[1], values.shape[2]
    dtype = _stored_dtype(values)
    study = Study(shape, dtype, 3 if values.ndim == 4 else 1)
    for k in range(shape[2]):
        section = values[:, :, k]
        if dtype == np.float32:
            section = section.astype(np.float64) * source.slope + source.intercept
        study.values[:, :, k] = as_stored(section, dtype)
    view = radiological_view(source.affine)
    info = _frame_info(source, study.values, view)
    volume = volume_info(shape, source.affine, placed=source.placed)
    meta = FrameMeta(
        spacing_mm=info.spacing_mm,
        spacing_source=info.spacing_source,
        window_center=info.window.center,
        window_width=info.window.width,
        window_source=info.window.source,
        frame_index=shape[2] // 2,
        frame_count=shape[2],
    )
    return study.decoded(Facts(frames=info, volume=volume, view=view), source.affine if source.placed else None, meta)


def _frame_info(source: Source, stored: NDArray[Any], view: View) -> FrameInfo:
    i, j, k = stored.shape[:3]
    info = FrameInfo(
        count=k,
        width=j if view.transposed else i,
        height=i if view.transposed else j,
        samples=3 if stored.ndim == 4 else 1,
        dtype=dtype_name(stored.dtype),
        orientation=edges_of(source.affine, view) if source.placed else None,
        spacing_mm=frame_spacing(source.affine, view),
        spacing_source="NIfTI affine",
        slice_spacing_mm=float(spacings_of(source.affine)[2]),
    )
    if stored.ndim == 4:
        return info
    slope, intercept = (1.0, 0.0) if stored.dtype == np.float32 else (source.slope, source.intercept)
    window = _window(source.shown_range, stored, slope, intercept)
    return info.model_copy(update={"slope": slope, "intercept": intercept, "window": window})


def _stored_dtype(values: NDArray[Any]) -> np.dtype[Any]:
    if values.dtype.kind == "f" or values.dtype.itemsize <= 2:
        limits = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
        return stored_type(values.dtype, *((limits.min, limits.max) if limits else (0, 0)))
    return stored_type(values.dtype, int(values.min()), int(values.max()))


def _window(
    shown_range: tuple[float, float] | None, stored: NDArray[Any], slope: float, intercept: float
) -> WindowUsed:
    """The range that the header wants shown (cal_min, cal_max), else percentiles of the whole volume."""
    if shown_range is not None:
        low, high = shown_range
        return WindowUsed(center=(low + high) / 2, width=high - low, source="header")
    found = percentile_window(stored)
    center, width = cast("float", found.center), cast("float", found.width)
    return WindowUsed(center=center * slope + intercept, width=width * abs(slope), source=found.source)
