"""Random and damaged files: whatever they hold, only the three typed errors come out."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmedagent.imaging.decode import decode_file
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError
from support.series import brain, nifti_bytes, series_files, zip_bytes

SaveBytes = Callable[[bytes], Path]

TYPED = (UnreadableImageError, UnsupportedImageError, TooLargeError)
DICOM_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(768, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


SOUND_FILES = [
    picture("PNG"),
    picture("JPEG"),
    *((DICOM_FOLDER / name).read_bytes() for name in ("MR_small.dcm", "MR_small_RLE.dcm", "SC_rgb_small_odd.dcm")),
]
NIFTI_FILE = nifti_bytes(*brain(20, 16, 3))
SOUND_FILES += [NIFTI_FILE, gzip.compress(NIFTI_FILE, 1), zip_bytes(series_files(*brain(8, 8, 3)))]
STARTS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    bytes(128) + b"DICM",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    NIFTI_FILE[:352],
]
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=8)

examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@examples
@given(start=st.sampled_from(STARTS), rest=st.binary())
def test_random_bytes(save_bytes: SaveBytes, start: bytes, rest: bytes) -> None:
    with pytest.raises(TYPED):
        decode_file(save_bytes(start + rest))


@examples
@given(number=st.sampled_from(range(len(SOUND_FILES))), changes=CHANGES)
def test_changed_bytes(save_bytes: SaveBytes, number: int, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(SOUND_FILES[number])
    for position, value in changes:
        # The first two kilobytes hold the headers, where a change does most.
        damaged[position % min(len(damaged), 2_048)] = value
    try:
        decoded = decode_file(save_bytes(bytes(damaged)))
    except TYPED:
        return
    assert decoded.frame.pixels.dtype == np.uint8


@examples
@given(number=st.sampled_from(range(len(SOUND_FILES))), part=st.floats(0, 1, exclude_max=True))
def test_cut_files(save_bytes: SaveBytes, number: int, part: float) -> None:
    # What follows the pixels of a DICOM file may be missing; what belongs to them may not.
    sound = SOUND_FILES[number]
    data = sound[: int(len(sound) * part)]
    try:
        decoded = decode_file(save_bytes(data))
    except TYPED:
        return
    assert decoded.media_type == "application/dicom"
    np.testing.assert_array_equal(decoded.frame.pixels, decode_file(save_bytes(sound)).frame.pixels)
