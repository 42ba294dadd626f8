"""Coordinates as people write them."""

from __future__ import annotations

import time

import pytest

from mmedagent.networks.planner_coordinates import bracketed
from mmedagent.networks.planner_text import read_ask_text


@pytest.mark.parametrize(
    ("said", "box"),
    [
        ("mask for bbox x1=0.12 y1=0.30 x2=0.44 y2=0.71, thx", (0.12, 0.3, 0.44, 0.71)),
        ('segment {"xmin": 10, "ymin": 20, "xmax": 50, "ymax": 60}', (0.05, 0.1, 0.25, 0.3)),
        ("x0: .1, y0: .2, x1: .5, y1: .6 please", (0.1, 0.2, 0.5, 0.6)),
        ("x=0.1 y=0.2 w=0.3 h=0.4", (0.1, 0.2, 0.4, 0.6)),
        ("left: 0.1, top: 0.2, width: 0.3, height: 0.4", (0.1, 0.2, 0.4, 0.6)),
        ("outline what is in x 0.1-0.5, y 0.2–0.6", (0.1, 0.2, 0.5, 0.6)),
        ("x from 0.1 to 0.5 and y from 0.2 to 0.6", (0.1, 0.2, 0.5, 0.6)),
        ("the box from (0.1, 0.2) to (0.5, 0.6)", (0.1, 0.2, 0.5, 0.6)),
        ("top left corner [0.1, 0.2], bottom right corner [0.5, 0.6]", (0.1, 0.2, 0.5, 0.6)),
        ("bbox: 0.1, 0.2, 0.5, 0.6", (0.1, 0.2, 0.5, 0.6)),
        ("what is in the box 20 40 100 120?", (0.1, 0.2, 0.5, 0.6)),
        ("box (0.1, 0.2), (0.5, 0.6)", (0.1, 0.2, 0.5, 0.6)),
        ("{'x': 0.1, 'y': 0.2, 'width': 0.4, 'height': 0.4}", (0.1, 0.2, 0.5, 0.6)),
        ("of 512: width=512 height=512 x1=20 y1=40 x2=100 y2=120", (0.1, 0.2, 0.5, 0.6)),
    ],
)
def test_boxes(said: str, box: tuple[float, ...]) -> None:
    ask = read_ask_text(said, (200, 200))
    assert (ask.boxes, ask.points, ask.problems) == ((box,), (), ())
    assert "[box]" in ask.text


@pytest.mark.parametrize(
    ("said", "points"),
    [
        ("seed inside: 0.61, 0.44. background: 0.70, 0.44. segment", ((0.61, 0.44, 1), (0.7, 0.44, 0))),
        ("outline what is at x=0.5, y=0.4", ((0.5, 0.4, 1),)),
        ("click 0.5, 0.25", ((0.5, 0.25, 1),)),
        ("segment x=0.3 y=0.4, x=0.5 y=0.6", ((0.3, 0.4, 1), (0.5, 0.6, 1))),
        ("segment the background (0.6, 0.7)", ((0.6, 0.7, 1),)),
        ("[0.5, 0.5], background: [0.7, 0.4], [0.8, 0.5]", ((0.5, 0.5, 1), (0.7, 0.4, 0), (0.8, 0.5, 0))),
        ("the nodules at the top left (0.2, 0.2) and (0.7, 0.8)", ((0.2, 0.2, 1), (0.7, 0.8, 1))),
        ("this [0.5, 0.5], but not the background (0.7, 0.4)", ((0.5, 0.5, 1), (0.7, 0.4, 0))),
    ],
)
def test_points(said: str, points: tuple[tuple[float, float, int], ...]) -> None:
    ask = read_ask_text(said, (200, 200))
    assert (ask.points, ask.boxes, ask.problems) == (points, (), ())


@pytest.mark.parametrize(
    "said",
    [
        "label the boxes 1, 2, 3, 4", "is box 1, 2 or 3 the larger one?", "left: 4 cm, right: 5 cm", "x=3 only",
        "the box 10, 20, 30", "95% inside, 20 outside", "tag (0018,0050)", "T1 from 2019 to 2021", "point 3",
        "x=10 y=20 z=3", "x: 10, y: 20, z: 30", "left=10, top=20, width=50, height=60%",
        "left=10 right=12 top=3 bottom=4",
        "image width: 512, height: 512, x: 100, y: 120", "ROI 35, 40, 45, 50 HU", "inside 24, 48 hours",
        "inside 0.25, 0.5 mm", "at that point 12, 14 and 16 weeks", "background 100, 200 mSv", "seed 125, 103",
        "seed 20,000 cells", "outside 10,000 patients", "box 1, 2, 3, 4 and 5", "box 2 of 4, on 12, 10, 2024",
    ],
)  # fmt: skip
def test_other_numbers_stay(said: str) -> None:
    assert bracketed(said) == said


@pytest.mark.parametrize("start", ["x", "x1=0.1", "from", "from (1, 2)", "box", "point 1,", "background ("])
@pytest.mark.parametrize("again", [" ", "x=1 ", "from (1, 2) ", "0.1 ", "1,"])
def test_long_texts_take_linear_time(start: str, again: str) -> None:
    began = time.perf_counter()
    bracketed(start + again * 20_000)
    assert time.perf_counter() - began < 5
