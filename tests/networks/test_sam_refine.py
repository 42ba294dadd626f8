"""The second look at every object: windows on images, and masks that are put back where they were cut out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmedagent.networks.sam import MedSam, SamConfig, build_sam
from mmedagent.networks.sam_refine import OUTSIDE, SIDE, Windows, resampling, tight_boxes

CONFIG = SamConfig(64, 8, 32, 1, 2, 4, (0,), 32, 64, first_guess=True, refiner=(8, 16))
BOXES = np.array([[0.2, 0.3, 0.6, 0.7], [0.0, 0.0, 0.4, 1.0], [0.5, 0.5, 0.505, 0.504]], np.float32)


def disc(centre: tuple[float, float], radius: float, side: int = 256) -> torch.Tensor:
    """bool (side, side), from places in [0, 1]."""
    axis = (torch.arange(side) + 0.5) / side
    return (axis - centre[0]) ** 2 + (axis[:, None] - centre[1]) ** 2 < radius**2


@pytest.fixture(scope="module")
def network() -> MedSam:
    torch.manual_seed(0)
    return MedSam(build_sam(CONFIG), CONFIG, "")


def picture(height: int = 50, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def test_a_line_is_resampled_to_itself_and_to_means_of_its_places() -> None:
    ends = torch.tensor([0.0]), torch.tensor([1.0])
    torch.testing.assert_close(resampling(*ends, 8, 8)[0], torch.eye(8))
    ramp = torch.arange(8.0)
    halved = resampling(*ends, 8, 4)[0] @ ramp
    torch.testing.assert_close(halved[1:3], torch.tensor([2.5, 4.5]))
    doubled = resampling(*ends, 8, 16)[0] @ ramp
    torch.testing.assert_close(doubled[1:15], torch.arange(0.25, 7.0, 0.5))


def test_beyond_the_image_a_window_is_empty() -> None:
    cut = Windows(torch.tensor([[-0.5, 0.0, 0.5, 1.0]])).cut(torch.ones(1, 1, 32, 32))
    assert cut[0, 0, :, : SIDE // 2].eq(0).all()
    torch.testing.assert_close(cut[0, 0, :, SIDE // 2 :], torch.ones(SIDE, SIDE // 2))


@pytest.mark.parametrize(("centre", "radius"), [((0.5, 0.5), 0.3), ((0.1, 0.9), 0.2), ((0.3, 0.4), 0.03)])
def test_what_is_cut_out_and_put_back_is_the_same(centre: tuple[float, float], radius: float) -> None:
    truth = disc(centre, radius)
    windows = Windows.around(tight_boxes(truth[None])[0])
    back = windows.paste(windows.cut(truth[None, None].float())[:, 0] - 0.5, (256, 256))[0] > 0
    assert 2 * int((back & truth).sum()) / int(back.sum() + truth.sum()) > 0.98
    assert windows.paste(torch.zeros(1, SIDE, SIDE), (40, 60)).min() >= OUTSIDE


def test_the_box_is_at_the_same_place_in_every_window() -> None:
    boxes = torch.tensor([[0.2, 0.3, 0.6, 0.7], [0.4, 0.1, 0.5, 0.9]])
    windows = Windows.around(boxes)
    sides = windows.ends[:, 2:] - windows.ends[:, :2]
    inside = windows.ends[:, :2].repeat(1, 2) + windows.boxes() * sides.repeat(1, 2)
    torch.testing.assert_close(inside, boxes)


def test_boxes_points_and_both_are_outlined(network: MedSam) -> None:
    embedding = network.embed(picture())
    assert embedding.pixels.shape == (1, 3, 64, 64)
    point = np.array([[0.5, 0.5, 1]], np.float32)
    for boxes, points, count in ((BOXES, None, 3), (None, point, 1), (BOXES[:1], point, 1)):
        masks, scores = network.segment(embedding, (50, 80), boxes=boxes, points=points)
        assert masks.shape == (count, 50, 80)
        assert scores.shape == (count,)


def test_a_box_is_outlined_alike_alone_and_among_others(network: MedSam) -> None:
    embedding = network.embed(picture())
    together, scores = network.segment(embedding, (50, 80), boxes=BOXES)
    for place, box in enumerate(BOXES):
        alone, score = network.segment(embedding, (50, 80), boxes=box[None])
        assert (alone[0] != together[place]).mean() < 0.001
        np.testing.assert_allclose(score[0], scores[place], atol=1e-4)


def test_points_that_show_nothing_give_an_empty_mask(network: MedSam) -> None:
    embedding = network.embed(picture())
    nothing = embedding._replace(features=torch.full_like(embedding.features, torch.nan))
    masks, _ = network.segment(nothing, (50, 80), points=np.array([[0.5, 0.5, 1]], np.float32))
    assert not masks.any()
