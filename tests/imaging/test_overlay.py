"""Overlays: what is drawn, where, and that it can be seen."""

from __future__ import annotations

import numpy as np
import pytest

from mmedagent.imaging.overlay import COLOURS, render_overlay
from mmedagent.imaging.png import decode_frame
from mmedagent.protocol.errors import InvalidParametersError


def gray(rows: int, columns: int, level: int = 90) -> np.ndarray:
    return np.full((rows, columns), level, np.uint8)


def test_small_frames_are_enlarged_by_a_whole_factor() -> None:
    assert decode_frame(render_overlay(gray(128, 128))).shape == (512, 512, 3)
    assert decode_frame(render_overlay(gray(100, 60))).shape == (600, 360, 3)
    assert decode_frame(render_overlay(gray(600, 700))).shape == (600, 700, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_the_smallest_frames(shape: tuple[int, int]) -> None:
    mask = np.ones(shape, np.bool_)
    picture = decode_frame(render_overlay(gray(*shape), boxes=[(0, 0, 1, 1)], masks=[mask], labels=["all of it"]))
    assert max(picture.shape) >= 512


def test_without_anything_to_draw_the_frame_is_shown_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (520, 530, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_frame(render_overlay(pixels)), pixels)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_mask_has_a_solid_contour_and_lets_the_picture_through(level: int) -> None:
    mask = np.zeros((600, 600), np.bool_)
    mask[200:400, 200:400] = True
    picture = decode_frame(render_overlay(gray(600, 600, level), masks=[mask])).astype(int)
    assert (picture[200:202, 200:400] == COLOURS[0]).all()
    assert (picture[199, 200:400] == 0).all(), "a dark hairline outside sets it off from bright pictures"
    inside = picture[300, 300]
    assert 0 < np.abs(inside - level).max() < 100
    assert (picture[100, 100] == level).all()


def test_boxes_are_drawn_where_they_are() -> None:
    picture = decode_frame(render_overlay(gray(600, 600), boxes=[(0.25, 0.5, 0.75, 1.0)]))
    coloured = (picture == COLOURS[0]).all(axis=2)
    rows, columns = np.nonzero(coloured)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (150, 300, 449, 599)
    assert not coloured[400, 300]


def test_objects_have_different_colours() -> None:
    boxes = [(0.1 * k, 0.1, 0.1 * k + 0.08, 0.9) for k in range(9)]
    picture = decode_frame(render_overlay(gray(600, 600), boxes=boxes))
    for colour in COLOURS:
        assert (picture == colour).all(axis=2).any()


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.1, 0.1), (0.9, 0.9, 1.0, 1.0), (0.4, 0.4, 0.6, 0.6)])
@pytest.mark.parametrize("level", [0, 255])
def test_a_label_is_readable_at_every_place(box: tuple[float, float, float, float], level: int) -> None:
    plain = decode_frame(render_overlay(gray(600, 600, level), boxes=[box])).astype(int)
    named = decode_frame(render_overlay(gray(600, 600, level), boxes=[box], labels=["opacity 0.87"])).astype(int)
    changed = np.abs(plain - named).max(axis=2) > 60
    rows, columns = np.nonzero(changed)
    assert columns.max() - columns.min() > 60
    assert rows.max() - rows.min() > 8


def test_labels_of_masks_long_labels_and_missing_ones() -> None:
    mask = np.zeros((600, 600), np.bool_)
    mask[300:320, 300:320] = True
    labels = ["x" * 10_000, "", "nothing belongs to this one"]
    named = decode_frame(render_overlay(gray(600, 600), masks=[mask, np.zeros_like(mask)], labels=labels))
    plain = decode_frame(render_overlay(gray(600, 600), masks=[mask]))
    assert (named != plain).any()


def test_a_mask_of_another_size() -> None:
    with pytest.raises(InvalidParametersError, match="another size"):
        render_overlay(gray(10, 10), masks=[np.zeros((10, 11), np.bool_)])
