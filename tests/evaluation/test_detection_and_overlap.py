"""Average precision, Dice, boxes and baselines, on values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mmedagent.evaluation.tool_quality.cases import Box, pieces
from mmedagent.evaluation.tool_quality.detection import Detections, Ranking, iou
from mmedagent.evaluation.tool_quality.overlap import box_of, dice, ellipse, grabcut, loosened

LEFT: Box = (0.0, 0.0, 0.4, 0.4)
RIGHT: Box = (0.6, 0.6, 1.0, 1.0)
ELSEWHERE: Box = (0.0, 0.6, 0.3, 0.9)


def test_iou_of_boxes() -> None:
    assert iou(LEFT, LEFT) == pytest.approx(1.0)
    assert iou(LEFT, RIGHT) == 0.0
    assert iou((0, 0, 0.2, 0.2), (0.1, 0, 0.3, 0.2)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0.9, LEFT), (0.8, RIGHT)], 1.0),
        ([(0.9, LEFT)], 0.5),
        ([(0.9, LEFT), (0.8, ELSEWHERE), (0.7, RIGHT)], 0.5 + 0.5 * 2 / 3),
        ([(0.9, ELSEWHERE), (0.8, LEFT), (0.7, RIGHT)], 2 / 3),
        ([(0.9, LEFT), (0.8, LEFT)], 0.5),
        ([], 0.0),
    ],
)
def test_average_precision(found: list[tuple[float, Box]], expected: float) -> None:
    ranking = Ranking()
    ranking.add(Detections([box for _, box in found], [score for score, _ in found], [LEFT, RIGHT]))
    assert ranking.average_precision() == pytest.approx(expected)


def test_average_precision_ranks_over_images_and_leaves_ignored_boxes_out() -> None:
    ranking = Ranking()
    assert ranking.average_precision() is None
    ranking.add(Detections([ELSEWHERE], [0.95], [], ignored=[ELSEWHERE]))
    ranking.add(Detections([LEFT], [0.5], [LEFT]))
    ranking.add(Detections([RIGHT], [0.7], []))
    assert ranking.average_precision() == pytest.approx(0.5)


def test_pieces_are_connected_and_small_ones_are_left_out() -> None:
    mask = np.zeros((20, 40), np.bool_)
    mask[2:10, 4:12], mask[14, 30:33], mask[12:18, 20:28] = True, True, True
    found = list(pieces("kidney", mask))
    assert [piece.area for piece in found] == [64, 48]
    assert found[0].box == pytest.approx((0.1, 0.1, 0.3, 0.5))
    assert found[0].alone
    assert found[0].mask.sum() == 64


def test_a_piece_within_the_box_of_another_makes_it_not_alone() -> None:
    mask = np.zeros((30, 30), np.bool_)
    mask[2:28, 2:28] = True
    mask[5:25, 5:25] = False
    mask[10:20, 10:20] = True
    assert [piece.alone for piece in pieces("ring", mask)] == [False, True]


def test_dice_of_masks() -> None:
    first, second = np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.bool_)
    assert dice(first, second) == 1.0
    first[:2], second[1:3] = True, True
    assert dice(first, second) == pytest.approx(0.5)
    assert box_of(first) == (0.0, 0.0, 1.0, 0.5)


def test_loose_boxes_stay_near_and_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        box = loosened((0.0, 0.2, 0.5, 0.6), rng)
        assert np.abs(np.array(box) - (0.0, 0.2, 0.5, 0.6)).max() <= 0.05
        assert min(box) >= 0


def test_the_ellipse_has_the_area_of_an_ellipse() -> None:
    mask = ellipse((0.1, 0.2, 0.9, 0.7), 200, 300)
    assert mask.mean() == pytest.approx(np.pi / 4 * 0.8 * 0.5, rel=0.01)
    assert box_of(mask) == pytest.approx((0.1, 0.2, 0.9, 0.7), abs=0.02)


@pytest.mark.parametrize("colour", [False, True])
def test_grabcut_finds_a_bright_square_in_a_loose_box(colour: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 40, (60, 60), np.uint8)
    pixels[20:40, 15:45] += 180
    truth = np.zeros((60, 60), np.bool_)
    truth[20:40, 15:45] = True
    shown = np.repeat(pixels[..., None], 3, axis=2) if colour else pixels
    assert dice(grabcut(shown, (0.15, 0.2, 0.85, 0.8)), truth) > 0.95


def test_grabcut_fills_the_box_where_nothing_is_outside() -> None:
    assert grabcut(np.zeros((20, 20), np.uint8), (0.0, 0.0, 1.0, 1.0)).all()
