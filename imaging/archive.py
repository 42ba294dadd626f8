"""DICOM series in a ZIP archive. Members are read in memory, one at a time; names and links lead nowhere."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.limits import MAX_FILES, MAX_RATIO, MAX_UNPACKED_BYTES, UNSUSPICIOUS_BYTES
from mmedagent.imaging.series import decode_members
from mmedagent.imaging.sniff import DICOM, HEAD_BYTES, ZIP, media_type_of
from mmedagent.protocol.errors import RequestError, TooLargeError, UnreadableImageError, UnsupportedImageError

_ERRORS = (
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1


def decode_zip(path: Path) -> Decoded:
    """Decode the DICOM files in an archive as one study; files of other kinds in it are passed over.

    Raises `UnreadableImageError`, `UnsupportedImageError` (encrypted, links, archives in it, no DICOM) or
    `TooLargeError` (too many members, or too much inside).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check(members, path.stat().st_size)
            pictures = [info for info in members if _is_dicom(archive, info)]
            if not pictures:
                raise UnsupportedImageError("The ZIP archive holds no DICOM files.")
            return decode_members([_opener(archive, info) for info in pictures])
    except _ERRORS as error:
        raise UnreadableImageError("The ZIP archive is broken or cut short.") from error


def _check(members: list[zipfile.ZipInfo], packed_bytes: int) -> None:
    if len(members) > MAX_FILES:
        raise TooLargeError(f"The ZIP archive holds more than {MAX_FILES:,} files.")
    unpacked = sum(info.file_size for info in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise TooLargeError(f"The files in the ZIP archive take more than {MAX_UNPACKED_BYTES // 2**20} MiB.")
    if unpacked > max(UNSUSPICIOUS_BYTES, MAX_RATIO * packed_bytes):
        raise TooLargeError(f"The ZIP archive unpacks to more than {MAX_RATIO} times its size.")
    if any(info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS for info in members):
        raise UnsupportedImageError("ZIP archives that are encrypted, or packed by a rare method, are not accepted.")
    if any(stat.S_ISLNK(info.external_attr >> 16) for info in members):
        raise UnsupportedImageError("ZIP archives with links are not accepted.")


def _is_dicom(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    with archive.open(info) as member:
        head = member.read(HEAD_BYTES)
    try:
        kind = media_type_of(head)
    except RequestError:
        return False
    if kind == ZIP:
        raise UnsupportedImageError("ZIP archives in a ZIP archive are not accepted.")
    return kind == DICOM


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(archive.read(info))
