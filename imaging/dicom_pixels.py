"""Pixel data of one DICOM frame to 8-bit gray or RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from mmedagent.imaging.windowing import FULL_RANGE, Window, display_transform, to_display
from mmedagent.protocol.errors import UnreadableImageError, UnsupportedImageError

_ONE_SAMPLE = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_BUILT_IN = ("",)
_DECODERS: dict[uid.UID, tuple[str, ...]] = {
    uid.ImplicitVRLittleEndian: _BUILT_IN,
    uid.ExplicitVRLittleEndian: _BUILT_IN,
    uid.ExplicitVRBigEndian: _BUILT_IN,
    uid.DeflatedExplicitVRLittleEndian: _BUILT_IN,
    uid.RLELossless: ("pydicom",),
    uid.JPEGBaseline8Bit: ("pillow",),
    uid.JPEGExtended12Bit: ("pillow",),
    uid.JPEGLossless: ("gdcm",),
    uid.JPEGLosslessSV1: ("gdcm",),
    uid.JPEGLSLossless: ("pyjpegls", "gdcm"),
    uid.JPEGLSNearLossless: ("pyjpegls",),
    uid.JPEG2000Lossless: ("pylibjpeg", "gdcm"),
    uid.JPEG2000: ("pylibjpeg",),
    uid.HTJ2KLossless: ("pylibjpeg",),
    uid.HTJ2KLosslessRPCL: ("pylibjpeg",),
    uid.HTJ2K: ("pylibjpeg",),
}
"""pydicom's plug-ins for each transfer syntax. GDCM comes last, because damaged data can make it abort the process."""

READABLE_SYNTAXES: frozenset[uid.UID] = frozenset(_DECODERS)


def decode_pixels(dataset: Dataset, header: Dataset, index: int) -> tuple[NDArray[np.uint8], Window]:
    """Frame `index`, shown as (rows, columns) or (rows, columns, 3) uint8, and the window used.

    `header` holds the attributes of that frame. MONOCHROME1 is inverted, palettes are applied, YBR becomes RGB; colour
    deeper than 8 bits keeps its upper 8 bits.
    """
    photometric = dataset.get("PhotometricInterpretation")
    if photometric is None:
        raise UnsupportedImageError("The photometric interpretation of this DICOM image is missing or not supported.")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == uid.JPEGExtended12Bit and int(dataset.BitsStored) > 8:
        raise UnsupportedImageError("DICOM images in 12-bit lossy JPEG are not supported.")
    stored = _decoded(dataset, index)
    if stored.ndim != (2 if photometric in _ONE_SAMPLE else 3):
        raise UnsupportedImageError("This DICOM image has another number of colour samples than it declares.")
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        transform, window = display_transform(header, stored)
        shown = to_display(stored, transform)
        return (255 - shown if photometric == "MONOCHROME1" else shown), window
    if photometric == "PALETTE COLOR":
        return _palette(stored, header), FULL_RANGE
    if stored.shape[2] != 3 or int(dataset.PixelRepresentation) != 0:
        raise UnsupportedImageError("The colour layout of this DICOM image is not supported.")
    return (stored >> max(0, int(dataset.BitsStored) - 8)).astype(np.uint8), FULL_RANGE


def _decoded(dataset: Dataset, index: int) -> NDArray[Any]:
    """Stored values of one frame.

    Where two decoders can read a lossless frame they must agree on every value: a decoder that is quietly wrong shows
    an anatomy that is not there.
    """
    first, *others = _DECODERS[dataset.file_meta.TransferSyntaxUID]
    stored = pixel_array(dataset, index=index, decoding_plugin=first)
    for other in others:
        if not np.array_equal(pixel_array(dataset, index=index, decoding_plugin=other), stored):
            raise UnreadableImageError("Two decoders disagree on the pixels of this DICOM image; neither is trusted.")
    return stored


def _palette(stored: NDArray[Any], header: Dataset) -> NDArray[np.uint8]:
    """Palette entries as RGB. Tables declared as 16 bits that hold 8-bit values are common and taken as 8 bits."""
    colours = apply_color_lut(stored, header)[..., :3]
    if colours.dtype == np.uint8 or int(colours.max()) <= 255:
        return colours.astype(np.uint8)
    return (colours >> 8).astype(np.uint8)
