"""The reward of verl recipes: the same lines that TRL's training scores by.

Ray workers need this distribution installed; nothing but its protocol and rewards is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmedagent.training.rl.rewards import score


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> float:
    """0, 0.5 or 1.5. `solution_str` is the policy's reply; `extra_info` holds the options of the case, if any."""
    options = (extra_info or {}).get("options")
    return score(solution_str, ground_truth, [str(one) for one in options] if options is not None else [])
