"""The built-in tool cards keep their own promises."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import BUILT_IN, built_in_cards, load_card

CARDS = built_in_cards()
EVERY_CARD = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def test_there_are_seven_and_each_is_named_by_its_file() -> None:
    assert tuple(card.name for card in CARDS) == BUILT_IN
    assert len(BUILT_IN) == 7
    with pytest.raises(KeyError):
        load_card("../errors")


def test_no_two_tools_answer_to_one_name() -> None:
    for name in [name for card in CARDS for name in (card.name, *card.aliases)]:
        assert len([card for card in CARDS if card.answers_to(f" {name.upper()} ")]) == 1


@EVERY_CARD
def test_the_schemas_are_valid_and_closed(card: ToolCard) -> None:
    for schema in (card.parameters, card.result):
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert set(schema.get("required", ())) <= set(schema["properties"])


@EVERY_CARD
def test_every_example_fits_the_parameters(card: ToolCard) -> None:
    validator = Draft202012Validator(card.parameters)
    assert card.examples
    for example in card.examples:
        errors = [error.message for error in validator.iter_errors(example.parameters)]
        assert errors == [], example.ask
        assert "image" not in example.parameters


@EVERY_CARD
def test_parameters_have_bounds(card: ToolCard) -> None:
    for name, shape in card.parameters["properties"].items():
        if shape.get("type") == "string":
            assert {"maxLength", "pattern", "enum"} & shape.keys(), name
        if shape.get("type") == "array":
            assert "maxItems" in shape, name
        if shape.get("type") in ("number", "integer"):
            assert {"minimum", "maximum"} <= shape.keys(), name


@EVERY_CARD
def test_image_tools_take_a_file_and_a_slice(card: ToolCard) -> None:
    for name in ("image", "slice"):
        assert name in card.parameters["properties"] or not card.needs_image
