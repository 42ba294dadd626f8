"""Reading a DICOM file down to what may be kept of it, and the attributes of each of its frames."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import config, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from mmedagent.imaging.deidentify import deidentified, kept_syntax
from mmedagent.imaging.dicom_pixels import READABLE_SYNTAXES
from mmedagent.imaging.dicom_terms import NOT_PICTURES, allowed_tags
from mmedagent.imaging.limits import MAX_FILE_BYTES, check_dimensions
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
_META_GROUP = 0x0002
_PIXEL_DATA = 0x7FE00010
_ORDERING = ("SeriesInstanceUID", "InstanceNumber")


class NotAPictureError(Exception):
    """A DICOM object that goes along with pictures: a report, a plan, a directory. Its text may be shown."""


@dataclass(frozen=True, slots=True)
class DicomFile:
    """The de-identified data set, and what only sorts the files of a series and is not kept."""

    kept: Dataset
    series: str
    number: int


@contextmanager
def reading_dicom() -> Iterator[None]:
    """Turns what pydicom and the codecs raise into `UnreadableImageError`, and no picture into an unsupported image.

    pydicom repeats header values in its warnings and log lines, so nothing of either gets out.
    """
    logger = logging.getLogger("pydicom")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    except NotAPictureError as error:
        raise UnsupportedImageError(str(error)) from error
    except _PARSER_ERRORS as error:
        raise UnreadableImageError("The DICOM file is broken or cut short.") from error
    finally:
        logger.disabled = disabled


def read_picture(file: BinaryIO) -> DicomFile:
    """Read a file; elements that are not on the allow-list are skipped, not parsed.

    Raises `NotAPictureError`, `UnsupportedImageError` and `TooLargeError`, and whatever pydicom raises for broken data.
    """
    meta, start = _meta(file)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise NotAPictureError("This DICOM file is a directory of others, not a picture.")
    if syntax not in READABLE_SYNTAXES:
        name = syntax.name if syntax.is_transfer_syntax else "an unknown transfer syntax"
        raise UnsupportedImageError(f"DICOM files in {name} are not accepted.")
    if syntax == DeflatedExplicitVRLittleEndian:
        file.seek(start)
        source = read_dataset(_inflated(file.read()), is_implicit_VR=False, is_little_endian=True)
    else:
        file.seek(0)
        ordering = [tag for keyword in _ORDERING if (tag := tag_for_keyword(keyword)) is not None]
        source = dcmread(file, specific_tags=[*allowed_tags(), *ordering])
    if source.get("Modality") in NOT_PICTURES:
        raise NotAPictureError("This DICOM object is a result or a plan, not a picture of a patient.")
    if "PixelData" not in source:
        raise NotAPictureError("This DICOM object holds no picture.")
    kept = deidentified(source, kept_syntax(syntax))
    _check_size(kept)
    return DicomFile(kept, str(source.get("SeriesInstanceUID") or ""), _whole(source.get("InstanceNumber")))


def frames_of(kept: Dataset) -> int:
    return int(kept.get("NumberOfFrames") or 1)


def frame_header(kept: Dataset, index: int) -> Dataset:
    """Attributes of one frame: those of the file, overlaid with its functional groups (PS3.3 C.7.6.16)."""
    header = Dataset()
    groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    left_out = {_PIXEL_DATA, *(tag_for_keyword(keyword) for keyword in groups)}
    header.update({tag: kept[tag] for tag in kept.keys() if tag not in left_out})  # noqa: SIM118 (skips the pixel data)
    header.file_meta = kept.file_meta
    shared = list(kept.get(groups[0]) or [])[:1]
    own = list(kept.get(groups[1]) or [])[index : index + 1]
    for macros in (*shared, *own):
        for macro in macros:
            if macro.VR == "SQ" and macro.value:
                header.update(macro.value[0])
    return header


def _meta(file: BinaryIO) -> tuple[Dataset, int]:
    """The file meta information alone, and where the data set begins (PS3.10 section 7.1).

    pydicom's reader of whole files would inflate a deflated data set before anybody could look at its size.
    """
    file.seek(_META_START)
    meta = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _, __: tag.group != _META_GROUP
    )
    return meta, file.tell()


def _inflated(data: bytes) -> io.BytesIO:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_FILE_BYTES)
    if inflater.unconsumed_tail:
        raise TooLargeError(f"The deflated DICOM file inflates to more than {MAX_FILE_BYTES // 2**20} MiB.")
    return io.BytesIO(inflated)


def _check_size(kept: Dataset) -> None:
    samples, bits = int(kept.SamplesPerPixel), int(kept.BitsAllocated)
    check_dimensions(int(kept.Rows), int(kept.Columns), frames=frames_of(kept), samples=samples, bits=bits)


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
