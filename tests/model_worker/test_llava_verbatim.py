"""A planner that copies: names are stretches of the user's words, numbers in an answer are numbers that are there."""

import re

import pytest

from mmedagent.model_worker.llava.numbers import numbers_known, text_with
from mmedagent.model_worker.llava.schema import narrowed
from mmedagent.model_worker.llava.spans import SpanPatterns
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.types import JsonObject

ASK = 'CT this morning: find the 3.2 cm right upper-lobe nodule, the "hilar" nodes\nand $1.boxes please?'
RESULT: JsonObject = {"scores": [0.8312], "area": 1906.34, "phrases": ["T2 lesion"], "sha256": "12" * 32, "found": True}


def pattern(tool: str, *path: str) -> str:
    schema = SpanPatterns([ASK]).within(narrowed(load_card(tool).parameters))
    for key in path:
        schema = schema[key]
    found: str = schema["pattern"]
    return found


@pytest.mark.parametrize(
    "name", ["3.2 cm right upper-lobe nodule", "hilar", "nodes", "CT", 'the "hilar" nodes', "please?"]
)
def test_any_stretch_of_whole_words_is_a_name(name: str) -> None:
    assert re.fullmatch(pattern("grounding", "properties", "prompts", "items"), name)


@pytest.mark.parametrize(
    "name", ["liver", "nod", "nodule nodes", "", "$1.boxes", "nodes\nand", " nodes", "right  upper"]
)
def test_nothing_else_is_a_name(name: str) -> None:
    assert not re.fullmatch(pattern("grounding", "properties", "prompts", "items"), name)


def test_a_passage_may_be_a_whole_line_and_a_name_may_not_be_that_long() -> None:
    line = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    spans = SpanPatterns([line])
    query = spans.within(narrowed(load_card("retrieval").parameters))["properties"]["query"]["pattern"]
    prompts = spans.within(narrowed(load_card("grounding").parameters))["properties"]["prompts"]["items"]["pattern"]
    assert re.fullmatch(query, line)
    assert not re.fullmatch(prompts, line)


def test_choices_and_numbers_stay_as_they_are() -> None:
    before = narrowed(load_card("classification").parameters)
    after = SpanPatterns([ASK]).within(before)
    assert after["properties"]["task"] == before["properties"]["task"]
    assert SpanPatterns([""]).within(before) == before


@pytest.mark.parametrize(
    "text",
    [
        "It was found with a score of 0.83. [1]", "83 % sure, 83.1 % to be exact", "1,906 mm², that is 1906.3",
        "T2 [1]", "no number at all", "", "About 1906 mm² [1].",
    ],
)  # fmt: skip
def test_numbers_that_are_there_may_be_rounded_and_grouped(text: str) -> None:
    assert re.fullmatch(text_with(numbers_known([], [RESULT], 1)), text)


@pytest.mark.parametrize("text", ["a score of 0.84", "12 mm", "1906.345", "0.83.1", "[3]", "T7", "0.8383"])
def test_other_numbers_may_not_be_written(text: str) -> None:
    assert not re.fullmatch(text_with(numbers_known([], [RESULT], 1)), text)


def test_without_results_and_words_there_are_no_numbers() -> None:
    assert re.fullmatch(text_with([]), "nothing")
    assert not re.fullmatch(text_with([]), "1")
