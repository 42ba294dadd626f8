"""Explicit coordinates and the words around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedagent.networks.planner_parts import Part, merged, plan_parts, without_joints
from mmedagent.networks.planner_text import AskText, read_ask_text, words_of


@pytest.mark.parametrize(
    "text",
    [
        "box [0.1, 0.2, 0.5, 0.6] please",
        "box (0.1 0.2 0.5 0.6)",
        "[.1;.2;.5;.6]",
        "what is this\nInput box: [0.1, 0.2, 0.5, 0.6]",
        "input box:[0.10,0.20,0.50,0.60]",
        "boxes [[0.1, 0.2, 0.5, 0.6]]",
        "and in pixels: [10, 40, 50, 120]",
    ],
)
def test_boxes_are_read_in_every_spelling(text: str) -> None:
    ask = read_ask_text(text, (100, 200))
    assert ask.boxes == ((0.1, 0.2, 0.5, 0.6),)
    assert "[box]" in ask.text
    assert "0" not in ask.text


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("at [0.4, 0.6]", (0.4, 0.6, 1)),
        ("at (0.4, 0.6, 0)", (0.4, 0.6, 0)),
        ("here\nInput point: [0.4, 0.6, 1]", (0.4, 0.6, 1)),
    ],
)
def test_points_are_inside_unless_said_otherwise(text: str, point: tuple[float, float, int]) -> None:
    assert read_ask_text(text).points == (point,)


@pytest.mark.parametrize(
    "text",
    ["[0.5, 0.1, 0.2, 0.6]", "[-0.1, 0.1, 0.2, 0.6]", "[10, 10, 90, 90]", "[0.1, 0.2, 0.1, 0.4]", "[0.1, 0.2, 0.5]"],
)
def test_coordinates_that_cannot_be_used_are_named(text: str) -> None:
    ask = read_ask_text(text)
    assert not ask.has_coordinates
    assert text in ask.problems[0]


def test_pixels_outside_the_frame_are_a_problem() -> None:
    assert "128 x 100" in read_ask_text("[10, 10, 140, 90]", (128, 100)).problems[0]


@pytest.mark.parametrize(
    "text", ["[1]", "see [1, 2, 3, 4, 5]", "1, 2, 3, 4", "[a, b]", "", "[0.1, 0.2", "tag (0018,0050)", "(2050,0020)"]
)
def test_other_numbers_are_left_alone(text: str) -> None:
    ask = read_ask_text(text)
    assert ask == AskText(text)


def test_a_threshold_is_read() -> None:
    assert read_ask_text("find cells with a threshold of 0.45.").threshold == 0.45
    assert read_ask_text("find cells with a threshold of 45").threshold is None


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    ask = read_ask_text(text, (64, 64))
    for start, end in words_of(ask.text):
        assert ask.text[start:end].strip() == ask.text[start:end]


@pytest.mark.parametrize(
    ("words", "bare"),
    [
        (", and what is gout?", "what is gout?"),
        ("what is gout, and", "what is gout"),
        ("Then, also look up gout [box]", "look up gout"),
        ("and", "and"),
    ],
)
def test_joints_are_taken_off(words: str, bare: str) -> None:
    assert without_joints(words) == bare


def test_neighbours_with_the_same_outcome_are_one_part() -> None:
    parts = (Part("retrieval", "What is gout?"), Part("retrieval", "Is it bad?", confidence=0.5))
    assert merged(parts) == (Part("retrieval", "What is gout? Is it bad?", confidence=0.5),)


def test_a_segmentation_takes_the_boxes_of_the_grounding_before_it() -> None:
    parts = (
        Part("classification", "?", task="modality"),
        Part("grounding", "?", ("the liver",)),
        Part("segmentation", "?"),
    )
    tools = {"classification", "grounding", "segmentation"}
    actions = [planned.action for planned in plan_parts(parts, AskText("?"), tools)]
    assert [action.API_params for action in actions if action] == [
        {"task": "modality"},
        {"prompts": ["liver"]},
        {"boxes": "$2.boxes"},
    ]


def test_a_part_without_its_name_has_no_action() -> None:
    planned = plan_parts((Part("grounding", "where"),), AskText("where"), {"grounding"})
    assert planned[0].action is None
    assert planned[0].missing
