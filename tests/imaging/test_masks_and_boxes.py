"""Masks, areas and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedagent.imaging.boxes import clip_box, from_pixels, pixel_window, to_pixels, validate_box
from mmedagent.imaging.masks import area_mm2, area_px, decode_mask, encode_mask, mask_box
from mmedagent.imaging.png import decode_frame, encode_frame
from mmedagent.protocol.errors import InvalidParametersError, TooLargeError, UnreadableImageError

sides = st.integers(1, 70)
unit = st.floats(0, 1)


@given(rows=sides, columns=sides, seed=st.integers(0, 9))
def test_a_mask_survives_its_png(rows: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.3
    encoded = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(encoded), mask)
    assert decode_mask(encoded).dtype == np.bool_


def test_a_mask_takes_one_bit_a_pixel() -> None:
    noise = np.random.default_rng(0).random((512, 512)) < 0.5
    assert len(encode_mask(noise)) < 512 * 512 / 8 * 1.02


@given(rows=sides, columns=sides, channels=st.sampled_from([(), (3,)]), seed=st.integers(0, 9))
def test_a_frame_survives_its_png(rows: int, columns: int, channels: tuple[int, ...], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, *channels), dtype=np.uint8)
    np.testing.assert_array_equal(decode_frame(encode_frame(pixels)), pixels)


def test_a_frame_that_is_a_view_survives_too() -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(10, 20, 3).astype(np.uint8)[::2, ::-1]
    np.testing.assert_array_equal(decode_frame(encode_frame(pixels)), pixels)


def test_a_frame_is_no_mask_and_a_mask_is_no_frame() -> None:
    with pytest.raises(UnreadableImageError, match="1-bit"):
        decode_mask(encode_frame(np.zeros((3, 3), np.uint8)))
    with pytest.raises(UnreadableImageError, match="8-bit"):
        decode_frame(encode_mask(np.zeros((3, 3), np.bool_)))


@pytest.mark.parametrize("data", [b"", b"nonsense", encode_frame(np.zeros((40, 40), np.uint8))[:60]])
def test_other_bytes_are_neither(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        decode_mask(data)
    with pytest.raises(UnreadableImageError):
        decode_frame(data)


def test_a_mask_over_the_limit() -> None:
    with pytest.raises(TooLargeError):
        decode_mask(encode_mask(np.zeros((8_100, 8_100), np.bool_)))


def test_areas() -> None:
    mask = np.zeros((10, 20), np.bool_)
    mask[2:5, 4:14] = True
    assert area_px(mask) == 30
    assert area_mm2(mask, (0.5, 0.25)) == pytest.approx(3.75)
    assert area_mm2(mask, None) is None
    assert area_mm2(~np.ones((3, 3), np.bool_), (1.0, 1.0)) == 0.0
    assert mask_box(mask) == (0.2, 0.2, 0.7, 0.5)
    assert mask_box(np.zeros((3, 3), np.bool_)) is None
    assert mask_box(np.ones((1, 1), np.bool_)) == (0.0, 0.0, 1.0, 1.0)


def test_boxes_in_pixels_and_back() -> None:
    box = (0.25, 0.1, 0.75, 0.9)
    assert to_pixels(box, 200, 100) == (50.0, 10.0, 150.0, 90.0)
    assert from_pixels(to_pixels(box, 200, 100), 200, 100) == pytest.approx(box)
    assert from_pixels((-50, -1, 100, 50), 200, 100) == (0.0, 0.0, 0.5, 0.5)
    assert clip_box((1.2, 0.0, 1.5, 0.5)) is None
    with pytest.raises(InvalidParametersError, match="outside"):
        from_pixels((300, 0, 400, 50), 200, 100)


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0.1, 0.2, 0.3],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0.5, 0.2, 0.5, 0.4],
        [0.1, 0.4, 0.5, 0.2],
        [-0.1, 0.2, 0.3, 0.4],
        [0.1, 0.2, 1.3, 0.4],
        [0.1, 0.2, float("nan"), 0.4],
        [0.1, 0.2, float("inf"), 0.4],
    ],
)
def test_what_is_no_box(numbers: list[float]) -> None:
    with pytest.raises(InvalidParametersError):
        validate_box(numbers)


@given(x=st.tuples(unit, unit), y=st.tuples(unit, unit), width=sides, height=sides)
def test_the_pixels_of_a_box(x: tuple[float, float], y: tuple[float, float], width: int, height: int) -> None:
    (x1, x2), (y1, y2) = sorted(x), sorted(y)
    if x1 == x2 or y1 == y2:
        with pytest.raises(InvalidParametersError):
            validate_box((x1, y1, x2, y2))
        return
    rows, columns = pixel_window(validate_box((x1, y1, x2, y2)), width, height)
    touched = np.zeros((height, width), np.bool_)
    touched[rows, columns] = True
    found = mask_box(touched)
    assert found is not None
    assert found[0] <= x1 + 1e-9
    assert found[1] <= y1 + 1e-9
    assert found[2] >= x2 - 1e-9
    assert found[3] >= y2 - 1e-9
