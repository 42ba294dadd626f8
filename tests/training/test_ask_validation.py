"""What an ask has to be, hand-written or generated, and which wordings are no new ones."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mmedagent.protocol.cards import built_in_cards, load_card
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.training.instructions.examples import examples
from mmedagent.training.instructions.export import plan_of
from mmedagent.training.instructions.validation import (
    CHARACTERS,
    FILE,
    LENGTH,
    MARKER,
    NUMBER_NOT_SAID,
    SCHEMA,
    TEXT_NOT_SAID,
    AskChecker,
)
from mmedagent.training.instructions.wordings import Wordings, hand_written
from support.asks import CARD, changed

LAD = {"vessels": ["LAD"]}


@pytest.mark.parametrize(
    ("ask", "parameters", "problem"),
    [
        ("How tight is the LAD?", LAD, None),
        ("LAD?", LAD, None),
        ("How tight is the LAD?\nLook at three frames.", {**LAD, "frames": 3}, None),
        ("By eye, how tight is the LAD?", {**LAD, "method": "visual"}, None),
        ("ok", {}, LENGTH),
        ("LAD " + "x" * 497, LAD, LENGTH),
        (" How tight is the LAD?", LAD, CHARACTERS),
        ("How tight is the LAD?\x1b[2J", LAD, CHARACTERS),
        ("How tight is the LAD\ud800?", LAD, CHARACTERS),
        ("<image>\nHow tight is the LAD?", LAD, MARKER),
        ("How tight is the LAD in the scan?", {**LAD, "image": "scan"}, FILE),
        ("How tight is the lad?", LAD, TEXT_NOT_SAID),
        ("How tight are the LADs?", LAD, TEXT_NOT_SAID),
        ("How tight is the LAD?", {"vessels": ["LAD", "RCA"]}, TEXT_NOT_SAID),
        ("How tight is the LAD?", {"vessels": [""]}, TEXT_NOT_SAID),
        ("How tight is the LAD?", {"vessels": []}, SCHEMA),
        ("How tight is it?", {}, SCHEMA),
        ("How tight is the LAD?", {"vessels": "LAD"}, SCHEMA),
        ("How tight is the LAD?", {**LAD, "method": "by eye"}, SCHEMA),
        ("How tight is the LAD?", {**LAD, "more": "LAD"}, SCHEMA),
        ("How tight is the LAD?", {**LAD, "frames": 3}, NUMBER_NOT_SAID),
        ("How tight is the LAD?", {**LAD, "frames": 10**400}, NUMBER_NOT_SAID),
        ("Look at 33 frames of the LAD.", {**LAD, "frames": 33}, SCHEMA),
    ],
)
def test_what_is_wrong_with_an_ask(ask: str, parameters: dict[str, Any], problem: str | None) -> None:
    assert AskChecker(CARD).problem(ask, parameters) == problem


@pytest.mark.parametrize(
    ("ask", "parameters", "right"),
    [
        ("Segment [0.25, 0.05, 0.75, 0.70].", {"boxes": [[0.25, 0.05, 0.75, 0.7]]}, True),
        ("Segment [0.25, 0.05, 0.75, 0.70].", {"boxes": [[0.25, 0.05, 0.75, 0.8]]}, False),
        ("What is at [0.4, 0.6]?", {"points": [[0.4, 0.6, 1]]}, True),
        ("Segment all of it.", {"boxes": [[0, 0, 1, 1]]}, False),
        ("Segment [0, 0, 1, 1].", {"boxes": [[0, 0, 1, 1]]}, True),
    ],
)
def test_coordinates_are_said_and_never_made_up(ask: str, parameters: dict[str, Any], right: bool) -> None:
    assert (AskChecker(load_card("segmentation")).problem(ask, parameters) is None) == right


def test_choices_are_found_behind_definitions_and_alternatives() -> None:
    sex = {"anyOf": [{"$ref": "#/$defs/sex"}, {"type": "null"}]}
    schema = {"type": "object", "properties": {"sex": sex}, "$defs": {"sex": {"enum": ["female", "male"]}}}
    checker = AskChecker(changed(parameters=schema))
    assert checker.problem("How old is the girl?", {"sex": "female"}) is None
    assert checker.problem("How old is the girl?", {"sex": "girl"}) == SCHEMA


def test_a_schema_elsewhere_is_not_fetched() -> None:
    checker = AskChecker(changed(parameters={"$ref": "http://127.0.0.1:9/schema.json"}))
    with pytest.raises(InvalidRequestError, match="refers to a schema"):
        checker.problem("How old is the girl?", {})


def test_hand_written_asks_pass() -> None:
    """Those of cards, and of the ask files where one call is meant; an indication may be joined from two places."""
    checkers = {card.name: AskChecker(card) for card in built_in_cards()}
    for card in built_in_cards():
        for example in card.examples:
            assert checkers[card.name].problem(example.ask, example.parameters) is None, example.ask
    random = Random(0)  # noqa: S311 - spoken coordinates
    checked = 0
    for drawn in examples("test", each=1, joined=0, seed=0, augment=False):
        spoken = drawn.spoken(random)
        actions = plan_of(drawn, spoken).actions
        if len(actions) == 1 and "; " not in str(actions[0].API_params):
            problem = checkers[actions[0].API_name].problem(spoken.strip(), actions[0].API_params)
            assert problem is None, spoken
            checked += 1
    assert checked > 300


@pytest.mark.parametrize(
    ("ask", "held"),
    [
        ("where is the LIVER", True),
        ("Where is the left anterior descending artery?", True),
        ("Could you tell me where the liver ends?", False),
        ("Segment the thing at [0.2, 0.3, 0.4, 0.5]", True),
        ("Segment the thing", True),
        ("Ask the whole panel whether this is benign", True),
        ("Ask the nurse", False),
        ("Please mask the long thing that crosses the picture", False),
        ("Mask spleen", True),
        ("Cut out the LAD by hand", True),
        ("Cut out the right coronary artery by hand", True),
    ],
)
def test_a_wording_with_other_names_is_no_new_one(ask: str, held: bool) -> None:
    known = Wordings()
    for words in (
        "Where is the <{structure}>?",
        "Segment the thing{input_box}",
        "Segment the thing",
        "Mask <{lesion}>",
    ):
        known.add_markup(words.replace("{input_box}", " at {box}"))
    known.add_markup("Ask the whole panel «{consult}»")
    known.add_markup("Ask «{consult}»")
    known.add_example("Cut out the mid RCA by hand.", ["mid RCA"])
    assert known.holds(ask) == held


def test_wordings_of_every_share_are_known() -> None:
    random = Random(0)  # noqa: S311 - spoken coordinates
    drawn = [
        example.spoken(random)
        for share in ("calibration", "test")
        for example in examples(share, each=1, joined=0, seed=1, augment=False)
    ]
    assert sum(map(hand_written().holds, drawn)) / len(drawn) > 0.98
