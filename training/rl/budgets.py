"""What each method may spend in the synthetic world.

Chosen on a world of another seed, and fixed with the world before any method was trained on this one.

Costs are counted in forward passes over a reply: an update of GRPO generates (1), asks the reference (1) and trains
(3); an update of SFT trains (3). So SFT gets 5/3 of the updates, of as many replies, and clean labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmedagent.training.rl.curriculum import Level
from mmedagent.training.rl.grpo import GRPOSettings

GRPO_PASSES, SFT_PASSES = 5, 3
MIDDLE_BETA = 4e-3
"""Weight of the KL divergence where there are no stages, for triage too: the paper's for the middle stage."""


@dataclass(frozen=True)
class Budget:
    """Updates and rates. The rates are higher than the paper's, because the network is 10,000 times smaller; they were
    chosen on a world of another seed.

    Attributes:
        warm: updates of the warm start, which all seeds share.
        sizes: questions that are used of each split.
    """

    warm: int = 1_000
    warm_batch: int = 64
    warm_rate: float = 2e-3
    triage: int = 120
    stages: dict[Level, int] = field(default_factory=lambda: {"easy": 5, "medium": 35, "hard": 140})
    sft_rate: float = 3e-3
    settings: GRPOSettings = field(default_factory=lambda: GRPOSettings(rate=1e-3, tokens=14))
    sizes: dict[str, int] = field(
        default_factory=lambda: {"warm": 2_400, "train": 5_000, "test": 1_200, "outside": 600}
    )

    @property
    def attending(self) -> int:
        """Updates of the attending physician by GRPO, however they are staged."""
        return sum(self.stages.values())

    @property
    def sft(self) -> int:
        return self.attending * GRPO_PASSES // SFT_PASSES
