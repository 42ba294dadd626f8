"""How fast a planner plans: the time of one plan when it is alone, and plans a second when many ask at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

WARM_UP = 5
P95 = 0.95


@dataclass(frozen=True)
class PlanRow:
    """Milliseconds of a plan alone, and plans a second with so many callers at once."""

    plans: int
    p50_ms: float
    p95_ms: float
    callers: int
    plans_per_second: float


def measure_plans(ask: Sequence[Callable[[], object]], callers: int, done: Callable[[], object]) -> PlanRow:
    """Call every one of `ask`, which are plans to be made, alone and then `callers` at a time."""
    for one in ask[:WARM_UP]:
        one()
    seconds = []
    for one in ask:
        started = time.perf_counter()
        one()
        seconds.append(time.perf_counter() - started)
        done()

    def run(one: Callable[[], object]) -> None:
        one()
        done()

    with ThreadPoolExecutor(callers) as threads:
        started = time.perf_counter()
        list(threads.map(run, ask))
        together = time.perf_counter() - started
    ordered = sorted(seconds)
    return PlanRow(
        plans=len(ask),
        p50_ms=1_000 * statistics.median(ordered),
        p95_ms=1_000 * ordered[min(len(ordered) - 1, int(P95 * len(ordered)))],
        callers=callers,
        plans_per_second=len(ask) / together,
    )
