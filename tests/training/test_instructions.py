"""The planner's instruction data: annotations that are right, shares that share nothing, and its export."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from random import Random

import pytest
from jsonschema import Draft202012Validator

from mmedagent.cli.paths import EVALUATION
from mmedagent.networks.minilm import load_tokenizer
from mmedagent.networks.planner_net import MAX_TOKENS, OTHER, OUTCOMES, TASKS, TOOLS
from mmedagent.networks.planner_text import read_ask_text
from mmedagent.protocol.cards import built_in_cards
from mmedagent.training.instructions.ask_files import Share, all_asks, other_tools
from mmedagent.training.instructions.examples import examples
from mmedagent.training.instructions.export import dialogues
from mmedagent.training.planner_batches import IGNORED, labelled
from mmedagent.training.planner_evaluation import actions_of, as_ask, true_parts

SHARES: tuple[Share, ...] = ("train", "calibration", "test")
GROUPS = {
    **{tool: (tool,) for tool in TOOLS},
    "no tool": ("greeting", "thanks", "abilities", "image_question"),
    "clarify": ("clarify",),
    "decline": ("unsafe", "off_topic"),
    "another tool": (OTHER,),
}


def test_every_outcome_has_sixty_asks() -> None:
    counts = Counter(ask.parts[0].outcome for ask in all_asks() if len(ask.parts) == 1)
    several = sum(len(ask.parts) > 1 for ask in all_asks())
    assert min(sum(counts[outcome] for outcome in group) for group in GROUPS.values()) >= 60
    assert several >= 60


def test_every_outcome_and_task_is_in_every_share() -> None:
    for share in SHARES:
        parts = [part for ask in all_asks() if ask.share == share for part in ask.parts]
        assert {part.outcome for part in parts} == set(OUTCOMES)
        assert {part.task for part in parts if part.outcome != OTHER} - {None} == set(TASKS)


def test_no_wording_is_in_two_shares() -> None:
    def bare(words: str) -> str:
        return " ".join(re.findall(r"\w+", re.sub(r"\{\w+\}|[<>«»]", " ", words).casefold()))

    wordings = {share: {bare(ask.wording) for ask in all_asks() if ask.share == share} for share in SHARES}
    for first, second in combinations(SHARES, 2):
        assert not wordings[first] & wordings[second]


def test_another_tool_is_in_one_share_and_is_none_of_those_that_are_evaluated() -> None:
    shares: dict[str, set[Share]] = {}
    for ask in all_asks():
        for part in ask.parts:
            if part.outcome == OTHER:
                shares.setdefault(str(part.task), set()).add(ask.share)
    assert set(shares) == set(other_tools())
    assert all(len(some) == 1 for some in shares.values())
    assert Counter(share for some in shares.values() for share in some).keys() == set(SHARES)
    evaluated = {path.stem for path in (EVALUATION / "added_tools" / "cards").glob("*.json")}
    assert not evaluated & set(shares)


@pytest.mark.parametrize("share", SHARES)
def test_annotations_lie_in_the_text(share: Share) -> None:
    for example in examples(share, each=1, joined=100, seed=2):
        assert all(0 <= mark.start < len(example.text) for mark in example.parts)
        assert all(0 <= span.start < span.end <= len(example.text) for span in example.spans)
        assert not re.search(r"[{}<«»]", example.text)


def test_examples_are_the_same_for_the_same_seed() -> None:
    assert examples("test", each=1, joined=20, seed=4) == examples("test", each=1, joined=20, seed=4)
    assert examples("test", each=1, joined=20, seed=4) != examples("test", each=1, joined=20, seed=5)


def test_most_names_are_invented() -> None:
    drawn = examples("train", each=3, joined=0, seed=1, augment=False)
    asked = [part.names for example in drawn for part in true_parts(example) if part.outcome == "grounding"]
    names = Counter(name for some in asked for name in some)
    once = sum(count for count in names.values() if count == 1)
    assert once / sum(names.values()) >= 0.4


def test_plans_of_the_data_follow_the_schemas() -> None:
    schemas = {card.name: Draft202012Validator(card.parameters) for card in built_in_cards()}
    planned = Counter[str]()
    for example in examples("train", each=1, joined=200, seed=6):
        for action in actions_of(true_parts(example), as_ask(example)):
            parameters = {
                key: [[0, 0, 1, 1]] if re.fullmatch(r"\$\d\.boxes", str(value)) else value
                for key, value in action.API_params.items()
            }
            schemas[action.API_name].validate(parameters)
            planned[action.API_name] += 1
    assert set(planned) == set(TOOLS)


def test_spoken_coordinates_are_read_back() -> None:
    random = Random(0)  # noqa: S311 - spoken coordinates
    for example in examples("test", each=2, joined=0, seed=3):
        if example.wants_other_tool:
            continue
        ask = read_ask_text(example.spoken(random))
        assert ask.problems == ()
        assert bool(ask.boxes) == ("[box]" in example.text)
        assert ask.text.split() == example.text.split()


def test_targets_line_up_with_words() -> None:
    drawn = [one for one in examples("train", each=0, joined=32, seed=8) if not one.wants_other_tool]
    batch = labelled(load_tokenizer(max_tokens=MAX_TOKENS), drawn)
    real = batch.begin != IGNORED
    assert bool((real == (batch.part >= 0)).all())
    assert batch.begin[real].sum().item() == sum(len(example.parts) for example in drawn)
    assert bool(((batch.tag != IGNORED) == real).all())


def test_asks_for_other_tools_teach_which_one_and_no_names() -> None:
    drawn = [one for one in examples("train", each=1, joined=0, seed=8) if one.wants_other_tool][:16]
    batch = labelled(load_tokenizer(max_tokens=MAX_TOKENS), drawn)
    assert bool((batch.tag == IGNORED).all())
    assert bool((batch.task == IGNORED).all())
    assert [other_tools()[place] for place in batch.other[:, 0].tolist()] == [one.parts[0].task for one in drawn]


def test_the_export_has_the_format_of_mmedagent() -> None:
    rows = json.loads(json.dumps(dialogues(examples("test", each=1, joined=10, seed=1), seed=1)))
    for row in rows:
        assert set(row) == {"image_id", "image", "conversations"}
        human, planner = row["conversations"]
        assert (human["from"], planner["from"]) == ("human", "gpt")
        assert set(planner) == {"from", "thoughts", "actions", "value"}
        assert all(set(action) == {"API_name", "API_params"} for action in planner["actions"])
        assert human["value"].startswith("<image>") == bool(row["image"])
    assert any(len(row["conversations"][1]["actions"]) > 1 for row in rows)
