"""The soft Dice loss that several trainings share (Milletari et al., V-Net, 2016)."""

from torch import Tensor


def dice_loss(soft: Tensor, truth: Tensor) -> Tensor:
    """1 - Dice of each of n masks, (n,), from probabilities and coverage in [0, 1], both (n, h, w)."""
    both = (soft * truth).sum(dim=(1, 2))
    return 1 - (2 * both + 1) / (soft.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)
