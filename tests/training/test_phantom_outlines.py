"""Views and outlines of phantoms: places on the image are exact, and patches combine as sets do."""

import numpy as np
import pytest

from mmedagent.training.phantoms.patches import Patch, Stroke, both, fill, grown, inside, lines, minus, oval, ribbon
from mmedagent.training.phantoms.shapes import Scene, blob
from mmedagent.training.phantoms.views import View, make_view

SQUARE = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


@pytest.fixture
def plain(rng: np.random.Generator) -> View:
    return make_view(rng, 101, half=(1.0, 1.0), tilt=0.0, warp=0.0)


def area(patch: Patch) -> float:
    return float(patch.cover.sum())


def test_pixels_are_the_inverse_of_coordinates(rng: np.random.Generator) -> None:
    view = make_view(rng, 96, (0.1, -0.2), (1.1, 0.8), tilt=0.4, warp=0.06)
    rows, columns = rng.integers(0, 96, (2, 50))
    places = view.pixels(np.stack([view.x[rows, columns], view.y[rows, columns]], axis=1))
    np.testing.assert_allclose(places, np.stack([columns, rows], axis=1), atol=1e-3)


def test_a_window_holds_every_point_within_reach(rng: np.random.Generator) -> None:
    view = make_view(rng, 90, half=(1.1, 0.9), tilt=0.3)
    window = view.window((0.3, -0.2), (0.2, 0.1))
    near = (np.abs(view.x - 0.3) <= 0.2) & (np.abs(view.y + 0.2) <= 0.1)
    assert near[window].sum() == near.sum() > 0
    assert view.x[view.window((9.0, 0.0), (0.1, 0.1))].size == 0


def test_a_filled_outline_covers_its_area(plain: View) -> None:
    assert area(fill(plain, SQUARE)) == pytest.approx(50 * 50, rel=0.03)
    assert area(fill(plain, SQUARE, soft=1.0)) == pytest.approx(50 * 50, rel=0.03)
    assert area(fill(plain, grown(SQUARE, -0.2))) < 0.6 * area(fill(plain, SQUARE))


def test_an_outline_outside_the_view_covers_nothing(plain: View) -> None:
    assert area(fill(plain, SQUARE + 5)) == 0


def test_patches_combine_as_sets_do(plain: View) -> None:
    whole, half = fill(plain, SQUARE), fill(plain, SQUARE * np.array([0.5, 2], np.float32))
    assert area(both(whole, half)) + area(minus(whole, half)) == pytest.approx(area(whole), rel=1e-4)
    assert area(both(whole, fill(plain, SQUARE * 0.2 + 0.85))) == 0
    mask = np.zeros(plain.shape, np.bool_)
    mask[:50] = True
    assert area(inside(whole, mask)) == pytest.approx(0.5 * area(whole), rel=0.05)


def test_lines_and_ribbons_are_as_wide_as_they_say(plain: View) -> None:
    path = np.array([(-0.5, 0.0), (0.5, 0.0)], np.float32)
    assert area(lines(plain, [Stroke(path, 0.2)])) == pytest.approx(50 * 10, rel=0.1)
    assert area(fill(plain, ribbon([(-0.5, 0), (0, 0), (0.5, 0)], (0.2, 0.2, 0.2)))) == pytest.approx(50 * 10, rel=0.1)


def test_an_oval_and_a_blob_of_the_same_radii_agree(plain: View, rng: np.random.Generator) -> None:
    outline = area(fill(plain, oval(rng, (0.1, 0.2), (0.5, 0.3), 0.4, lumps=0.0)))
    assert outline == pytest.approx(float(blob(plain, rng, (0.1, 0.2), (0.5, 0.3), 0.4, lumps=0.0).sum()), rel=0.02)


def test_what_lies_on_a_whole_stays_part_of_it_until_it_is_hidden(plain: View) -> None:
    scene = Scene(plain, 0.0, whole=("body",))
    scene.paint(fill(plain, SQUARE), 1.0, "body")
    scene.paint(fill(plain, SQUARE * 0.5), 2.0, "organ")
    scene.paint(fill(plain, SQUARE * 0.2), 3.0, "hole", inside=("organ",))
    scene.paint(fill(plain, SQUARE * 0.1), 4.0)
    masks = scene.masks()
    assert (masks["body"] & masks["organ"]).sum() == masks["organ"].sum()
    assert {name for name, mask in masks.items() if mask[50, 50]} == {"body"}
    assert {name for name, mask in masks.items() if mask[46, 50]} == {"body", "organ", "hole"}
    scene.hide((plain.x > 0).astype(np.float32), -1.0)
    assert not any(mask[:, 52:].any() for mask in scene.masks().values())
