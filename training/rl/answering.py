"""Replies of the consultation's network to many prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.networks.consultation_panel import Written, written

BATCH = 128


def replies(
    model: Any, processor: Any, prompts: Sequence[str], pictures: NDArray[np.uint8], *, tokens: int
) -> list[str]:
    """The most probable reply of at most so many tokens to each prompt about the image at the same place."""
    return [one.text for one in replies_with_chances(model, processor, prompts, pictures, tokens=tokens)]


def replies_with_chances(
    model: Any, processor: Any, prompts: Sequence[str], pictures: NDArray[np.uint8], *, tokens: int
) -> list[Written]:
    """The same replies, and how probable each is."""
    said: list[Written] = []
    for start in range(0, len(prompts), BATCH):
        stop = start + BATCH
        said += written(model, processor, prompts[start:stop], pictures[start:stop], tokens)
    return said
