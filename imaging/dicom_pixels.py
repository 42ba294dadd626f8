"""Pixel data of one DICOM frame to 8-bit gray or RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from mmedagent.imaging.samples import as_stored
from mmedagent.imaging.windowing import (
    FULL_RANGE,
    Window,
    display_transform,
    has_modality_table,
    modality_transform,
    to_display,
)
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


@dataclass(frozen=True, slots=True, eq=False)
class DicomPixels:
    """One frame: `shown` is uint8 gray or RGB, `stored` its values before the window, in a type of `samples`."""

    shown: NDArray[np.uint8]
    stored: NDArray[Any]
    window: Window


def decode_pixels(dataset: Dataset, header: Dataset, index: int) -> DicomPixels:
    """Frame `index` and the window it is shown with. `header` holds the attributes of that frame.

    MONOCHROME1 is inverted in what is shown, palettes are applied, YBR becomes RGB; colour deeper than 8 bits keeps its
    upper 8 bits.
    """
    stored = stored_values(dataset, header, index)
    if stored.ndim == 3:
        return DicomPixels(stored, stored, FULL_RANGE)
    transform, window = display_transform(header, stored)
    shown = to_display(stored, transform)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    values = modality_transform(header)(stored) if has_modality_table(header) else stored
    return DicomPixels(255 - shown if inverted else shown, as_stored(values, stored_dtype(header)), window)


def is_colour(header: Dataset) -> bool:
    return int(header.SamplesPerPixel) == 3 or header.PhotometricInterpretation == "PALETTE COLOR"


def stored_dtype(header: Dataset) -> np.dtype[Any]:
    """The type that holds the values of every frame with this header: rescaled ones under a modality look-up table."""
    if is_colour(header):
        return np.dtype(np.uint8)
    if has_modality_table(header):
        return np.dtype(np.uint16)
    bits, signed = int(header.BitsAllocated), int(header.PixelRepresentation) == 1
    if bits <= 8 and not signed:
        return np.dtype(np.uint8)
    if bits <= 16:
        return np.dtype(np.int16 if signed else np.uint16)
    return np.dtype(np.float32)


def stored_values(dataset: Dataset, header: Dataset, index: int) -> NDArray[Any]:
    """Stored values (rows, columns) of a monochrome frame, or uint8 (rows, columns, 3) of one in colour."""
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
        return stored
    if photometric == "PALETTE COLOR":
        return _palette(stored, header)
    if stored.shape[2] != 3 or int(dataset.PixelRepresentation) != 0:
        raise UnsupportedImageError("The colour layout of this DICOM image is not supported.")
    return (stored >> max(0, int(dataset.BitsStored) - 8)).astype(np.uint8)


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
