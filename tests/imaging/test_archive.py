"""DICOM series in ZIP archives, and archives that were made to do harm."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from mmedagent.imaging.decode import decode_file, decode_files
from mmedagent.imaging.limits import MAX_FILES, MAX_UNPACKED_BYTES
from mmedagent.imaging.sandbox import DecoderPool
from mmedagent.protocol.errors import MMedAgentError, TooLargeError, UnreadableImageError, UnsupportedImageError
from support.images import png_bytes
from support.series import brain, series_files, zip_bytes

SaveBytes = Callable[[bytes], Path]

MEBIBYTE = 2**20
FILES = series_files(*brain(8, 8, 4))


def packed(*members: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content, method)
    return buffer.getvalue()


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("slice")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def encrypted() -> bytes:
    """The flag of an encrypted member in both its headers."""
    content = bytearray(zip_bytes(FILES[:1]))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    return bytes(content)


def lying(file_size: int) -> bytes:
    """A directory that states another size of its member than is inside."""
    content = bytearray(zip_bytes(FILES[:1]))
    place = content.index(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", file_size)
    return bytes(content)


def test_an_archive_is_the_series_in_it(save_bytes: SaveBytes, tmp_path: Path) -> None:
    """Whatever the members are called, and whatever else is in it."""
    paths = [tmp_path / f"{number}" for number in range(len(FILES))]
    for path, content in zip(paths, FILES, strict=True):
        path.write_bytes(content)
    names = ["../../etc/passwd", "/root/a", "C:\\a", "a/b/../c"]
    others = [("README", b"viewer"), ("cover.png", png_bytes()), ("folder/", b""), ("empty", b"")]
    inside = decode_file(save_bytes(packed(*zip(names, FILES, strict=True), *others)))
    series = decode_files(paths)
    assert inside.facts == series.facts
    assert inside.deidentified == series.deidentified
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "upload"]


def test_an_archive_of_one_slice_is_that_picture(save_bytes: SaveBytes) -> None:
    decoded = decode_file(save_bytes(zip_bytes(FILES[:1])))
    assert decoded.facts.frames.count == 1
    assert decoded.frame.pixels.shape == (8, 8)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (packed(("a", b"text")), UnsupportedImageError, "no DICOM"),
        (packed(), UnreadableImageError, "not an image"),
        (packed(("a.zip", zip_bytes(FILES))), UnsupportedImageError, "in a ZIP archive"),
        (packed((link(), b"/etc/passwd")), UnsupportedImageError, "links"),
        (encrypted(), UnsupportedImageError, "encrypted"),
        (packed(("a", FILES[0]), method=zipfile.ZIP_LZMA), UnsupportedImageError, "rare method"),
        (packed(*((f"{number}", b"") for number in range(MAX_FILES + 1))), TooLargeError, "1,000 files"),
        (zip_bytes(FILES)[:-30], UnreadableImageError, "cut short"),
        (lying(100), UnreadableImageError, "broken"),
        (lying(3 * 2**30), TooLargeError, "512 MiB"),
    ],
    ids=["text", "empty", "nested", "link", "encrypted", "method", "many", "cut", "short", "long"],
)
def test_what_is_refused(save_bytes: SaveBytes, content: bytes, kind: type[MMedAgentError], message: str) -> None:
    with pytest.raises(kind, match=message):
        decode_file(save_bytes(content))


@pytest.mark.parametrize(("count", "message"), [(9, "MiB"), (1, "times")])
async def test_a_bomb_is_refused_unopened(save_bytes: SaveBytes, count: int, message: str) -> None:
    bomb = packed(*((f"{number}", bytes(64 * MEBIBYTE)) for number in range(count)))
    assert count * 64 * MEBIBYTE > MAX_UNPACKED_BYTES or count == 1
    path = save_bytes(bomb)
    async with DecoderPool(size=1, memory_bytes=1_024 * MEBIBYTE) as pool:
        before = resident()
        with pytest.raises(TooLargeError, match=message):
            await pool.decode(path)
        assert resident() - before < 8 * MEBIBYTE


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


async def test_an_archive_has_the_time_of_a_series(save_bytes: SaveBytes) -> None:
    async with DecoderPool(size=1, timeout_s=0.000_1) as pool:
        assert (await pool.decode(save_bytes(zip_bytes(FILES)))).facts.frames.count == 4


async def test_a_series_in_the_sandbox_is_the_series(save_bytes: SaveBytes) -> None:
    path = save_bytes(zip_bytes(FILES))
    async with DecoderPool(size=1) as pool:
        inside, outside = await pool.decode(path), decode_file(path)
    assert (inside.facts, inside.deidentified) == (outside.facts, outside.deidentified)
    np.testing.assert_array_equal(inside.frame.pixels, outside.frame.pixels)
