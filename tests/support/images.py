"""Images to upload: a real CT slice that comes with pydicom, and small ones made on the spot."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

CT_FILE = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
CT_SIDE = 128


def ct_bytes() -> bytes:
    return CT_FILE.read_bytes()


def png_bytes(width: int = 24, height: int = 16, seed: int = 0) -> bytes:
    """An RGB picture of noise. Another seed gives another picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
