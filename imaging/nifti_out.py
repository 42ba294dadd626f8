"""Volumes and masks as compressed NIfTI files, a slice at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from mmedagent.imaging.facts import Facts, VolumeInfo
from mmedagent.imaging.geometry import Affine, affine_of, to_section
from mmedagent.imaging.study import RGB24, header, read_values
from mmedagent.protocol.errors import ConflictError, InvalidRequestError

_LEVEL = 1


def canonical_volume(path: Path, facts: Facts) -> Iterator[bytes]:
    """A stored study as .nii.gz with i, j, k growing towards right, anterior, superior as closely as they can.

    Raises `ConflictError` where the frames are no volume, `NotFoundError` where the file is gone.
    """
    volume, affine = _grid(facts)
    if volume.shape[2] == 1:
        raise ConflictError("This file has one slice, which is no volume.")
    values = read_values(path, facts)
    turn = io_orientation(affine)
    turned = apply_orientation(values, turn)
    frames = facts.frames
    start = header(
        turned.shape[:3],
        RGB24 if frames.samples == 3 else values.dtype,
        affine @ inv_ornt_aff(turn, volume.shape),
        frames.slope,
        frames.intercept,
    )
    return _packed(start, (_section_bytes(turned[:, :, k]) for k in range(turned.shape[2])))


def mask_volume(facts: Facts, mask: NDArray[np.bool_], index: int) -> Iterator[bytes]:
    """A mask (rows, columns) of frame `index` as .nii.gz on the grid of its study: uint8, 1 inside, 0 elsewhere.

    Raises `ConflictError` where the frames have no place, `InvalidRequestError` for a mask of another size.
    """
    volume, affine = _grid(facts)
    frames = facts.frames
    if mask.shape != (frames.height, frames.width):
        raise InvalidRequestError("The mask has another size than the frames of this file.")
    inside = _section_bytes(to_section(mask.astype(np.uint8), facts.view))
    empty = bytes(len(inside))
    sections = (inside if k == index else empty for k in range(frames.count))
    return _packed(header(volume.shape, np.dtype(np.uint8), affine), sections)


def _grid(facts: Facts) -> tuple[VolumeInfo, Affine]:
    volume = facts.volume
    affine = affine_of(volume) if volume else None
    if volume is None or affine is None:
        reason = volume.reason if volume and volume.reason else "The file does not say where its frames lie."
        raise ConflictError(f"This file is no volume. {reason}")
    return volume, affine


def _section_bytes(section: NDArray[Any]) -> bytes:
    """Values with i fastest; the three of a colour stay together."""
    if section.ndim == 3:
        return np.ascontiguousarray(section.swapaxes(0, 1)).tobytes()
    return section.tobytes(order="F")


def _packed(start: bytes, sections: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=16 + zlib.MAX_WBITS)
    yield packer.compress(start)
    for section in sections:
        yield packer.compress(section)
    yield packer.flush()
