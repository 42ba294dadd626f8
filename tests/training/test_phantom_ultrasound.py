"""Ultrasound phantoms: names and views, shadows behind stones, speckle wider than deep, screens of every kind."""

import numpy as np
import pytest

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.phantoms.finish import between
from mmedagent.training.phantoms.shapes import Scene, blob, make_view
from mmedagent.training.phantoms.ultrasound_scan import (
    Body,
    Look,
    beams,
    make_probe,
    scan_converted,
    speckled,
)

FULL = (0.0, 0.0, 1.0, 1.0)
LOOK = Look(axial=0.8, lateral=2.0, level=0.5, span=5.0, floor=0.0, smooth=0.0)


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [generate("ultrasound", np.random.default_rng([31, index]), 96) for index in range(100)]


def tissue(level: float = 0.3) -> Body:
    rng = np.random.default_rng(0)
    return Body(rng, Scene(make_view(rng, 128, (0, 0), (1, 1), tilt=0.0, warp=0.0), level))


def test_body_parts_views_and_structures_vary(phantoms: list[Phantom]) -> None:
    names = {name for phantom in phantoms for name in phantom.masks}
    assert {"left ventricle", "liver", "kidney", "thyroid", "cyst", "stone", "vessels", "colour flow"} <= names
    assert {"heart", "abdomen", "neck", "fetus", "soft tissue"} <= {phantom.anatomy for phantom in phantoms}
    assert {"apical", "parasternal", ""} <= {phantom.view for phantom in phantoms}
    assert all(len(phantom.masks) <= 30 for phantom in phantoms)


def test_screens_are_dark_and_bright_grey_and_coloured_wide_and_narrow(phantoms: list[Phantom]) -> None:
    lit = [float((phantom.image > 20).mean()) for phantom in phantoms]
    assert min(lit) < 0.2
    assert max(lit) > 0.85
    assert 20 <= sum(phantom.image.ndim == 3 for phantom in phantoms) <= 85


def test_masks_lie_where_the_probe_sees(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert all(mask.mean() < 0.95 for mask in phantom.masks.values())


def behind(loss: float) -> float:
    """Mean grey below a spot that takes `loss`; everything else is equal from call to call."""
    body = tissue()
    spot = blob(body.scene.view, np.random.default_rng(1), (0, -0.3), (0.2, 0.1), lumps=0.0)
    body.block(spot, loss)
    rng = np.random.default_rng(2)
    probe = make_probe(rng, 128, "full", FULL)
    return float(scan_converted(speckled(rng, beams(body, probe), LOOK), probe)[70:, 58:70].mean())


def test_behind_a_stone_it_is_dark_and_behind_fluid_bright() -> None:
    assert behind(60.0) < behind(0.0) - 0.25
    assert behind(-4.0) > behind(0.0) + 0.03


def test_speckle_is_wider_than_deep_and_spreads_with_depth_in_a_sector() -> None:
    body = tissue()
    probe = make_probe(body.rng, 128, "sector", FULL)
    grey = scan_converted(speckled(body.rng, beams(body, probe), LOOK), probe)
    middle = grey[60:110, 50:78]
    middle = middle - middle.mean()
    across, down = ((middle * np.roll(middle, 2, axis)).mean() for axis in (1, 0))
    assert across > 1.5 * down
    steps = [np.abs(np.diff(grey[rows, 56:72], axis=1)).mean() for rows in (slice(30, 45), slice(95, 110))]
    assert steps[0] > steps[1]


def test_every_probe_fills_its_box_and_no_more() -> None:
    rng = np.random.default_rng(4)
    for shape in ("sector", "curved", "linear", "trapezoid") * 5:
        box = (between(rng, 0, 0.3), between(rng, 0, 0.2), between(rng, 0.7, 1), between(rng, 0.8, 1))
        seen = make_probe(rng, 128, shape, box).seen
        rows, columns = np.nonzero(seen)
        assert seen.mean() > 0.12
        assert columns.min() >= box[0] * 128 - 2
        assert columns.max() <= box[2] * 128 + 2
        assert rows.min() >= box[1] * 128 - 2
        assert rows.max() <= box[3] * 128 + 2
