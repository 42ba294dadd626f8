"""The table of the consultation: shares by level, intervals that hold the truth, gains on the same cases."""

from pathlib import Path

import numpy as np
import pytest

from mmedagent.evaluation.consultation import Judged, as_markdown, read_judged, table_of
from mmedagent.evaluation.consultation_curves import Update, draw_curves

LEVELS = ("easy", "medium", "hard")


def answers(method: str, chances: tuple[float, float, float], seeds: int = 3, cases: int = 600) -> list[Judged]:
    """A method that is right with that chance on each level, on the same cases each time."""
    rng = np.random.default_rng(len(method))
    return [
        Judged(
            method=method, seed=seed, case=f"case {case}", split="outside" if case % 6 == 5 else "test",
            level=LEVELS[case % 3], right=bool(rng.random() < chances[case % 3]),
        )
        for seed in range(seeds)
        for case in range(cases)
    ]  # fmt: skip


def test_shares_and_gains_by_level() -> None:
    table = table_of([*answers("majority", (1.0, 0.5, 0.0)), *answers("full", (0.95, 0.8, 0.4))], "full")
    majority, full = table.rows
    assert (majority.method, majority.seeds) == ("majority", 3)
    assert majority.accuracy["easy"].value == majority.accuracy["easy"].low == 1.0
    assert majority.accuracy["hard"].value == majority.accuracy["hard"].high == 0.0
    assert majority.accuracy["overall"].cases == 500
    assert majority.accuracy["outside"].cases == 100
    for column, chance in zip(LEVELS, (0.95, 0.8, 0.4), strict=True):
        assert full.accuracy[column].low < chance < full.accuracy[column].high
    assert full.gain == {}
    assert majority.gain["hard"].value == pytest.approx(full.accuracy["hard"].value)
    assert majority.gain["hard"].low > 0.2
    assert majority.gain["easy"].high < 0


def test_seeds_of_a_case_are_no_cases_of_their_own() -> None:
    once = answers("one", (0.5, 0.5, 0.5), seeds=1, cases=120)
    copies = [one.model_copy(update={"seed": seed}) for seed in range(5) for one in once]
    (row,), (copied,) = table_of(once, "one").rows, table_of(copies, "one").rows
    assert copied.accuracy == row.accuracy


def test_answers_are_read_and_the_table_is_markdown(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(f"{one.model_dump_json()}\n" for one in answers("full", (1, 1, 1), 1, 12)), "utf-8")
    text = as_markdown(table_of(read_judged([file]), "full"))
    assert "| full | 100.0 (100.0 to 100.0) |" in text
    assert text.splitlines()[0] == "| method | overall | easy | medium | hard | outside |"


def test_curves_are_drawn(tmp_path: Path) -> None:
    run = [Update("easy", 0.5, 0.3)] * 8 + [Update("hard", 0.7, 0.2)] * 8
    draw_curves({"full": [run, run[:12]], "plain": [run]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
