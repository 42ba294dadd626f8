"""The frames of one DICOM series, from many files or from one, as one study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmedagent.imaging.dicom_facts import frame_info, frame_meta, patient_edges, position_of
from mmedagent.imaging.dicom_file import NotAPictureError, frame_header, frames_of, read_picture, reading_dicom
from mmedagent.imaging.dicom_pixels import is_colour, stored_dtype, stored_values
from mmedagent.imaging.facts import Facts, FrameInfo, View, VolumeInfo
from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.geometry import (
    Affine,
    edges_of,
    frame_spacing,
    radiological_view,
    spacings_of,
    to_frame,
    volume_info,
)
from mmedagent.imaging.grid import Grid, Member, arrange, common_position, common_spacing
from mmedagent.imaging.limits import MAX_STUDY_FRAMES
from mmedagent.imaging.samples import as_stored
from mmedagent.imaging.study import Study
from mmedagent.imaging.windowing import (
    FULL_RANGE,
    choose_window,
    has_modality_table,
    is_hounsfield,
    modality_transform,
    rescale_of,
)
from mmedagent.protocol.errors import TooLargeError, UnsupportedImageError

Opener = Callable[[], BinaryIO]

_STORED_SCALE = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PixelPaddingValue")


def decode_members(openers: Sequence[Opener]) -> Decoded:
    """Decode the pictures in these DICOM files as one study; other DICOM objects among them are passed over.

    Raises `UnreadableImageError`, `UnsupportedImageError` (no pictures, several series, gray and colour in one) or
    `TooLargeError`.
    """
    with reading_dicom():
        grid = arrange(_members(openers))
        headers = [member.header for member in grid.members]
        dtype, samples = _type_of(headers)
        rescaled = samples == 1 and (dtype == np.float32 or has_modality_table(headers[0]))
        study = Study(grid.shape, dtype, samples)
        for place, values in _values(openers, grid, rescaled):
            section = grid.section(values)
            study.values[: section.shape[0], : section.shape[1], place] = as_stored(section, dtype)
        return _decoded(study, grid, rescaled)


def _members(openers: Sequence[Opener]) -> list[Member]:
    members: list[Member] = []
    series: set[str] = set()
    for file_number, opener in enumerate(openers):
        with opener() as file:
            try:
                picture = read_picture(file)
            except NotAPictureError:
                continue
        series.add(picture.series)
        if len(members) + frames_of(picture.kept) > MAX_STUDY_FRAMES:
            raise TooLargeError(f"A series has at most {MAX_STUDY_FRAMES:,} slices.")
        for index in range(frames_of(picture.kept)):
            header = frame_header(picture.kept, index)
            members.append(Member(file_number, index, header, picture.number, position_of(header)))
    if not members:
        raise UnsupportedImageError("None of these DICOM files holds a picture.")
    if len(series) > 1:
        raise UnsupportedImageError(f"The files belong to {len(series)} DICOM series. Upload each series by itself.")
    return members


def _type_of(headers: Sequence[Dataset]) -> tuple[np.dtype[Any], int]:
    """Type and number of samples that hold the values of all frames; float32 where they are on different scales."""
    if len({is_colour(one) for one in headers}) > 1:
        raise UnsupportedImageError("The series mixes pictures in gray and in colour.")
    if is_colour(headers[0]):
        return np.dtype(np.uint8), 3
    if len({one.PhotometricInterpretation for one in headers}) > 1:
        raise UnsupportedImageError("The series mixes MONOCHROME1 and MONOCHROME2.")
    dtypes = {stored_dtype(one) for one in headers}
    scales = {(rescale_of(one), has_modality_table(one)) for one in headers}
    return (dtypes.pop() if len(dtypes) == len(scales) == 1 else np.dtype(np.float32)), 1


def _values(openers: Sequence[Opener], grid: Grid, rescaled: bool) -> Iterator[tuple[int, NDArray[Any]]]:
    """The final index and the values (rows, columns[, 3]) of every frame, file by file."""
    placed = sorted(enumerate(grid.members), key=lambda one: (one[1].file, one[1].index))
    for file_number, frames in groupby(placed, key=lambda one: one[1].file):
        with openers[file_number]() as file:
            kept = read_picture(file).kept
        for place, member in frames:
            values = stored_values(kept, member.header, member.index)
            yield place, modality_transform(member.header)(values) if rescaled else values


def _decoded(study: Study, grid: Grid, rescaled: bool) -> Decoded:
    middle = len(grid.members) // 2
    header = _rescaled(grid.members[middle].header) if rescaled else grid.members[middle].header
    window = FULL_RANGE
    if study.values.ndim == 3:
        window = choose_window(header, modality_transform(header), study.values)
    view = View() if grid.affine is None else radiological_view(grid.affine)
    info = frame_info(header, window, to_frame(study.values[:, :, middle], view), len(grid.members))
    facts = _stack_facts(grid, info) if grid.affine is None else _volume_facts(grid, grid.affine, info, view)
    meta = dataclasses.replace(
        frame_meta(header, window, middle, len(grid.members)),
        spacing_mm=facts.frames.spacing_mm,
        spacing_source=facts.frames.spacing_source,
    )
    return study.decoded(facts, grid.affine, meta)


def _volume_facts(grid: Grid, affine: Affine, info: FrameInfo, view: View) -> Facts:
    place = {
        "orientation": edges_of(affine, view),
        "spacing_mm": frame_spacing(affine, view),
        "slice_spacing_mm": float(spacings_of(affine)[2]),
    }
    return Facts(frames=info.model_copy(update=place), volume=volume_info(grid.shape, affine), view=view)


def _stack_facts(grid: Grid, info: FrameInfo) -> Facts:
    spacing_mm, spacing_source = common_spacing(grid.members)
    position = common_position(grid.members)
    place = {
        "orientation": None if position is None else patient_edges(position),
        "spacing_mm": spacing_mm,
        "spacing_source": spacing_source,
    }
    volume = VolumeInfo(shape=grid.shape, regular=False, reason=grid.reason)
    return Facts(frames=info.model_copy(update=place), volume=volume)


def _rescaled(header: Dataset) -> Dataset:
    """The header for values that have been rescaled already."""
    hounsfield = is_hounsfield(header)
    changed = Dataset()
    changed.update(header)
    changed.file_meta = header.file_meta
    for keyword in _STORED_SCALE:
        if keyword in changed:
            delattr(changed, keyword)
    changed.BitsStored = 32
    if hounsfield:
        changed.RescaleSlope, changed.RescaleIntercept = 1, 0
    return changed
