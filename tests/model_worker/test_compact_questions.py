"""What is asked about an image, read by the shipped ask reader from questions that are in none of its data."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

import mmedagent.model_worker.compact
from mmedagent.model_worker.compact.names import NameBook
from mmedagent.model_worker.compact.phrasing import PhrasingClassifier
from mmedagent.model_worker.compact.questions import Question, QuestionReader
from mmedagent.networks.planner_checkpoint import LoadedPlanner, load_planner
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_sentences import sentence_vectors
from mmedagent.networks.planner_text import read_ask_text
from support.towers import NAMES, PLANNER

MIN_RIGHT, MIN_RIGHT_OF_UNDERSTOOD = 0.9, 0.95
ASKED = tomllib.loads(Path(__file__).with_name("image_questions.toml").read_text("utf-8"))["questions"]
KNOWN = {*NAMES["structures"], *NAMES["findings"]}
DATA = tomllib.loads(resources.files(mmedagent.model_worker.compact).joinpath("questions.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def loaded() -> LoadedPlanner:
    torch.set_num_threads(1)
    return load_planner(PLANNER)


@pytest.fixture(scope="module")
def reader(loaded: LoadedPlanner) -> QuestionReader:
    return QuestionReader(lambda texts: sentence_vectors(loaded.net, loaded.tokenizer, texts), KNOWN, NAMES["findings"])


def test_questions_in_many_voices_are_understood(loaded: LoadedPlanner, reader: QuestionReader) -> None:
    asks = AskReader(loaded.net, loaded.tokenizer, loaded.config.temperature)
    right = understood = right_of_understood = 0
    for text, kind, *names in ASKED:
        spans = [name for part in asks.read(read_ask_text(text)) if part.outcome == "grounding" for name in part.names]
        read = reader.read(text, spans)
        same = len(read) == 1 and read[0].kind == kind and (not names or set(read[0].names) == set(names))
        right += same
        understood += read[0].sure
        right_of_understood += same and read[0].sure
    assert len(ASKED) >= 190
    assert right / len(ASKED) >= MIN_RIGHT
    assert right_of_understood / understood >= MIN_RIGHT_OF_UNDERSTOOD


def test_no_question_of_the_test_is_in_the_data() -> None:
    known = {text.casefold().strip(" ?.!") for own in DATA["phrasings"].values() for text in own}
    assert not [text for text, *_ in ASKED if text.casefold().strip(" ?.!") in known]


def test_phrasings_under_the_wrong_kind_are_not_learnt(loaded: LoadedPlanner) -> None:
    kinds = list(DATA["phrasings"])
    pairs = [(kind, text) for kind, own in DATA["phrasings"].items() for text in own]
    swapped = [kind for kind, _ in pairs]
    Random(3).shuffle(swapped)  # noqa: S311 - a fixed order
    mixed: dict[str, list[str]] = {kind: [] for kind in kinds}
    for kind, (_, text) in zip(swapped, pairs, strict=True):
        mixed[kind].append(text)
    classifier = PhrasingClassifier(lambda texts: sentence_vectors(loaded.net, loaded.tokenizer, texts), mixed)
    guesses = classifier.guess([text for text, *_ in ASKED])
    assert np.mean([guess.kind == row[1] for guess, row in zip(guesses, ASKED, strict=True)]) < 0.4


def read(reader: QuestionReader, text: str, *spans: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.kind, one.names) for one in reader.read(text, spans)]


def test_two_questions_are_two(reader: QuestionReader) -> None:
    assert read(reader, "Which plane is this, and is the liver visible?") == [("view", ()), ("presence", ("liver",))]


def test_a_question_takes_the_name_of_the_one_before(reader: QuestionReader) -> None:
    asked = "Is there a pneumothorax? On which side is it?"
    assert read(reader, asked) == [("presence", ("pneumothorax",)), ("side", ("pneumothorax",))]


def test_a_finding_at_a_side_is_a_question_about_the_side(reader: QuestionReader) -> None:
    assert read(reader, "Is there a pleural effusion on the left?") == [("side", ("pleural effusion",))]
    assert read(reader, "Is the left kidney visible?") == [("presence", ("left kidney",))]


def test_remarks_around_a_question_are_passed_over(reader: QuestionReader) -> None:
    asked = "Good morning! I fell off my bike yesterday. Without any tools, please: is there a fracture?"
    assert read(reader, asked) == [("presence", ("fracture",))]


@pytest.mark.parametrize("text", ["", "   ", "?!", "qzx wvk jjj", "Just at a glance."])
def test_what_asks_nothing_is_not_understood(reader: QuestionReader, text: str) -> None:
    assert reader.read(text) == (Question("other", sure=False),)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("are there gallstones or a bleed", ["stone", "haemorrhage"]),
        ("the HEDGEHOG and the livers", ["liver"]),
        ("a hemorrhage in the brain", ["haemorrhage"]),
        ("a nodule in the left lung", ["lung nodule"]),
        ("both kidneys", ["kidney"]),
        ("cardiomegally", ["cardiomegaly"]),
        ("the optic nerve", []),
        ("a pericardial effusion", ["pericardial effusion"]),
        ("liver cirrhosis", ["liver cirrhosis"]),
        ("the adrenal gland", ["adrenal gland"]),
        ("left pleural effusion", ["pleural effusion"]),
        ("left renal mass", ["left kidney lesion"]),
    ],
)
def test_names_are_whole(text: str, names: list[str]) -> None:
    book = NameBook(KNOWN, ["are there or a the both left in"])
    assert [one.name for one in book.find(text)] == names


def test_a_name_that_a_reader_marked_is_unknown_unless_the_book_has_it() -> None:
    book = NameBook(KNOWN, ["is the there a"])
    assert [one.name for one in book.find("is the appendix there", ["the appendix"])] == ["appendix"]
    assert [one.name for one in book.find("is the liver there", ["the liver"])] == ["liver"]
    assert book.shown("appendix") == ()
    assert book.shown("urinary bladder") == ("bladder",)
    assert book.shown("drusen") == ()


def test_a_masked_question_keeps_its_form() -> None:
    book = NameBook(KNOWN, ["is the or there"])
    text = "is the liver or the left kidney there?"
    assert book.masked(text, book.find(text)) == "is the structure or the structure there?"
