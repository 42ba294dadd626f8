"""The synthetic world: what is committed, what its splits promise, and specialists that are as good as they say."""

import gzip
import hashlib
from collections import Counter

import numpy as np
import pytest

from mmedagent.networks.consultation_net import load_consultation
from mmedagent.networks.consultation_words import CERTAIN, UNSURE, heard
from mmedagent.protocol.consultation import SPECIALTIES, read_reply
from mmedagent.training.rl import world as worlds
from mmedagent.training.rl.prompts import (
    clean_reply,
    following_reply,
    looking_reply,
    triage_reply,
)
from mmedagent.training.rl.specialists import (
    INSIDE,
    PANEL,
    Opinion,
    accuracy,
    difficulty,
    field_of,
    majority,
    opinion,
    panel,
)
from mmedagent.training.rl.world import FAMILIES, FILE, SHA256, SPLITS, WORLD_SEED, Item, draw_world, read_world


@pytest.fixture(scope="module")
def world() -> dict[str, list[Item]]:
    return read_world()


def test_the_committed_questions_are_those_of_the_seed(world: dict[str, list[Item]]) -> None:
    assert hashlib.sha256(gzip.decompress(FILE.read_bytes())).hexdigest() == SHA256
    few = dict.fromkeys(SPLITS, 3)
    again = list(draw_world(WORLD_SEED, few))
    assert again == [item for split in SPLITS for item in world[split][:3]]


def test_sizes_families_and_options(world: dict[str, list[Item]]) -> None:
    assert {split: len(items) for split, items in world.items()} == SPLITS
    assert SPLITS["train"] >= 5_000
    assert SPLITS["test"] >= 1_000
    for items in world.values():
        assert {item.family for item in items} == set(FAMILIES)
        for item in items:
            assert len(set(item.options)) == 4
            assert item.answer != item.lure
    letters = Counter(item.letter for item in world["test"])
    assert min(letters.values()) > 0.2 * len(world["test"])


def test_one_modality_is_in_no_split_but_outside(world: dict[str, list[Item]]) -> None:
    assert {item.modality for item in world["outside"]} == {"MR"}
    for split in ("warm", "train", "test"):
        assert all(item.modality != "MR" and "MR" not in item.options for item in world[split])


def test_an_image_is_drawn_again_the_same(world: dict[str, list[Item]]) -> None:
    item = world["test"][0]
    first, second = np.asarray(item.picture()), np.asarray(item.picture())
    assert first.shape == (128, 128, 3)
    assert np.array_equal(first, second)
    assert first.std() > 5


def test_specialists_are_right_as_often_as_they_should_be(world: dict[str, list[Item]]) -> None:
    for level in INSIDE:
        items = [item for item in world["train"] if difficulty(item) == level]
        for ask in (field_of, lambda item: next(one for one in SPECIALTIES if one != field_of(item))):
            found = np.mean([opinion(item, ask(item)).choice == item.answer for item in items])
            told = np.mean([accuracy(item, ask(item)) for item in items])
            assert found == pytest.approx(told, abs=4 * np.sqrt(0.25 / len(items)))


def test_the_majority_can_be_beaten_and_hard_cases_exist(world: dict[str, list[Item]]) -> None:
    items = world["train"]
    panels = [panel(item, field_of(item)) for item in items]
    votes = np.mean([majority(one) == item.answer for item, one in zip(items, panels, strict=True)])
    leads = np.mean([one[0].choice == item.answer for item, one in zip(items, panels, strict=True)])
    hard = np.mean([all(o.choice != item.answer for o in one) for item, one in zip(items, panels, strict=True)])
    assert leads > votes + 0.05
    assert hard > 0.1
    assert all(len({o.specialist for o in one}) == PANEL for one in panels)


def test_votes_are_counted_and_ties_go_to_whom_triage_chose() -> None:
    first, second, third = (Opinion(name, choice, "certain") for name, choice in zip("abc", (2, 1, 1), strict=True))
    assert majority([first, second, third]) == 1
    assert majority([first, second]) == 2


def test_what_opinions_come_to_is_said() -> None:
    def said(first: str, *choices: int) -> str:
        return heard(
            [Opinion("surgeon", choices[0], first), *(Opinion("surgeon", one, CERTAIN) for one in choices[1:])]
        )

    assert said(UNSURE, 1, 1, 1) == "all agree"
    assert said(CERTAIN, 0, 1, 1) == "they differ, the first is certain"
    assert said(UNSURE, 0, 1, 2) == "they differ, the first is unsure"


def test_replies_that_are_taught_have_the_form_and_the_answer_they_name(world: dict[str, list[Item]]) -> None:
    from random import Random

    item = next(one for one in world["train"] if panel(one, "surgeon")[0].choice != one.answer)
    wrong = panel(item, "surgeon")[0]
    for text, letter in (
        (looking_reply(item), item.letter),
        (following_reply(item, wrong), "ABCD"[wrong.choice]),
        (clean_reply(item, [wrong], Random(0)), item.letter),  # noqa: S311 - training data
        (triage_reply(item, "surgeon"), "surgeon"),
    ):
        reply = read_reply(text)
        assert reply is not None
        assert reply.answer == letter


def test_a_phrase_is_a_token_and_nothing_is_lost() -> None:
    from mmedagent.cli.paths import MODELS

    _, processor = load_consultation(MODELS / "consultation" / "base", MODELS / "planner")
    text = "<think>CT, size\nsurgeon (C)</think><answer>C</answer>"
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(ids) == 8
    assert worlds.OPTIONS == 4
