"""Image files in; display frames, facts and a de-identified copy out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mmedagent.imaging.archive import decode_zip
from mmedagent.imaging.dicom import decode_dicom, decode_dicom_frame
from mmedagent.imaging.frame import Decoded, DecodedFrame
from mmedagent.imaging.limits import MAX_FILE_BYTES, MAX_FILES
from mmedagent.imaging.nifti import decode_nifti
from mmedagent.imaging.raster import decode_raster, decode_raster_frame
from mmedagent.imaging.series import decode_members
from mmedagent.imaging.sniff import DICOM, GZIP, HEAD_BYTES, NIFTI, ZIP, media_type_of
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError


def decode_file(path: Path) -> Decoded:
    """Decode a PNG, a JPEG, a DICOM image, a NIfTI image, or the DICOM series in a ZIP archive.

    Meant for files that are trusted; `sandbox` runs the same in a child process with limits.

    Raises `UnreadableImageError` (not an image, or a broken one), `UnsupportedImageError` (a known format, or a DICOM
    object, that is not accepted) or `TooLargeError` (over a limit of `limits`, or out of memory), and nothing else.
    """
    with _typed_errors():
        media_type = _media_type(path)
        if media_type == DICOM:
            return decode_dicom(path)
        if media_type in (NIFTI, GZIP):
            return decode_nifti(path, compressed=media_type == GZIP)
        if media_type == ZIP:
            return decode_zip(path)
        return decode_raster(path.read_bytes(), media_type)


def decode_files(paths: Sequence[Path]) -> Decoded:
    """Decode one file, or the files of one DICOM series. Errors as of `decode_file`."""
    if len(paths) == 1:
        return decode_file(paths[0])
    with _typed_errors():
        if len(paths) > MAX_FILES:
            raise TooLargeError(f"An upload has at most {MAX_FILES:,} files.")
        if any(_media_type(path) != DICOM for path in paths):
            raise UnsupportedImageError(
                "Several files are taken for one DICOM series, and one of them is not DICOM. Send other images singly."
            )
        return decode_members([partial(_open, path) for path in paths])


def decode_frame_of(path: Path, index: int) -> DecodedFrame:
    """Decode frame `index` of a de-identified copy that is not a study (see `study`). Errors as of `decode_file`."""
    with _typed_errors():
        media_type = _media_type(path)
        if media_type in (NIFTI, GZIP, ZIP):
            raise UnsupportedImageError("Frames of a study are read where it is stored.")
        return decode_dicom_frame(path, index) if media_type == DICOM else decode_raster_frame(path.read_bytes())


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise TooLargeError("Decoding the image needs more memory than is allowed.") from error
    except OSError as error:
        raise UnreadableImageError("The image file cannot be read.") from error


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _media_type(path: Path) -> str:
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise UnreadableImageError("There is no such image file.")
    if size > MAX_FILE_BYTES:
        raise TooLargeError(f"The file is larger than {MAX_FILE_BYTES // 2**20} MiB.")
    with path.open("rb") as file:
        return media_type_of(file.read(HEAD_BYTES))
