"""Decoder processes: real ones, and small programs that crash, hang or answer nonsense in their place."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from mmedagent.imaging.decode import decode_file
from mmedagent.imaging.sandbox import DecoderPool, decode_untrusted
from mmedagent.protocol.errors import (
    DeadlineError,
    MMedAgentError,
    TooLargeError,
    UnavailableError,
    UnreadableImageError,
    UnsupportedImageError,
)

Locate = Callable[[str], Path]
SaveBytes = Callable[[bytes], Path]
SaveImage = Callable[..., Path]

READY = "import os, sys, time; sys.stdout.buffer.write(b'ready\\n'); sys.stdout.flush(); sys.stdin.readline(); "
MEBIBYTE = 2**20


def program(body: str) -> tuple[str, ...]:
    return sys.executable, "-c", READY + body


def children() -> set[int]:
    """The decoder processes of this test, without their short-lived forks."""
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.parametrize("name", ["CT_small.dcm", "examples_ybr_color.dcm", "MR_small_jpeg_ls_lossless.dcm"])
async def test_a_child_gives_what_the_decoder_gives(dicom_file: Locate, name: str) -> None:
    inside, outside = await decode_untrusted(dicom_file(name)), decode_file(dicom_file(name))
    np.testing.assert_array_equal(inside.frame.pixels, outside.frame.pixels)
    assert inside.frame.meta == outside.frame.meta
    assert inside.media_type == outside.media_type
    assert len(inside.deidentified) == pytest.approx(len(outside.deidentified), abs=8), "random UIDs differ in length"
    assert inside.frame.pixels.flags.writeable


async def test_typed_errors_cross(dicom_file: Locate, picture_file: Locate, save_bytes: SaveBytes) -> None:
    refused: list[tuple[Path, type[MMedAgentError], str]] = [
        (dicom_file("MR_truncated.dcm"), UnreadableImageError, "broken or cut short"),
        (dicom_file("rtdose.dcm"), UnsupportedImageError, "not a picture"),
        (picture_file("multipage.tif"), UnsupportedImageError, "TIFF"),
        (save_bytes(b"a letter"), UnreadableImageError, "not an image"),
    ]
    async with DecoderPool(size=1) as pool:
        for path, kind, message in refused:
            with pytest.raises(kind, match=message) as caught:
                await pool.decode(path)
            assert str(path.parent) not in str(caught.value)
        assert (await pool.decode(dicom_file("CT_small.dcm"))).frame.meta.modality == "CT"


async def test_a_child_stays_warm_through_refusals(dicom_file: Locate, save_bytes: SaveBytes) -> None:
    before = children()
    async with DecoderPool(size=1) as pool:
        warm = children() - before
        await pool.decode(dicom_file("CT_small.dcm"))
        for refused in (dicom_file("MR_truncated.dcm"), save_bytes(b"a letter")):
            with pytest.raises(UnreadableImageError):
                await pool.decode(refused)
        assert children() - before == warm


async def test_closing_leaves_no_process_behind(dicom_file: Locate) -> None:
    before = children()
    async with DecoderPool(size=2) as pool:
        await pool.decode(dicom_file("CT_small.dcm"))
        assert len(children() - before) == 2
    assert children() == before


async def test_many_at_once(dicom_file: Locate) -> None:
    async with DecoderPool(size=2) as pool:
        decoded = await asyncio.gather(*(pool.decode(dicom_file("MR_small.dcm")) for _ in range(12)))
    assert {item.frame.pixels.tobytes() for item in decoded} == {decoded[0].frame.pixels.tobytes()}


async def test_slow_series_keep_nobody_from_decoding_an_image(dicom_file: Locate, save_bytes: SaveBytes) -> None:
    """Two archives that take for ever, as programs see them, and an image of somebody else."""
    archive, image = save_bytes(b"PK\3\4"), dicom_file("CT_small.dcm")
    slow = program("time.sleep(60)")
    async with DecoderPool(size=2, timeout_s=0.2, command=slow) as pool:
        series = [asyncio.create_task(pool.decode(archive, owner="first")) for _ in range(2)]
        await asyncio.sleep(0)  # both have come before the image does
        with pytest.raises(DeadlineError, match=r"0\.2 s"):
            await pool.decode(image, owner="second")
        assert not any(task.done() for task in series)
        for task in series:
            task.cancel()
        await asyncio.gather(*series, return_exceptions=True)


async def test_a_memory_bomb_is_too_large(save_image: SaveImage, dicom_file: Locate) -> None:
    bomb = save_image(Image.new("RGB", (7_000, 7_000)), "PNG", compress_level=1)
    assert bomb.stat().st_size < MEBIBYTE
    async with DecoderPool(size=1, memory_bytes=600 * MEBIBYTE) as pool:
        with pytest.raises(TooLargeError, match="memory"):
            await pool.decode(bomb)
        assert (await pool.decode(dicom_file("CT_small.dcm"))).frame.pixels.shape == (128, 128)


async def test_a_slow_image_meets_the_deadline(save_image: SaveImage, dicom_file: Locate) -> None:
    slow = save_image(Image.effect_noise((2_000, 2_000), 50), "PNG", compress_level=1)
    async with DecoderPool(size=1, timeout_s=0.01) as pool:
        before = children()
        with pytest.raises(DeadlineError, match=r"0\.01 s"):
            await pool.decode(slow)
        assert children() < before, "the process that decoded it is dead"


async def test_a_child_that_hangs_is_killed(dicom_file: Locate) -> None:
    before = children()
    deaf = program("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    async with DecoderPool(size=1, timeout_s=0.2, command=deaf) as pool:
        start = time.monotonic()
        with pytest.raises(DeadlineError):
            await pool.decode(dicom_file("CT_small.dcm"))
        assert time.monotonic() - start < 15
    assert children() == before


@pytest.mark.parametrize(
    "body",
    [
        "os.abort()",
        "sys.exit(0)",
        "sys.stdout.buffer.write(b'\\xff' * 100); sys.stdout.flush(); time.sleep(60)",
        "sys.stdout.buffer.write(b'\\0\\0\\0\\x02{}'); sys.stdout.flush(); time.sleep(60)",
        "sys.stdout.buffer.write(b'\\0\\0\\0\\x10half a message')",
    ],
)
async def test_a_child_that_crashes_or_answers_nonsense(dicom_file: Locate, body: str) -> None:
    async with DecoderPool(size=1, timeout_s=20, command=program(body)) as pool:
        for _ in range(2):
            with pytest.raises(UnreadableImageError, match="stopped its decoder"):
                await pool.decode(dicom_file("CT_small.dcm"))


async def test_a_file_that_makes_a_codec_abort(dicom_file: Locate, save_bytes: SaveBytes) -> None:
    """GDCM ends the whole process on this one changed byte of a lossless JPEG."""
    data = bytearray(dicom_file("SC_rgb_jpeg_gdcm.dcm").read_bytes())
    data[data.index(b"\xff\xd8\xff") + 17] = 66
    async with DecoderPool(size=1) as pool:
        with pytest.raises(UnreadableImageError, match="stopped its decoder"):
            await pool.decode(save_bytes(bytes(data)))
        assert (await pool.decode(dicom_file("SC_rgb_jpeg_gdcm.dcm"))).frame.pixels.shape == (100, 100, 3)


async def test_a_killed_child_is_replaced(dicom_file: Locate) -> None:
    before = children()
    async with DecoderPool(size=1) as pool:
        (victim,) = children() - before
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(UnreadableImageError):
            await pool.decode(dicom_file("CT_small.dcm"))
        assert (await pool.decode(dicom_file("CT_small.dcm"))).frame.meta.modality == "CT"


async def test_a_cancelled_decode_kills_its_child(save_image: SaveImage, dicom_file: Locate) -> None:
    slow = save_image(Image.effect_noise((2_000, 2_000), 50), "PNG", compress_level=1)
    async with DecoderPool(size=1) as pool:
        before = children()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pool.decode(slow)
        assert children() < before
        assert (await pool.decode(dicom_file("CT_small.dcm"))).frame.meta.modality == "CT"


@pytest.mark.parametrize("command", [("/nonexistent/program",), (sys.executable, "-c", "raise SystemExit(1)")])
async def test_a_decoder_that_cannot_start(command: tuple[str, ...]) -> None:
    with pytest.raises(UnavailableError):
        async with DecoderPool(size=1, command=command):
            pass


async def test_a_child_cannot_write_files_and_holds_no_secrets(dicom_file: Locate, tmp_path: Path) -> None:
    os.environ["MMEDAGENT_TEST_TOKEN"] = "secret"  # noqa: S105 (a stand-in)
    before = children()
    try:
        async with DecoderPool(size=1) as pool:
            await pool.decode(dicom_file("CT_small.dcm"))
            (pid,) = children() - before
            process = psutil.Process(pid)
            assert "MMEDAGENT_TEST_TOKEN" not in process.environ()
            assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
            assert process.rlimit(psutil.RLIMIT_AS)[0] == 2 * 2**30
    finally:
        del os.environ["MMEDAGENT_TEST_TOKEN"]
