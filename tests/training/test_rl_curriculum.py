"""How hard a case is, what each stage trains on, and that a specialist is asked the same thing once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmedagent.training.rl.curriculum import (
    LEVELS,
    Level,
    OpinionCache,
    content_key,
    level_of,
    rows_of,
    stages,
    without_entropy,
)
from mmedagent.training.rl.specialists import Opinion


def said(*choices: int) -> list[Opinion]:
    return [Opinion(f"doctor {place}", choice, "certain") for place, choice in enumerate(choices)]


@pytest.mark.parametrize(
    ("choices", "level"), [((1, 1, 1), "easy"), ((1, 0, 0), "medium"), ((1, 1, 0), "medium"), ((0, 2, 3), "hard")]
)
def test_levels(choices: tuple[int, ...], level: str) -> None:
    assert level_of(said(*choices), 1) == level


def test_a_case_without_opinions_has_no_level() -> None:
    with pytest.raises(ValueError, match="without opinions"):
        level_of([], 1)


def test_stages_have_the_weights_of_the_paper_and_rising_entropy() -> None:
    schedule = stages({"easy": 1, "medium": 2, "hard": 3})
    assert [(one.name, one.steps, one.beta, one.entropy) for one in schedule] == [
        ("easy", 1, 1e-3, 0.0),
        ("medium", 2, 4e-3, 1e-3),
        ("hard", 3, 1e-2, 5e-3),
    ]
    assert [one.entropy for one in without_entropy(schedule)] == [0, 0, 0]
    assert [one.beta for one in without_entropy(schedule)] == [1e-3, 4e-3, 1e-2]


def test_a_stage_adds_its_level_or_has_it_alone() -> None:
    by_level: dict[Level, list[str]] = {level: [level] for level in LEVELS}
    first, _, last = stages({"easy": 1, "medium": 1, "hard": 1})
    assert rows_of(first, by_level, cumulative=True) == ["easy"]
    assert rows_of(last, by_level, cumulative=True) == ["easy", "medium", "hard"]
    few: dict[Level, list[str]] = {**by_level, "medium": ["medium"] * 7}
    assert sorted(rows_of(last, few, cumulative=True)) == ["easy", *["hard"] * 3, *["medium"] * 7]
    assert rows_of(last, by_level, cumulative=False) == ["hard"]


def test_opinions_are_asked_for_once_and_outlive_the_process(tmp_path: Path) -> None:
    asked = []

    def ask(choice: int) -> Callable[[], Opinion]:
        def answer() -> Opinion:
            asked.append(choice)
            return Opinion("surgeon", choice, "unsure")

        return answer

    key = content_key("surgeon", "where?", b"image")
    cache = OpinionCache(tmp_path / "opinions.jsonl")
    assert cache.opinion(key, ask(1)) == cache.opinion(key, ask(2))
    assert OpinionCache(tmp_path / "opinions.jsonl").opinion(key, ask(3)).choice == 1
    assert asked == [1]


def test_the_key_depends_on_who_is_asked_what_about_which_image() -> None:
    keys = {content_key(who, what, image) for who in ("a", "b") for what in ("c", "d") for image in (b"1", b"2")}
    assert len(keys) == 8
