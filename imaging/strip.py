"""PNG and JPEG files without anything but the picture: no EXIF, XMP, comments, colour profiles, thumbnails or trailers.

The compressed picture itself is copied byte for byte. The orientation of a photograph (EXIF tag 0x0112) is the one fact
that is kept, in an EXIF block that holds nothing else, because without it the picture would be shown turned.
"""

from __future__ import annotations

import re
import struct

from mmedagent.protocol.errors import UnreadableImageError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# Inside a scan FF00 is a data byte, FFD0 to FFD7 are restart marks and FFFF is filling; anything else ends the scan.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ORIENTATION_TAG = 0x0112


def strip_png(data: bytes) -> bytes:
    """The PNG with only the chunks that its pixels need. Raises `UnreadableImageError`."""
    kept = [_PNG_SIGNATURE]
    position = len(_PNG_SIGNATURE)
    while True:
        head = data[position : position + 8]
        if len(head) < 8:
            raise UnreadableImageError("The PNG file is cut short.")
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        end = position + 12 + length
        if end > len(data):
            raise UnreadableImageError("The PNG file is cut short.")
        if kind in _PNG_KEPT:
            kept.append(data[position:end])
        if kind == b"IEND":
            return b"".join(kept)
        position = end


def strip_jpeg(data: bytes) -> bytes:
    """The JPEG with only the segments that its pixels need. Raises `UnreadableImageError`."""
    kept: list[bytes] = []
    has_jfif, orientation = False, 1
    position = 2
    while True:
        marker, position = _next_marker(data, position)
        if marker == _EOI:
            break
        if marker in _STANDALONE:
            continue
        payload, position = _segment(data, position)
        if marker == _APP0:
            has_jfif = has_jfif or payload.startswith(b"JFIF\0")
        elif marker == _APP1 and payload.startswith(b"Exif\0\0"):
            orientation = _orientation(payload[6:])
        elif marker == _APP14 and payload.startswith(b"Adobe"):
            kept.append(_encode_segment(marker, payload[:12]))
        elif not (_APP0 <= marker <= _APP15 or marker == _COM):
            kept.append(_encode_segment(marker, payload))
        if marker == _SOS:
            end = _scan_end(data, position)
            kept.append(data[position:end])
            position = end
    head = [bytes((0xFF, _SOI)), _JFIF if has_jfif else b"", _orientation_segment(orientation)]
    return b"".join([*head, *kept, bytes((0xFF, _EOI))])


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    if data[position : position + 1] != b"\xff":
        raise UnreadableImageError("The JPEG file is broken or cut short.")
    while data[position : position + 1] == b"\xff":
        position += 1
    if position >= len(data):
        raise UnreadableImageError("The JPEG file is cut short.")
    return data[position], position + 1


def _segment(data: bytes, position: int) -> tuple[bytes, int]:
    length = int.from_bytes(data[position : position + 2], "big")
    end = position + length
    if length < 2 or end > len(data):
        raise UnreadableImageError("The JPEG file is broken or cut short.")
    return data[position + 2 : end], end


def _scan_end(data: bytes, position: int) -> int:
    found = _SCAN_END.search(data, position)
    if found is None:
        raise UnreadableImageError("The JPEG file is cut short.")
    return found.start()


def _encode_segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _orientation(tiff: bytes) -> int:
    """Orientation 1 to 8 in the first directory of an EXIF block; 1 (upright) where it is absent or senseless."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _ORIENTATION_TAG and kind == 3 and values == 1 and 1 <= value <= 8:
            return int(value)
    return 1


def _orientation_segment(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    entry = struct.pack(">HHIHH", _ORIENTATION_TAG, 3, 1, orientation, 0)
    return _encode_segment(_APP1, b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0))
