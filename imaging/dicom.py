"""DICOM images as display frames, computed from the de-identified copy and never from the original header."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from mmedagent.imaging.deidentify import deidentified, kept_syntax, to_part10
from mmedagent.imaging.dicom_pixels import READABLE_SYNTAXES, decode_pixels
from mmedagent.imaging.dicom_terms import NOT_PICTURES, allowed_tags
from mmedagent.imaging.frame import Decoded, Frame, FrameMeta
from mmedagent.imaging.limits import MAX_FILE_BYTES, check_dimensions
from mmedagent.imaging.sniff import DICOM
from mmedagent.imaging.spacing import pixel_spacing
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError

# What pydicom and the codecs raise for broken data; they have no common base.
_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_META_START = 132
_GROUP_LENGTH_SIZE = 12


def decode_dicom(path: Path) -> Decoded:
    """Decode the first frame of a DICOM image (PS3.10 file); a multi-frame file keeps its `frame_count`.

    Raises `UnreadableImageError`, `UnsupportedImageError` or `TooLargeError`.
    """
    try:
        with _quiet():
            kept = _read(path)
            frame = _frame(kept)
            return Decoded(frame, DICOM, to_part10(kept))
    except _PARSER_ERRORS as error:
        raise UnreadableImageError("The DICOM file is broken or cut short.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom repeats header values in its warnings and log lines, so nothing of either gets out."""
    logger = logging.getLogger("pydicom")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


def _read(path: Path) -> Dataset:
    """The de-identified data set; elements that are not on the allow-list are skipped, not parsed."""
    meta = read_file_meta_info(path)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    if syntax not in READABLE_SYNTAXES:
        name = syntax.name if syntax.is_transfer_syntax else "an unknown transfer syntax"
        raise UnsupportedImageError(f"DICOM files in {name} are not accepted.")
    if syntax == DeflatedExplicitVRLittleEndian:
        start = _META_START + _GROUP_LENGTH_SIZE + int(meta.FileMetaInformationGroupLength)
        source = read_dataset(_inflated(path.read_bytes()[start:]), is_implicit_VR=False, is_little_endian=True)
    else:
        source = dcmread(path, specific_tags=allowed_tags())
    if source.get("Modality") in NOT_PICTURES:
        raise UnsupportedImageError("This DICOM object is a result or a plan, not a picture of a patient.")
    if "PixelData" not in source:
        raise UnsupportedImageError("This DICOM object holds no picture.")
    return deidentified(source, kept_syntax(syntax))


def _inflated(data: bytes) -> io.BytesIO:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_FILE_BYTES)
    if inflater.unconsumed_tail:
        raise TooLargeError(f"The deflated DICOM file inflates to more than {MAX_FILE_BYTES // 2**20} MiB.")
    return io.BytesIO(inflated)


def _frame(kept: Dataset) -> Frame:
    frames = int(kept.get("NumberOfFrames") or 1)
    samples, bits = int(kept.SamplesPerPixel), int(kept.BitsAllocated)
    check_dimensions(int(kept.Rows), int(kept.Columns), frames=frames, samples=samples, bits=bits)
    header = _frame_header(kept, 0)
    pixels, window = decode_pixels(kept, header, 0)
    spacing_mm, spacing_source = pixel_spacing(header)
    meta = FrameMeta(
        modality=header.get("Modality"),
        spacing_mm=spacing_mm,
        spacing_source=spacing_source,
        body_part=header.get("BodyPartExamined"),
        laterality=header.get("FrameLaterality") or header.get("ImageLaterality") or header.get("Laterality"),
        window_center=window.center,
        window_width=window.width,
        window_source=window.source,
        frame_index=0,
        frame_count=frames,
        photometric=str(kept.PhotometricInterpretation),
    )
    return Frame(pixels, meta)


def _frame_header(kept: Dataset, index: int) -> Dataset:
    """Attributes of one frame: those of the file, overlaid with its functional groups (PS3.3 C.7.6.16)."""
    header = Dataset()
    header.update({tag: kept[tag] for tag in kept.keys() if tag != 0x7FE00010})  # noqa: SIM118 (skips the pixel data)
    header.file_meta = kept.file_meta
    shared = list(kept.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = list(kept.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]
    for groups in (*shared, *own):
        for macro in groups:
            if macro.VR == "SQ" and macro.value:
                header.update(macro.value[0])
    return header
