"""An image file in, a display frame and a de-identified copy out."""

from __future__ import annotations

from pathlib import Path

from mmedagent.imaging.dicom import decode_dicom
from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.limits import MAX_FILE_BYTES
from mmedagent.imaging.raster import decode_raster
from mmedagent.imaging.sniff import DICOM, HEAD_BYTES, media_type_of
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError


def decode_file(path: Path) -> Decoded:
    """Decode a PNG, a JPEG or the first frame of a DICOM image.

    Meant for files that are trusted; `sandbox` runs the same in a child process with limits.

    Raises `UnreadableImageError` (not an image, or a broken one), `UnsupportedImageError` (a known format, or a DICOM
    object, that is not accepted) or `TooLargeError` (over a limit of `limits`, or out of memory), and nothing else.
    """
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise UnreadableImageError("There is no such image file.")
        if size > MAX_FILE_BYTES:
            raise TooLargeError(f"The file is larger than {MAX_FILE_BYTES // 2**20} MiB.")
        with path.open("rb") as file:
            media_type = media_type_of(file.read(HEAD_BYTES))
        return decode_dicom(path) if media_type == DICOM else decode_raster(path.read_bytes(), media_type)
    except MemoryError as error:
        raise TooLargeError("Decoding the image needs more memory than is allowed.") from error
    except OSError as error:
        raise UnreadableImageError("The image file cannot be read.") from error
