"""Real images of packages, the marks on them, and pictures that are not medical."""

from __future__ import annotations

import re
from collections import Counter

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from mmedagent.evaluation.real_images.drawn import drawn_images
from mmedagent.evaluation.real_images.frames import load_frame, source_path
from mmedagent.evaluation.real_images.marked import MarkedObject, load_marked_objects
from mmedagent.evaluation.real_images.registry import MedicalImage, OtherImage, load_registry
from mmedagent.protocol.errors import InvalidRequestError

REGISTRY, MARKS = load_registry(), load_marked_objects()
ROWS: tuple[MedicalImage | OtherImage, ...] = (*REGISTRY.medical, *REGISTRY.other)


def _name(row: MedicalImage | OtherImage) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_every_image_is_there_and_decodes(row: MedicalImage | OtherImage) -> None:
    pixels = load_frame(row.source)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2 or pixels.shape[2] == 3
    assert pixels.max() > pixels.min()


def test_names_are_unique_and_halves_are_about_equal() -> None:
    assert max(Counter(row.name for row in ROWS).values()) == 1
    for rows in (REGISTRY.medical, REGISTRY.other):
        counts = Counter(row.split for row in rows)
        assert min(counts.values()) >= 0.4 * len(rows)


def test_no_file_is_in_both_halves() -> None:
    halves = {split: {row.source.sha256 for row in ROWS if row.split == split} for split in ("development", "final")}
    assert not halves["development"] & halves["final"]


def test_another_file_than_the_registered_one_is_refused() -> None:
    source = REGISTRY.medical[0].source
    with pytest.raises(InvalidRequestError, match=r"has another CT_small\.dcm"):
        source_path(source.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(InvalidRequestError, match="extra `dev`"):
        source_path(source.model_copy(update={"package": "no_such_package"}))


def test_volumes_are_stored_as_their_frames_assume() -> None:
    volumes = [row.source for row in REGISTRY.medical if row.source.form == "nifti"]
    assert {nibabel.aff2axcodes(nibabel.load(source_path(source)).affine) for source in volumes} == {("L", "A", "S")}
    assert load_frame(REGISTRY.medical_named("example4d_12").source).shape == (96, 128)
    with pytest.raises(KeyError):
        REGISTRY.medical_named("example4d_99")


def test_marks_are_many_and_in_both_halves() -> None:
    halves = Counter(REGISTRY.medical_named(row.image).split for row in MARKS.objects)
    assert halves["development"] >= 5
    assert halves["final"] >= 5
    assert len({row.image for row in MARKS.objects}) >= 6
    assert re.search("by eye .* before any model had run", MARKS.how)


@pytest.mark.parametrize("row", MARKS.objects, ids=lambda row: f"{row.image}-{row.name}")
def test_marks_follow_edges_of_their_image(row: MarkedObject) -> None:
    pixels = load_frame(REGISTRY.medical_named(row.image).source)
    height, width = pixels.shape[:2]
    mask = row.mask(height, width)
    assert 50 < mask.sum() < 0.6 * mask.size

    here = _edge_strength(pixels, mask)
    moved = [_edge_strength(pixels, np.roll(mask, shift, axis)) for axis in (0, 1) for shift in (-8, 8)]
    assert here > 1.1 * float(np.mean(moved))


def _edge_strength(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Mean brightness gradient under the outline of a mask."""
    gray = pixels.astype(np.float64) if pixels.ndim == 2 else pixels.astype(np.float64).mean(axis=2)
    outline = mask ^ ndimage.binary_erosion(mask)
    return float(ndimage.gaussian_gradient_magnitude(gray, 1.0)[outline].mean())


def test_polygons_are_filled_at_pixel_centres_and_a_polygon_inside_is_a_hole() -> None:
    square = ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 5.0))
    hole = ((2.0, 2.0), (4.0, 2.0), (4.0, 4.0), (2.0, 4.0))
    mask = MarkedObject(image="x", name="ring", note="", polygons=(square, hole)).mask(6, 7)
    expected = np.zeros((6, 7), np.bool_)
    expected[1:5, 1:5] = True
    expected[2:4, 2:4] = False
    np.testing.assert_array_equal(mask, expected)


def test_pictures_that_are_not_medical_are_at_least_forty() -> None:
    drawn = list(drawn_images())
    assert len(drawn) + len(REGISTRY.other) >= 40
    counts = Counter(picture.split for picture in drawn)
    assert counts["development"] == counts["final"]
    for picture, again in zip(drawn, drawn_images(), strict=True):
        assert picture.pixels.dtype == np.uint8
        np.testing.assert_array_equal(picture.pixels, again.pixels)
