"""The format of a file by its content. Names and declared media types are never believed."""

from __future__ import annotations

from mmedagent.protocol.errors import UnreadableImageError, UnsupportedImageError

HEAD_BYTES = 512
DICOM = "application/dicom"
PNG = "image/png"
JPEG = "image/jpeg"
NIFTI = "application/x-nifti"
GZIP = "application/gzip"
ZIP = "application/zip"
ZIP_MAGIC = b"PK\x03\x04"

_ACCEPTED: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", DICOM),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff", JPEG),
    (344, b"n+1\0", NIFTI),
    (4, b"n+2\0\r\n\x1a\n", NIFTI),
    (0, b"\x1f\x8b", GZIP),
    (0, ZIP_MAGIC, ZIP),
)
_REFUSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "BigTIFF"),
    (0, b"MM\0+", "BigTIFF"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (4, b"ftyp", "HEIF, AVIF or video"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (344, b"ni1\0", "NIfTI .hdr/.img"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
)


def media_type_of(head: bytes) -> str:
    """Media type of a file that starts with `head` (its first 512 bytes, or all of it).

    gzip and ZIP say nothing of what is inside: a NIfTI image and a DICOM series are accepted in them.
    Raises `UnsupportedImageError` for a known format that is not accepted and `UnreadableImageError` for anything else.
    """
    if not head:
        raise UnreadableImageError("The file is empty.")
    for offset, magic, media_type in _ACCEPTED:
        if head[offset : offset + len(magic)] == magic:
            return media_type
    for offset, magic, name in _REFUSED:
        if head[offset : offset + len(magic)] == magic:
            raise UnsupportedImageError(f"{name} files are not accepted. Send PNG, JPEG, DICOM or NIfTI.")
    raise UnreadableImageError("The file is not an image that is known here. Send PNG, JPEG, DICOM or NIfTI.")
