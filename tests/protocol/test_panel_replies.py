"""Replies of the panel: their form, and which option an answer names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedagent.protocol.consultation import (
    LETTERS,
    Reply,
    chosen_option,
    format_reply,
    label,
    normalised,
    read_reply,
    salvage_reply,
    without_labels,
)

FINDINGS = ("pneumonia", "pleural effusion", "normal", "viral pneumonia")
GERMS = ("S. aureus", "C. difficile", "E. coli", "none of these", "P. aeruginosa")
NUMBERS = ("1.5 cm", "5 cm", "3", "B cell lymphoma")
WORDS = st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=["Cs"]), max_size=60).map(str.strip)


@settings(max_examples=50, deadline=None)
@given(WORDS, WORDS.filter(bool))
def test_a_reply_in_the_form_is_read_back(rationale: str, answer: str) -> None:
    assert read_reply(format_reply(Reply(rationale, answer))) == (rationale, answer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "<answer>B</answer>",
        "<think>why</think>",
        "<think>why</think><answer> </answer>",
        "<answer>B</answer><think>why</think>",
        "Sure! <think>why</think><answer>B</answer>",
        "<think>why</think><answer>B</answer> I hope this helps.",
        "<think>why</think> so <answer>B</answer>",
        "<think>why</think><answer>A</answer><answer>B</answer>",
        "<think>a <answer>A</answer></think><answer>B</answer>",
        "<think><think>why</think></think><answer>B</answer>",
        "<THINK>why</THINK><ANSWER>B</ANSWER>",
        f"<think>{'a' * 20_000}</think><answer>B</answer>",
    ],
)
def test_what_is_not_in_the_form_is_no_reply(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("B", ("", "B")),
        ("<think>why</think> B", ("why", "B")),
        ("Well. <answer>B</answer>", ("Well.", "B")),
        ("<think>why</think><answer>B", ("why", "B")),
        ("<answer>A</answer> or <answer>B</answer>", ("", "A  or  B")),
        ("", ("", "")),
    ],
)
def test_a_careless_reply_can_be_salvaged(text: str, reply: tuple[str, str]) -> None:
    found = salvage_reply(text)
    assert (found.rationale, found.answer.replace("   ", "  ")) == reply


@pytest.mark.parametrize(
    ("answer", "options", "chosen"),
    [
        # letters
        ("A", FINDINGS, 0),
        ("b", FINDINGS, 1),
        ("(C)", FINDINGS, 2),
        ("**D.**", FINDINGS, 3),
        ("B. pleural effusion", FINDINGS, 1),
        ("b) pleural effusion", FINDINGS, 1),
        ("B: fluid at the base", FINDINGS, 1),
        ("B. The base is blunted", FINDINGS, 1),
        ("B, because the base is blunted", FINDINGS, 1),
        ("B - fluid", FINDINGS, 1),
        ("The answer is B.", FINDINGS, 1),
        ("the answer is a", FINDINGS, 0),
        ("I would choose A because of the shadow", FINDINGS, 0),
        ("Option C fits best", FINDINGS, 2),
        ("A is correct", FINDINGS, 0),
        ("It is the fluid (B)", FINDINGS, 1),
        # texts
        ("Pleural  Effusion.", FINDINGS, 1),
        ("the pneumonia", FINDINGS, 0),
        ("This looks like a viral pneumonia", FINDINGS, 3),
        ("effusion of the pleural space", FINDINGS, None),
        ("There is a pleural effusion, not pneumonia", FINDINGS, 1),
        ("Rather than pneumonia, a pleural effusion", FINDINGS, 1),
        ("1.5 cm", NUMBERS, 0),
        ("It measures 1.5 cm across", NUMBERS, 0),
        ("It measures 11.5 cm across", NUMBERS, None),
        ("There are 3 lesions", NUMBERS, 2),
        ("The answer is B cell lymphoma", NUMBERS, 3),
        ("E. coli", GERMS, 2),
        ("probably C. difficile", GERMS, 1),
        ("yes, without a doubt", ("yes", "no"), 0),
        ("No: there is no fluid", ("yes", "no"), 1),
        # the article and other letters that are none
        ("a pneumonia", ("normal", "pneumonia"), 1),
        ("A pneumonia", ("normal", "pneumonia"), 1),
        ("A nodule in the upper lobe", FINDINGS, None),
        ("a nodule", FINDINGS, None),
        ("The answer is a nodule", FINDINGS, None),
        ("The answer is A nodule", FINDINGS, None),
        ("The answer is a pleural effusion", FINDINGS, 1),
        ("C-reactive protein", FINDINGS, None),
        ("hepatitis B", FINDINGS, None),
        ("B cells", FINDINGS, None),
        ("A. fumigatus", FINDINGS, None),
        # not one choice
        ("", FINDINGS, None),
        ("I cannot tell", FINDINGS, None),
        ("pneumonia or pleural effusion", FINDINGS, None),
        ("A or B", FINDINGS, None),
        ("A, B", FINDINGS, None),
        ("B. pneumonia", FINDINGS, None),
        ("not pneumonia", FINDINGS, None),
        ("no pneumonia", FINDINGS, None),
        ("E", FINDINGS, None),
        ("same", ("same", "Same."), None),
    ],
)
def test_the_option_that_an_answer_names(answer: str, options: tuple[str, ...], chosen: int | None) -> None:
    assert chosen_option(answer, options) == chosen


@given(st.lists(WORDS.filter(bool), min_size=2, max_size=10, unique_by=normalised), st.data())
@settings(max_examples=100, deadline=None)
def test_every_option_is_named_by_its_own_text(options: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(options) - 1))
    if normalised(options[index]):
        assert chosen_option(options[index], options) == index


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_names_an_option_or_none(text: str) -> None:
    assert chosen_option(text, FINDINGS) in {None, 0, 1, 2, 3}


def test_letters_are_taken_off_only_when_all_options_have_theirs() -> None:
    shown = [label(index, option) for index, option in enumerate(FINDINGS)]
    assert shown[1] == "B. pleural effusion"
    assert without_labels(shown) == FINDINGS
    assert (
        without_labels([f"({letter}) {option}" for letter, option in zip(LETTERS, FINDINGS, strict=False)]) == FINDINGS
    )
    assert without_labels(GERMS) == GERMS
