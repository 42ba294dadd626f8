"""The file in which a volume or a series is stored: NIfTI-1, not compressed, 352 bytes of header and then the values.

Index i is fastest, so slice k is one run of bytes and a frame is read without reading the others. The header holds
nothing but shape, type, scale, affine and units: no description, no names, no extensions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from mmedagent.imaging.facts import Facts, FrameInfo
from mmedagent.imaging.frame import Decoded, Frame, FrameMeta
from mmedagent.imaging.geometry import Affine, to_frame
from mmedagent.imaging.limits import check_study
from mmedagent.imaging.sniff import NIFTI
from mmedagent.imaging.windowing import Window, to_display
from mmedagent.protocol.errors import NotFoundError

OFFSET = 352
RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_SCANNER_COORDINATES = 1


class Study:
    """A study in the making. `values` is (i, j, k) or, for RGB, (i, j, k, 3); writing to it fills the file."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[Any], samples: int) -> None:
        """Raises `TooLargeError` and `UnreadableImageError` as `check_study` does."""
        value_bytes = dtype.itemsize * samples
        check_study(shape, value_bytes)
        self._shape, self._dtype, self._samples = shape, dtype.newbyteorder("<"), samples
        self._file = bytearray(OFFSET + int(np.prod(shape)) * value_bytes)
        self.values = _shaped(np.frombuffer(self._file, self._dtype, offset=OFFSET), shape, samples)

    def decoded(self, facts: Facts, affine: Affine | None, meta: FrameMeta) -> Decoded:
        """The study as an upload: its middle frame, and the finished file."""
        self._file[:OFFSET] = self._header(facts.frames, affine)
        section = self.values[:, :, meta.frame_index]
        frame = Frame(shown(to_frame(section, facts.view), facts.frames), meta)
        return Decoded(frame, NIFTI, bytes(self._file), facts)

    def _header(self, frames: FrameInfo, affine: Affine | None) -> bytes:
        dtype = RGB24 if self._samples == 3 else self._dtype
        return header(self._shape, dtype, affine, frames.slope, frames.intercept)


def header(
    shape: tuple[int, ...], dtype: np.dtype[Any], affine: Affine | None, slope: float = 1.0, intercept: float = 0.0
) -> bytes:
    """The first 352 bytes of a little-endian NIfTI-1 file. Without an affine its place is unknown (codes 0)."""
    made = Nifti1Header(endianness="<")
    made.set_data_dtype(dtype)
    made.set_data_shape(shape)
    made.set_data_offset(OFFSET)
    made["magic"] = b"n+1"
    made.set_slope_inter(slope, intercept)
    if affine is not None:
        made.set_xyzt_units("mm")
        made.set_sform(affine, _SCANNER_COORDINATES)
        made.set_zooms(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))
    return bytes(made.binaryblock) + bytes(4)


def read_values(path: Path, facts: Facts) -> NDArray[Any]:
    """The values of a stored study, mapped and not read: (i, j, k) or (i, j, k, 3). Raises `NotFoundError`."""
    frames = facts.frames
    rows_columns = (frames.height, frames.width)
    i, j = rows_columns if facts.view.transposed else rows_columns[::-1]
    dtype = np.dtype(frames.dtype).newbyteorder("<")
    count = i * j * frames.count * frames.samples
    try:
        if path.stat().st_size != OFFSET + count * dtype.itemsize:
            raise NotFoundError("The stored study is not whole any more.")
        mapped = np.memmap(path, dtype, "r", OFFSET, (count,))
    except FileNotFoundError as error:
        raise NotFoundError("That file is not in the blob store any more.") from error
    return _shaped(mapped, (i, j, frames.count), frames.samples)


def read_frame(path: Path, facts: Facts, index: int) -> NDArray[Any]:
    """Stored values of one frame as it is shown: (rows, columns) or (rows, columns, 3), a copy."""
    return np.ascontiguousarray(to_frame(read_values(path, facts)[:, :, index], facts.view))


def shown(values: NDArray[Any], frames: FrameInfo) -> NDArray[np.uint8]:
    """Display values of a frame of stored values, under the window of its file."""
    if frames.samples == 3:
        return np.ascontiguousarray(values, dtype=np.uint8)
    used = frames.window
    window = Window(used.center, used.width, used.source, used.function)
    pixels = to_display(values, lambda stored: window.apply(stored * frames.slope + frames.intercept))
    return 255 - pixels if frames.invert else pixels


def _shaped(values: NDArray[Any], shape: tuple[int, int, int], samples: int) -> NDArray[Any]:
    if samples == 1:
        return values.reshape(shape, order="F")
    return np.moveaxis(values.reshape((samples, *shape), order="F"), 0, -1)
