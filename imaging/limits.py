"""Size limits of untrusted images. They are checked against headers, before a pixel is decoded."""

from __future__ import annotations

from mmedagent.protocol.errors import TooLargeError, UnreadableImageError

MAX_FILE_BYTES = 256 * 2**20
"""Largest file, and largest inflated DICOM data set, in bytes."""

MAX_SIDE = 65_535
MAX_PIXELS = 64_000_000
"""Rows x columns of one frame."""

MAX_FRAMES = 100_000
MAX_DECODED_BITS = 8 * 2 * 2**30
"""Rows x columns x frames x samples x bits allocated: 2 GiB of pixel data."""


def check_dimensions(rows: int, columns: int, *, frames: int = 1, samples: int = 1, bits: int = 8) -> None:
    """Raise `UnreadableImageError` for an empty image and `TooLargeError` for one over the limits."""
    if min(rows, columns, frames, samples, bits) < 1:
        raise UnreadableImageError("The image has no pixels: a dimension in its header is zero or negative.")
    if rows > MAX_SIDE or columns > MAX_SIDE or rows * columns > MAX_PIXELS:
        raise TooLargeError(f"The image is {columns} x {rows} pixels; at most {MAX_PIXELS:,} are accepted.")
    if frames > MAX_FRAMES or rows * columns * frames * samples * bits > MAX_DECODED_BITS:
        raise TooLargeError(f"The image holds {frames:,} frames; decoded they would take more than 2 GiB.")
