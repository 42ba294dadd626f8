"""Size limits of untrusted images. They are checked against headers, before a pixel is decoded."""

from __future__ import annotations

import math

from mmedagent.protocol.errors import TooLargeError, UnreadableImageError

MAX_FILE_BYTES = 256 * 2**20
"""Largest file, and largest inflated DICOM data set, in bytes."""

MAX_SIDE = 65_535
MAX_PIXELS = 64_000_000
"""Rows x columns of one frame."""

MAX_FRAMES = 100_000
MAX_DECODED_BITS = 8 * 2 * 2**30
"""Rows x columns x frames x samples x bits allocated: 2 GiB of pixel data."""

MAX_STUDY_BYTES = 256 * 2**20
"""Values of a volume or a series as they are stored here, in bytes."""

MAX_STUDY_FRAMES = 10_000
MAX_AXIS = 32_767
"""Longest axis of a NIfTI-1 image (a signed 16-bit number)."""

MAX_FILES = 1_000
"""Files of one upload, and members of one ZIP archive."""

MAX_UNPACKED_BYTES = 512 * 2**20
MAX_RATIO = 200
UNSUSPICIOUS_BYTES = 32 * 2**20
"""Unpacked size up to which the ratio of an archive is not looked at: small empty pictures compress very well."""


def check_dimensions(rows: int, columns: int, *, frames: int = 1, samples: int = 1, bits: int = 8) -> None:
    """Raise `UnreadableImageError` for an empty image and `TooLargeError` for one over the limits."""
    if min(rows, columns, frames, samples, bits) < 1:
        raise UnreadableImageError("The image has no pixels: a dimension in its header is zero or negative.")
    if rows > MAX_SIDE or columns > MAX_SIDE or rows * columns > MAX_PIXELS:
        raise TooLargeError(f"The image is {columns} x {rows} pixels; at most {MAX_PIXELS:,} are accepted.")
    if frames > MAX_FRAMES or rows * columns * frames * samples * bits > MAX_DECODED_BITS:
        raise TooLargeError(f"The image holds {frames:,} frames; decoded they would take more than 2 GiB.")


def check_study(shape: tuple[int, ...], value_bytes: int, limit: int = MAX_STUDY_BYTES) -> None:
    """Raise `UnreadableImageError` for an empty volume (i, j, k) and `TooLargeError` for one over the limits."""
    if min(shape) < 1:
        raise UnreadableImageError("The image has no pixels: a dimension in its header is zero or negative.")
    if math.prod(shape) * value_bytes > limit:
        raise TooLargeError(f"The values of the volume would take more than {limit // 2**20} MiB.")
    if max(shape) > MAX_AXIS or shape[0] * shape[1] > MAX_PIXELS or shape[2] > MAX_STUDY_FRAMES:
        raise TooLargeError(
            f"A volume has at most {MAX_STUDY_FRAMES:,} slices of {MAX_PIXELS:,} pixels and {MAX_AXIS:,} a side."
        )
