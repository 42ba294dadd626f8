"""How much of each cell of a coarse grid every structure covers: the truth of dense pretraining."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mmedagent.training.dice import dice_loss
from mmedagent.training.grounding_data import shown_masks
from mmedagent.training.grounding_names import Structure
from mmedagent.training.pool import Row
from mmedagent.training.variation import Frames


def coverage_of(structures: Sequence[Structure], bits: Tensor, rows: Sequence[Row], view: Frames, grid: int) -> Tensor:
    """Shares in [0, 1], float32 (n, structures, grid, grid), of images of the pool in these views.

    `bits` are int32 (n, S, S), as in a batch.
    """
    shown = [
        (image, place, bit)
        for image, row in enumerate(rows)
        for place, one in enumerate(structures)
        for bit in one.places_in(row)
    ]
    table, masks = shown_masks(bits, shown)
    # Shrunk first: the grid is coarser than that, and this is most of the work.
    shrunk = functional.avg_pool2d(masks[:, None], 2 ** int(math.log2(max(1, bits.shape[-1] // (2 * grid)))))
    coarse = functional.interpolate(view.of(table[:, 0]).apply(shrunk), (grid, grid), mode="bilinear", antialias=True)[
        :, 0
    ]
    total = torch.zeros(len(bits) * len(structures), grid, grid, device=bits.device)
    total.index_add_(0, table[:, 0] * len(structures) + table[:, 1], coarse)
    return total.clamp(max=1).view(len(bits), len(structures), grid, grid)


def dice_of_shown(logits: Tensor, truth: Tensor, least: float = 0.5) -> Tensor:
    """Mean Dice loss of the structures that cover a cell by more than `least`; 0 where there is none."""
    here = truth.amax(dim=(2, 3)) > least
    return dice_loss(logits[here].sigmoid(), truth[here]).mean() if bool(here.any()) else logits.sum() * 0.0
