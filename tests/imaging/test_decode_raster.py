"""PNG and JPEG in all their modes, and everything that is neither."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageCms

from mmedagent.imaging.decode import decode_file
from mmedagent.imaging.limits import MAX_FILE_BYTES
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError

Locate = Callable[[str], Path]
SaveBytes = Callable[[bytes], Path]
SaveImage = Callable[..., Path]


def png_with_size(width: int, height: int) -> bytes:
    """A valid PNG header in front of a few bytes of data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1_000))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_real_pictures(picture_file: Locate) -> None:
    frames = {name: decode_file(picture_file(name)).frame for name in ("retina.jpg", "ihc.png", "microaneurysms.png")}
    np.testing.assert_array_equal(frames["retina.jpg"].pixels, skimage.data.retina())
    np.testing.assert_array_equal(frames["ihc.png"].pixels, skimage.data.immunohistochemistry())
    np.testing.assert_array_equal(frames["microaneurysms.png"].pixels, skimage.data.microaneurysms())
    assert all(frame.meta.modality is None and frame.meta.spacing_mm is None for frame in frames.values())


def test_the_name_of_a_file_is_not_believed(picture_file: Locate, tmp_path: Path) -> None:
    path = tmp_path / "picture.dcm"
    path.write_bytes(picture_file("ihc.png").read_bytes())
    assert decode_file(path).media_type == "image/png"


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("1", (255, 255, 255)),
        ("L", (76, 76, 76)),
        ("P", (255, 0, 0)),
        ("RGB", (255, 0, 0)),
        ("RGBA", (255, 0, 0)),
    ],
)
def test_png_modes(save_image: SaveImage, mode: str, shown: tuple[int, int, int]) -> None:
    red = Image.new("RGB", (3, 2), (255, 0, 0))
    picture = Image.new("1", (3, 2), 1) if mode == "1" else red.convert(mode)
    frame = decode_file(save_image(picture, "PNG")).frame
    assert frame.meta.photometric == mode
    assert frame.pixels.shape == ((2, 3) if mode in ("1", "L") else (2, 3, 3))
    assert (frame.pixels == (shown[0] if frame.pixels.ndim == 2 else shown)).all()


def test_transparency_is_laid_over_black(save_image: SaveImage) -> None:
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((0, 0), (200, 100, 50, 255))
    picture.putpixel((1, 0), (200, 100, 50, 0))
    assert decode_file(save_image(picture, "PNG")).frame.pixels.tolist() == [[[200, 100, 50], [0, 0, 0]]]


def test_transparent_gray_stays_gray(save_image: SaveImage) -> None:
    picture = Image.fromarray(np.array([[200, 90]], np.uint8))
    assert decode_file(save_image(picture, "PNG", transparency=90)).frame.pixels.tolist() == [[200, 0]]


def test_16_bit_gray_is_windowed_by_percentiles(save_image: SaveImage) -> None:
    values = np.linspace(1_000, 3_000, 10_000).reshape(100, 100).astype(np.uint16)
    values[0, 0] = 65_535
    frame = decode_file(save_image(Image.fromarray(values), "PNG")).frame
    assert frame.meta.window_source == "percentile"
    assert frame.meta.window_center == pytest.approx(2_000, abs=5)
    assert 125 <= frame.pixels[50, 0] <= 129
    assert frame.pixels.min() == 0


def test_cmyk_jpeg(save_image: SaveImage) -> None:
    picture = Image.new("RGB", (16, 16), (250, 20, 20)).convert("CMYK")
    frame = decode_file(save_image(picture, "JPEG", quality=95)).frame
    assert frame.meta.photometric == "CMYK"
    np.testing.assert_allclose(frame.pixels[8, 8], (250, 20, 20), atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(save_image: SaveImage, orientation: int) -> None:
    upright = np.zeros((32, 16), np.uint8)
    upright[:8, :8] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save_image(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", exif=exif, quality=100)
    np.testing.assert_allclose(decode_file(path).frame.pixels, upright, atol=3)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_smallest_pictures(save_image: SaveImage, size: tuple[int, int], kind: str) -> None:
    assert decode_file(save_image(Image.new("L", size, 7), kind)).frame.pixels.shape == size[::-1]


@pytest.mark.parametrize("size", [(30_000, 30_000), (9_000, 8_000), (70_000, 10), (2**31 - 1, 2**31 - 1)])
def test_a_png_bomb_is_refused_by_its_header(save_bytes: SaveBytes, size: tuple[int, int]) -> None:
    with pytest.raises(TooLargeError):
        decode_file(save_bytes(png_with_size(*size)))


def test_a_text_bomb_in_a_png_is_never_inflated(save_bytes: SaveBytes) -> None:
    bomb = b"Comment\0\0" + zlib.compress(bytes(2**26), 9)
    chunk = struct.pack(">I", len(bomb)) + b"zTXt" + bomb + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    buffer = io.BytesIO()
    Image.new("L", (4, 4), 9).save(buffer, "PNG")
    data = buffer.getvalue()
    decoded = decode_file(save_bytes(data[:33] + chunk + data[33:]))
    assert len(decoded.deidentified) == len(data)


def test_a_colour_profile_is_dropped(save_image: SaveImage) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = save_image(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", icc_profile=profile)
    decoded = decode_file(path)
    assert b"iCCP" not in decoded.deidentified
    assert decoded.frame.pixels[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["ihc.png", "retina.jpg"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_a_cut_file_is_refused(picture_file: Locate, save_bytes: SaveBytes, name: str, part: float) -> None:
    data = picture_file(name).read_bytes()
    with pytest.raises(UnreadableImageError):
        decode_file(save_bytes(data[: int(len(data) * part)]))


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "GIF", "BMP", "PDF"])
def test_known_formats_that_are_not_accepted(save_image: SaveImage, kind: str) -> None:
    name = {"WEBP": "WebP"}.get(kind, kind)
    with pytest.raises(UnsupportedImageError, match=f"{name} files are not accepted"):
        decode_file(save_image(Image.new("RGB", (8, 8)), kind))


@pytest.mark.parametrize("data", [b"", b"a letter\n" * 60, b"\0" * 600, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_no_image_at_all(save_bytes: SaveBytes, data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        decode_file(save_bytes(data))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UnreadableImageError):
            decode_file(path)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(TooLargeError):
        decode_file(path)
