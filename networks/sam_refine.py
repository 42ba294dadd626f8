"""A second look at every object, at a resolution of its own: a small U-Net on the surroundings of its box.

SAM's mask decoder answers on one grid for the whole image, on which a small object is a few cells. Here the window
around a box, the box and a quarter of its side on all four sides, is resampled to `SIDE` x `SIDE`, so that every object
is seen equally large. A U-Net (Ronneberger et al., 2015) outlines it from the pixels, the first guess and SAM's mask.
MedSAM has no such part and gets none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmedagent.networks.sam_guess import first_guess

SIDE = 96
"""Places along one side of a window as the network sees it."""

MARGIN = 0.25
"""What a window shows around its box, as a share of the box's side."""

LOOSE = 0.1
"""How far beyond its box the first guess looks for an object, as a share of the box's side."""

LEAST_SIDE = 0.02
"""Shorter sides of a box, as a share of the image's, are taken for this long."""

OUTSIDE = -10.0
"""Logit of what lies outside a window."""

CHANNELS = 9
GROUPS = 8
MOST_LEVELS = 5
_COARSE_SCALE = 4.0
_SPREAD_FLOOR = 0.05


class Windows(NamedTuple):
    """The windows of n boxes on b images, n / b each.

    Attributes:
        ends: (n, 4) xyxy, 0 and 1 the ends of the image; a window may reach beyond them.
    """

    ends: Tensor

    @classmethod
    def around(cls, boxes: Tensor) -> "Windows":
        """Of boxes (n, 4), xyxy in [0, 1]."""
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = (0.5 + MARGIN) * (boxes[:, 2:] - boxes[:, :2]).clamp(min=LEAST_SIDE)
        return cls(torch.cat([centre - half, centre + half], dim=1))

    def boxes(self, grown: float = 0.0) -> Tensor:
        """The boxes (n, 4) in the windows, the same place in all of them, grown on all sides by a share of the side."""
        inset = (MARGIN - grown) / (1 + 2 * MARGIN)
        place = torch.tensor([inset, inset, 1 - inset, 1 - inset], device=self.ends.device)
        return place.expand(len(self.ends), -1)

    def cut(self, planes: Tensor) -> Tensor:
        """Planes (b, c, s, t) seen through the windows, (n, c, SIDE, SIDE); outside the image is 0."""
        count, (height, width) = len(self.ends) // len(planes), planes.shape[-2:]
        down = resampling(self.ends[:, 1], self.ends[:, 3], height, SIDE).view(-1, count, 1, SIDE, height)
        across = resampling(self.ends[:, 0], self.ends[:, 2], width, SIDE).view(-1, count, 1, SIDE, width)
        return (down @ planes[:, None] @ across.mT).flatten(0, 1)

    def paste(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (n, SIDE, SIDE) put back into images of (height, width), (n, height, width)."""
        low, high = -self.ends[:, :2], 1 - self.ends[:, :2]
        sides = self.ends[:, 2:] - self.ends[:, :2]
        low, high = low / sides, high / sides
        down = resampling(low[:, 1], high[:, 1], SIDE, size[0])
        across = resampling(low[:, 0], high[:, 0], SIDE, size[1])
        return down @ (logits - OUTSIDE) @ across.mT + OUTSIDE


def resampling(start: Tensor, end: Tensor, source: int, target: int) -> Tensor:
    """Weights (n, target, source) that resample a line of `source` values between two places of it each.

    Linear where it enlarges, a triangle as wide as a target's place where it reduces. Places are 0 and 1 at the ends of
    the line; targets outside of it get no weight.
    """
    place = (torch.arange(target, device=start.device) + 0.5) / target
    seen = (start[:, None] + (end - start)[:, None] * place) * source
    width = ((end - start) * source / target).clamp(min=1)[:, None, None]
    centres = torch.arange(source, device=start.device) + 0.5
    weights = (1 - (seen.clamp(0.5, source - 0.5)[..., None] - centres).abs() / width).clamp(min=0)
    within = ((seen >= 0) & (seen <= source))[..., None]
    return within * weights / weights.sum(dim=2, keepdim=True)


def tight_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Tight normalised boxes (n, 4) of bool masks (n, s, s), for an empty one the whole image, and pixels (n,)."""
    side = masks.shape[-1]
    ends = []
    for over in (1, 2):
        line = masks.any(dim=over).float()
        first, last = line.argmax(dim=1), side - line.flip(1).argmax(dim=1)
        ends.append((first / side, last / side))
    boxes = torch.stack([ends[0][0], ends[1][0], ends[0][1], ends[1][1]], dim=1)
    area = masks.sum(dim=(1, 2))
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=masks.device)
    return torch.where(area[:, None] > 0, boxes, whole), area


