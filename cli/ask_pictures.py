"""A picture for an ask that says what kind of image the user looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedagent.imaging.png import encode_frame
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.blobs import sha256_of
from mmedagent.training.phantoms import generate

KINDS = {
    "CT": "ct", "MR": "mr", "MRI": "mr", "X-ray": "xray", "ultrasound": "ultrasound", "fundus": "fundus",
    "histology": "histology", "photograph": "photograph",
}  # fmt: skip
SEED = 990_000
"""Held out, as are all single seeds from 900,000 on."""

Pixels = NDArray[np.uint8]


def phantom_pixels(modality: str) -> Pixels:
    """A held-out phantom, uint8 (H, W) or (H, W, 3). Raises `InvalidRequestError` for an unknown modality."""
    if modality not in KINDS:
        raise InvalidRequestError(f"{modality} is neither a modality ({', '.join(KINDS)}) nor a file.")
    return generate(KINDS[modality], np.random.default_rng(SEED)).image


def reference(pixels: Pixels) -> ImageRef:
    """How a planner is told of a picture, with nothing said about its origin."""
    sha256 = sha256_of(encode_frame(pixels))
    return ImageRef(sha256=sha256, source_sha256=sha256, width=pixels.shape[1], height=pixels.shape[0])


def as_file(image: str, folder: Path) -> Path:
    """The file that an ask names, or a phantom of its modality, written to the folder."""
    path = Path(image)
    if path.is_file():
        return path
    pixels = phantom_pixels(image)
    written = folder / f"{KINDS[image]}.png"
    written.write_bytes(encode_frame(pixels))
    return written
