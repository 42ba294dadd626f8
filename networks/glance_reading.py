"""From which probability on a glance counts as an answer, the same in use and in measuring."""

from __future__ import annotations

from mmedagent.networks.glance import Glance

NOT_MEDICAL = "not a medical image"
"""The tower's name of images that are none of its modalities."""

SURE = 0.75
"""A probability from here on is an answer, one of at most 1 - SURE is the opposite answer, and none between is."""


def normal_share(modality: str) -> str:
    """The key, in the accuracies of a checkpoint, of the share of images without a finding among held-out ones of a
    modality in which nothing stands out."""
    return f"normal {modality}"


def nothing_stands_out(glance: Glance) -> bool:
    """Whether each finding that the tower knows is probably absent."""
    return max(glance.chances["findings"].values(), default=0.0) <= 1 - SURE
