"""Pictures of how the policies of the consultation learnt: share of right rollouts and entropy by update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW = 10
"""Updates that a point of a curve is the mean of."""


@dataclass(frozen=True)
class Update:
    """One update of a policy: its stage, the share of right rollouts, and their entropy in nats a token."""

    stage: str
    accuracy: float
    entropy: float


def draw_curves(runs: Mapping[str, Sequence[Sequence[Update]]], path: Path) -> None:
    """Draw the runs of each method, one for each seed, into a file; the suffix says which format.

    Needs matplotlib, which the extra `rl` brings.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "entropy"), strict=True):
        for place, (method, seeds) in enumerate(runs.items()):
            colour = f"C{place}"
            curves = [_smooth([float(getattr(update, name)) for update in run]) for run in seeds]
            for curve in curves:
                axes.plot(curve, color=colour, alpha=0.25, linewidth=0.8)
            shortest = min(len(curve) for curve in curves)
            axes.plot(np.mean([curve[:shortest] for curve in curves], axis=0), color=colour, label=method)
        for start in _starts(next(iter(runs.values()))[0]):
            axes.axvline(start, color="grey", linewidth=0.5, linestyle=":")
        axes.set_xlabel("update")
        axes.set_ylabel("share of right rollouts" if name == "accuracy" else "entropy of a token, nats")
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path)


def _smooth(values: Sequence[float]) -> NDArray[np.float64]:
    """The mean of the last `WINDOW` values at each place."""
    total = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - WINDOW)
    smoothed: NDArray[np.float64] = (total[ends] - total[starts]) / (ends - starts)
    return smoothed


def _starts(run: Sequence[Update]) -> list[int]:
    """Where a stage begins, but for the first."""
    return [place for place in range(1, len(run)) if run[place].stage != run[place - 1].stage]