class Refiner(nn.Module):
    """The U-Net.

    Args:
        widths: channels of its levels, the first at half of `SIDE`, each at half the side of the one before.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * CHANNELS, widths[0], 1)
        before = [widths[0], *widths[:-1]]
        self.down = nn.ModuleList(_block(one, width) for one, width in zip(before, widths, strict=True))
        deeper = list(zip(widths[1:], widths[:-1], strict=True))
        self.up = nn.ModuleList(_block(low + width, width) for low, width in deeper)
        self.outline = nn.Conv2d(widths[0], 4, 1)
        self.quality = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor, coarse: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
        """Outline what the windows show.

        Args:
            images: float (b, 3, s, s) in [0, 1].
            coarse: SAM's logits (n, g, g), n / b for each image.
            windows: of the n boxes.

        Returns:
            Logits (n, SIDE, SIDE) in the windows, and the expected intersection over union (n,).
        """
        planes = functional.pixel_unshuffle(_seen(images, coarse, windows), 2)
        features = self.stem(planes.contiguous(memory_format=torch.channels_last))
        levels: list[Tensor] = []
        for block in self.down:
            features = block(functional.max_pool2d(features, 2) if levels else features)
            levels.append(features)
        quality = self.quality(features.mean(dim=(2, 3)))[:, 0]
        for block, level in zip(reversed(self.up), reversed(levels[:-1]), strict=True):
            features = block(torch.cat([functional.interpolate(features, scale_factor=2.0), level], dim=1))
        return functional.pixel_shuffle(self.outline(features), 2)[:, 0], quality


def _block(before: int, width: int) -> nn.Sequential:
    first, second = nn.Conv2d(before, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
    norms = nn.GroupNorm(GROUPS, width), nn.GroupNorm(GROUPS, width)
    return nn.Sequential(first, norms[0], nn.ReLU(inplace=True), second, norms[1], nn.ReLU(inplace=True))


def _seen(images: Tensor, coarse: Tensor, windows: Windows) -> Tensor:
    """What the network sees (n, CHANNELS, SIDE, SIDE): pixels on a scale of their own, the first guess, SAM's mask,
    what is within the image, how far the box's middle is, and the box's size."""
    cut = windows.cut(torch.cat([images, torch.ones_like(images[:, :1])], dim=1))
    pixels, within = cut[:, :3], cut[:, 3:]
    guess = first_guess(pixels, windows.boxes(LOOSE), None)
    mask = windows.cut((coarse[:, None] / _COARSE_SCALE).tanh())
    amount = within.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = pixels.sum(dim=(2, 3), keepdim=True) / amount
    spread = (((pixels - mean) * within) ** 2).sum(dim=(1, 2, 3), keepdim=True) / (3 * amount)
    own = (pixels - mean) * within / (spread.sqrt() + _SPREAD_FLOOR)
    axis = torch.linspace(-1, 1, SIDE, device=images.device)
    radius = (axis**2 + axis[:, None] ** 2).expand_as(within)
    sides = (windows.ends[:, 2:] - windows.ends[:, :2]).log()[..., None, None]
    return torch.cat([own, guess, mask, within, radius, sides.expand(-1, -1, SIDE, SIDE)], dim=1)
