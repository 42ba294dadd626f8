"""Binary masks of a frame's size: 1-bit PNG, area, bounding box."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmedagent.imaging.boxes import Box
from mmedagent.imaging.png import open_png
from mmedagent.protocol.errors import UnreadableImageError


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """1-bit gray PNG of a mask (rows, columns): white is inside."""
    rows, columns = mask.shape
    packed = np.packbits(mask, axis=1)
    image = Image.frombytes("1", (columns, rows), packed.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def decode_mask(data: bytes) -> NDArray[np.bool_]:
    """The mask (rows, columns) in a PNG made by `encode_mask`.

    Raises `UnreadableImageError` for other bytes and `TooLargeError` over the limits.
    """
    image = open_png(data)
    if image.mode != "1":
        raise UnreadableImageError("A mask is a 1-bit PNG.")
    return np.array(image)


def area_px(mask: NDArray[np.bool_]) -> int:
    """Number of pixels inside."""
    return int(np.count_nonzero(mask))


def area_mm2(mask: NDArray[np.bool_], spacing_mm: tuple[float, float] | None) -> float | None:
    """Area in mm² for a spacing (between rows, between columns) in mm; None where the spacing is not known.

    The area is as true as the spacing: one from `ImagerPixelSpacing` is an area on the detector.
    """
    if spacing_mm is None:
        return None
    between_rows, between_columns = spacing_mm
    return area_px(mask) * between_rows * between_columns


def mask_box(mask: NDArray[np.bool_]) -> Box | None:
    """Smallest normalised box around the mask, pixel edges included; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    height, width = mask.shape
    x1, x2 = int(columns[0]) / width, (int(columns[-1]) + 1) / width
    return x1, int(rows[0]) / height, x2, (int(rows[-1]) + 1) / height
