"""Teaching a planner new tools: what follows from a card, what is refused, and that a taught planner plans with it."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from mmedagent.cli.paths import EVALUATION, MODELS
from mmedagent.model_worker.compact.planner import CompactPlanner
from mmedagent.networks.planner_checkpoint import read_config
from mmedagent.networks.planner_parts import Part, plan_parts
from mmedagent.networks.planner_text import AskText, read_ask_text
from mmedagent.protocol.card import CardExample, ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.training.added_tools import gate
from mmedagent.training.added_tools.cards import lesson_of
from mmedagent.training.added_tools.fit import Teacher
from mmedagent.training.added_tools.gate import Kept, Verdict, learnt, reader_of
from mmedagent.training.instructions.ask_files import Ask
from mmedagent.training.instructions.examples import make_example
from mmedagent.training.planner_evaluation import true_parts

CARDS = sorted((EVALUATION / "added_tools" / "cards").glob("*.json"))


def card(name: str) -> ToolCard:
    return ToolCard.model_validate_json((EVALUATION / "added_tools" / "cards" / f"{name}.json").read_bytes())


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_is_a_lesson_whose_examples_give_their_own_parameters(path: Path) -> None:
    lesson = lesson_of(card(path.stem))
    assert len(lesson.taught) == 30
    for one in lesson.taught:
        bare = make_example(Random(1), one.ask, augment=False)  # noqa: S311 - training data, not secrets
        part = true_parts(bare)[0]
        if bare.text == one.example.ask:
            known = replace(part, outcome=lesson.card.name, added=lesson.outcomes[one.key])
            (planned,) = plan_parts((known,), read_ask_text(one.example.ask), {lesson.card.name})
            assert planned.action is not None, planned.missing
            assert planned.action.API_params == one.example.parameters


def test_choices_become_outcomes_and_copies_do_not() -> None:
    enhance = lesson_of(card("image_enhancement")).outcomes.values()
    assert sorted(str(one.fixed["operation"]) for one in enhance) == ["contrast", "denoise", "sharpen"]
    codes = lesson_of(card("code_lookup")).outcomes.values()
    assert all(one.copied == {"terms": "names"} and one.required == ("terms",) for one in codes)
    (stage,) = lesson_of(card("tumour_staging")).outcomes.values()
    assert stage.copied == {"description": "passage"}


def changed(name: str, **update: object) -> ToolCard:
    return card(name).model_copy(update=update)


def words_of(ask: Ask) -> str:
    return make_example(Random(1), ask, augment=False).text  # noqa: S311 - training data, not secrets


def test_a_tool_is_asked_for_by_its_title_and_its_name_too_without_a_choice() -> None:
    lesson = lesson_of(card("bone_age"))
    assert [words_of(ask) for ask in lesson.named] == ["Estimate the bone age", "bone age"]
    assert {lesson.outcomes[ask.parts[0].outcome].fixed.get("sex") for ask in lesson.named} == {None}


def test_the_marks_of_hand_written_asks_mean_nothing_in_a_card() -> None:
    odd = CardExample(ask="Score <5 mm and >3 mm {both} «now»", parameters={})
    lesson = lesson_of(changed("bone_age", examples=(*card("bone_age").examples, odd), title="Bone {age} <fast>"))
    bare = make_example(Random(1), lesson.taught[-1].ask, augment=False)  # noqa: S311 - training data, not secrets
    assert bare.spans == ()
    assert bare.text.split() == ["Score", "5", "mm", "and", "3", "mm", "both", "now"]
    assert words_of(lesson.named[0]).split() == ["Bone", "age", "fast"]


def test_cards_that_cannot_be_taught_are_refused_in_words() -> None:
    few = card("bone_age").examples[:4]
    wrong = (*card("bone_age").examples[:12], CardExample(ask="bone age of an adult", parameters={"sex": "unknown"}))
    two = tuple(
        CardExample(ask=f"from {one} to {other}, please", parameters={"first": one, "second": other})
        for one, other in zip("abcdefghijkl", "mnopqrstuvwx", strict=True)
    )
    strings = {"type": "object", "properties": {"first": {"type": "string"}, "second": {"type": "string"}}}
    for bad, said in (
        (changed("bone_age", examples=few), "has 4 examples"),
        (changed("bone_age", examples=wrong), "breaks its schema"),
        (built_in_cards()[0], "knows already"),
        (changed("bone_age", examples=two, parameters=strings), "cannot be told apart"),
    ):
        with pytest.raises(InvalidRequestError, match=said):
            lesson_of(bad)


def test_a_loss_of_a_point_or_of_three_asks_is_refused() -> None:
    reasons = gate._reasons
    assert reasons({"grounding": Kept(100, 90, 88), "retrieval": Kept(200, 180, 180)}) == []
    assert reasons({"grounding": Kept(100, 90, 87), "retrieval": Kept(400, 380, 390)}) == [
        "grounding: 3 of 100 asks are lost"
    ]
    assert len(reasons({"grounding": Kept(50, 50, 48), "retrieval": Kept(50, 50, 49)})) == 1
    assert Verdict({"a": Kept(1, 1, 0), "b": Kept(2, 2, 2)}, ()).pooled == Kept(3, 3, 2)


def test_lost_asks_are_told_and_counted_by_what_they_are_for() -> None:
    said = ("both", "dose", "hello")
    meant = (("classification", "retrieval"), ("unsafe",), ("greeting",))
    asks = [(AskText(text), tuple(Part(one, text) for one in own)) for text, own in zip(said, meant, strict=True)]
    after = [asks[0][1], (Part("dose_estimate", "dose"),), (Part("thanks", "hello"),)]
    verdict = gate.compared(asks, [False, True, True], after)
    assert verdict.kept == {
        "classification": Kept(1, 0, 1), "greeting": Kept(1, 1, 1), "unsafe": Kept(1, 1, 0),
    }  # fmt: skip
    assert verdict.lost == (gate.Lost("dose", "unsafe", "dose_estimate"),)


def test_a_taught_planner_knows_the_tool_and_still_the_old_ones(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    lesson = lesson_of(card("calcium_scoring"))
    Teacher(MODELS / "planner", seed=0, most=400).teach([lesson], tmp_path / "taught", steps=100)
    config = read_config(tmp_path / "taught")
    assert [one.tool for one in config.added] == ["calcium_scoring"]
    reader = reader_of(tmp_path / "taught")
    found = learnt(reader, lesson, lesson.taught)
    assert found.asks == 30
    assert 12 <= found.exact <= found.called
    planner = CompactPlanner(checkpoint=tmp_path / "taught")
    planner.load("cpu")
    with pytest.raises(InvalidRequestError, match="knows calcium_scoring already"):
        Teacher(tmp_path / "taught", seed=0, most=8).teach([lesson], tmp_path / "again", steps=1)
