"""From answers to the table of the consultation: accuracy of each method with intervals, by how hard a case is.

Cases are resampled, not answers: what several seeds answered about a case stays together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mmedagent.protocol.types import ShortText

RESAMPLES, SEED = 2_000, 0
TEST, OUTSIDE = "test", "outside"
COLUMNS = ("overall", "easy", "medium", "hard", OUTSIDE)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Judged(_Row):
    """One answer, right or wrong.

    Attributes:
        split: "test", or "outside" for the modality that nothing was trained on.
        level: easy, medium or hard, by the opinions that the panel of this seed gave.
    """

    method: ShortText
    seed: int
    case: ShortText
    split: ShortText
    level: ShortText
    right: bool


class Accuracy(_Row):
    """A share in [0, 1], or a difference of shares in [-1, 1], with its bootstrap interval of 95 %."""

    value: float
    low: float
    high: float
    cases: int = Field(ge=0)


class MethodRow(_Row):
    """A line of the table; `gain` is the full method less this one, on the same cases. A column may have no case."""

    method: ShortText
    seeds: int
    accuracy: dict[str, Accuracy]
    gain: dict[str, Accuracy]


class ConsultationTable(_Row):
    """All methods, in the order of their first answer."""

    full: ShortText
    rows: tuple[MethodRow, ...]


def read_judged(files: Iterable[Path]) -> list[Judged]:
    """The answers of files of JSON lines. Raises `ValidationError` for a line that is none."""
    return [Judged.model_validate_json(line) for file in files for line in file.read_text("utf-8").splitlines()]


def table_of(judged: Sequence[Judged], full: str) -> ConsultationTable:
    """Every method beside the one named `full`."""
    methods = list(dict.fromkeys(one.method for one in judged))
    rows = []
    for method in methods:
        own = [one for one in judged if one.method == method]
        accuracy, gain = {}, {}
        for column in COLUMNS:
            sums, counts = _by_case(own, column)
            if not counts.size:
                continue
            accuracy[column] = _share(sums, counts)
            if method != full and full in methods:
                gain[column] = _gain([one for one in judged if one.method == full], own, column)
        rows.append(MethodRow(method=method, seeds=len({one.seed for one in own}), accuracy=accuracy, gain=gain))
    return ConsultationTable(full=full, rows=tuple(rows))


def _in(one: Judged, column: str) -> bool:
    if column == OUTSIDE:
        return one.split == OUTSIDE
    return one.split == TEST and column in ("overall", one.level)


def _by_case(judged: Sequence[Judged], column: str, cases: Sequence[str] = ()) -> tuple[NDArray[np.float64], ...]:
    """Right answers and answers of each case, in the order of `cases` where that is given."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in judged:
        if _in(one, column):
            found[one.case][0] += one.right
            found[one.case][1] += 1
    pairs = [found.get(case, [0, 0]) for case in cases or found]
    table = np.array(pairs, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _resampled(cases: int) -> NDArray[np.intp]:
    return np.random.default_rng(SEED).integers(cases, size=(RESAMPLES, cases))


def _share(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> Accuracy:
    drawn = _resampled(len(counts))
    values = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(values, (0.025, 0.975))
    return Accuracy(value=float(sums.sum() / counts.sum()), low=float(low), high=float(high), cases=len(counts))


def _gain(full: Sequence[Judged], other: Sequence[Judged], column: str) -> Accuracy:
    cases = list(dict.fromkeys(one.case for one in [*full, *other] if _in(one, column)))
    (ours, of_ours), (theirs, of_theirs) = _by_case(full, column, cases), _by_case(other, column, cases)
    drawn = _resampled(len(cases))
    values = ours[drawn].sum(axis=1) / of_ours[drawn].sum(axis=1) - theirs[drawn].sum(axis=1) / of_theirs[drawn].sum(
        axis=1
    )
    low, high = np.quantile(values, (0.025, 0.975))
    value = float(ours.sum() / of_ours.sum() - theirs.sum() / of_theirs.sum())
    return Accuracy(value=value, low=float(low), high=float(high), cases=len(cases))


def as_markdown(table: ConsultationTable) -> str:
    """The table in per cent, with the intervals, and under it what the full method gains over each other."""
    lines = _grid(table, {row.method: row.accuracy for row in table.rows}, "method")
    lines += ["", *_grid(table, {row.method: row.gain for row in table.rows if row.gain}, f"{table.full} less")]
    return "\n".join(lines)


def _grid(table: ConsultationTable, rows: dict[str, dict[str, Accuracy]], head: str) -> list[str]:
    columns = [column for column in COLUMNS if any(column in cells for cells in rows.values())]
    lines = [f"| {head} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for method, cells in rows.items():
        said = [_cell(cells[column]) if column in cells else "" for column in columns]
        lines.append(f"| {method} | {' | '.join(said)} |")
    return lines


def _cell(one: Accuracy) -> str:
    return f"{100 * one.value:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"
