"""What happens to images between scanner and chat, on the device of the training and for a batch at once.

Every image is drawn through this at each pass, so that networks cannot rely on the exact look of phantoms. All images
are float32 (n, 3, S, S) in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Geometry:
    """How far a view may move. Mirroring and turning are decided for each image by whoever knows its anatomy.

    Attributes:
        zoom: least and most share of the image's side that is seen; above 1 a margin appears.
        stretch: spread of the logarithm of the aspect ratio.
        turn: standard deviation of the rotation in radians.
    """

    zoom: tuple[float, float] = (0.6, 1.15)
    stretch: float = 0.12
    turn: float = 0.08


@dataclass
class Frames:
    """Affine views of a batch: the same view for image and masks.

    Attributes:
        theta: float32 (n, 2, 3), from places in the view to places in the image, both in [-1, 1].
    """

    theta: Tensor

    @classmethod
    def draw(cls, geometry: Geometry, mirror: Tensor, upside_down: Tensor) -> Frames:
        """Random views; `mirror` and `upside_down` are bool (n,): images that are seen from the other side."""
        count, device = len(mirror), mirror.device
        low, high = geometry.zoom
        zoom = torch.empty(count, device=device).uniform_(low, high)
        ratio = torch.exp(geometry.stretch * torch.randn(count, device=device))
        scale_x, scale_y = zoom * ratio, zoom / ratio
        shift_x = (1 - scale_x).abs() * torch.empty(count, device=device).uniform_(-1, 1)
        shift_y = (1 - scale_y).abs() * torch.empty(count, device=device).uniform_(-1, 1)
        angle = geometry.turn * torch.randn(count, device=device)
        sign_x, sign_y = torch.where(mirror, -1.0, 1.0), torch.where(upside_down, -1.0, 1.0)
        cos, sin = angle.cos(), angle.sin()
        first = torch.stack([sign_x * scale_x * cos, -scale_y * sin, shift_x], dim=1)
        second = torch.stack([scale_x * sin, sign_y * scale_y * cos, shift_y], dim=1)
        return cls(torch.stack([first, second], dim=1))

    def of(self, places: Tensor) -> Frames:
        """The views of some images, by their places (k,)."""
        return Frames(self.theta[places])

    def apply(self, planes: Tensor) -> Tensor:
        """Planes float (n, c, S, S) seen through the views; outside is 0."""
        grid = functional.affine_grid(self.theta, [len(planes), 1, *planes.shape[-2:]], align_corners=False)
        return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def vary(images: Tensor, strength: float = 1.0) -> Tensor:
    """Grey-scale and colour changes, blur, noise, coarse files; a draw for each image."""
    images = _tone(images, strength)
    images = _blur(images)
    images = _colour(images)
    return _noise(images, strength).clamp(0, 1)


def streaked(images: Tensor, which: Tensor, share: float) -> Tensor:
    """The CT images, those of `which` bool (n,), with the streaks of too few photons: noise that is long in rows.

    They run along the longest way through the body, between the shoulders or the hips (Barrett and Keat 2004,
    RadioGraphics 24(6)); in air, which is black in these windows, little of them is left.
    """
    places = torch.nonzero(which & (torch.rand(len(which), device=which.device) < share)).flatten()
    if not len(places):
        return images
    own = images[places]
    reach = int(torch.randint(3, 20, ()))
    noise = torch.randn_like(own[:, :1])
    long = functional.avg_pool2d(noise, (1, 2 * reach + 1), stride=1, padding=(0, reach), count_include_pad=False)
    amount = _draw(own, 0.02, 0.14) * (2 * reach + 1) ** 0.5
    changed = images.clone()
    changed[places] = own + amount * long * own.clamp(max=0.5)
    return changed.clamp(0, 1)


def _draw(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)


def _some(images: Tensor, share: float) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device) < share


def _tone(images: Tensor, strength: float) -> Tensor:
    gamma = torch.exp(0.35 * strength * torch.randn(len(images), 1, 1, 1, device=images.device))
    images = torch.where(_some(images, 0.6), images.clamp(min=1e-4) ** gamma, images)
    changed = images * _draw(images, 0.55, 1.3) + 0.05 * torch.randn(len(images), 1, 1, 1, device=images.device)
    images = torch.where(_some(images, 0.4 * strength), changed, images)
    # A narrower window, as viewers set it: what is bright saturates.
    narrow = (images - _draw(images, 0, 0.3)) / _draw(images, 0.35, 0.8)
    images = torch.where(_some(images, 0.2 * strength), narrow, images).clamp(0, 1)
    return torch.where(_some(images, 0.02), 1 - images, images)


def _blur(images: Tensor) -> Tensor:
    """Blur, sharpening, or a passage through a smaller image; one draw of the kind for a part of the batch."""
    side = images.shape[-1]
    parts = list(torch.split(images, max(1, len(images) // 8)))
    for place, part in enumerate(parts):
        draw = float(torch.rand(()))
        if draw < 0.2:
            parts[place] = _gaussian(part, 0.4 + 1.4 * float(torch.rand(())))
        elif draw < 0.3:
            parts[place] = (part + (0.5 + 2 * float(torch.rand(()))) * (part - _gaussian(part, 1.0))).clamp(0, 1)
        elif draw < 0.5:
            small = int(side * (0.2 + 0.6 * float(torch.rand(()))))
            low = functional.interpolate(part, (small, small), mode="bilinear", antialias=True)
            parts[place] = functional.interpolate(low, (side, side), mode="bilinear")
    return torch.cat(parts)


def _gaussian(images: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    axis = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (axis / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, across, groups=channels), down, groups=channels)


def _colour(images: Tensor) -> Tensor:
    """A cast and a change of saturation; colour images are sometimes stored in grey, grey ones rarely tinted."""
    grey = images.mean(dim=1, keepdim=True)
    coloured = (images - grey).abs().mean(dim=(1, 2, 3), keepdim=True) > 0.02
    cast = torch.exp(0.08 * torch.randn(len(images), 3, 1, 1, device=images.device))
    changed = (grey + (images - grey) * _draw(images, 0.4, 1.5)) * cast
    images = torch.where(coloured & _some(images, 0.6), changed, images)
    images = torch.where(coloured & _some(images, 0.05), grey.expand_as(images), images)
    tint = torch.empty(len(images), 3, 1, 1, device=images.device).uniform_(0.75, 1.0)
    return torch.where(~coloured & _some(images, 0.06), images * tint, images)


def _noise(images: Tensor, strength: float) -> Tensor:
    amount = 0.03 * strength * torch.empty(len(images), 1, 1, 1, device=images.device).exponential_()
    grains = torch.randn_like(images[:, :1])
    images = torch.where(_some(images, 0.3), images + amount * grains, images)
    steps = _draw(images, 12, 64)
    return torch.where(_some(images, 0.1), (images.clamp(0, 1) * steps).round() / steps, images)
