"""Pretrain the convolutional trunk that grounding and segmentation start from: where in a phantom is which structure.

    python -m mmedagent.training.trunk --pool build/pool --minutes 30 --threads 2

A ResNet (He et al. 2016, the one of transformers) under a feature pyramid (Lin et al. 2017) predicts, on a grid of a
quarter of the image's side, the coverage of every structure that has a name, and from its last stage the modality.
Every cell of every image teaches it something, so it learns within minutes what set prediction alone needs days for.
Only the trunk is kept. A run that was stopped goes on from its last state in `--work`.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork, sigmoid_focal_loss
from transformers import ResNetBackbone, ResNetConfig

from mmedagent.networks.trunk import MEAN, STD, WIDTHS, trunk_config
from mmedagent.training.coverage import coverage_of, dice_of_shown
from mmedagent.training.feed import Batch, Run, autocast, batches
from mmedagent.training.grounding_data import STILL, may_mirror
from mmedagent.training.grounding_names import Names, load_names
from mmedagent.training.variation import Frames, vary

SHARES = {
    "ct": 0.26, "mr": 0.23, "xray": 0.16, "ultrasound": 0.11, "fundus": 0.07, "histology": 0.09, "photograph": 0.04,
    "other": 0.04,
}  # fmt: skip
MODALITIES = ("CT", "MR", "X-ray", "ultrasound", "fundus", "histology", "photograph", "")
"""As phantoms name them; the last is no medical image."""

PYRAMID = 96
PEAK_RATE, WARM_UP, DECAY = 2e-3, 100, 0.02
STRIDE = 4


class Pretraining(nn.Module):
    """The trunk, and the heads that only its training has."""

    def __init__(self, structures: int) -> None:
        super().__init__()
        self.trunk = ResNetBackbone(ResNetConfig(**trunk_config()))
        self.pyramid = FeaturePyramidNetwork(list(WIDTHS), PYRAMID)
        last = nn.Conv2d(PYRAMID, structures, 1)
        nn.init.constant_(last.get_parameter("bias"), -4.0)
        self.head = nn.Sequential(
            nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1), nn.BatchNorm2d(PYRAMID), nn.ReLU(), last
        )  # fmt: skip
        self.modality = nn.Linear(WIDTHS[-1], len(MODALITIES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, structures, S/4, S/4) and (n, modalities) of images (n, 3, S, S)."""
        maps = self.trunk(images.contiguous(memory_format=torch.channels_last)).feature_maps
        pyramid = self.pyramid({str(place): one for place, one in enumerate(maps)})
        return self.head(pyramid["0"]), self.modality(maps[-1].mean(dim=(2, 3)))


class Lesson:
    """Turns batches into images (n, 3, side, side), coverage of the structures, and modalities."""

    def __init__(self, names: Names, device: torch.device) -> None:
        self._names, self._device = names, device

    def __call__(self, batch: Batch, side: int) -> tuple[Tensor, Tensor, Tensor]:
        images, bits = batch.to(self._device)
        mirror = torch.tensor([may_mirror(row) for row in batch.rows]) & (torch.rand(len(images)) < 0.5)
        view = Frames.draw(STILL, mirror.to(self._device), torch.zeros_like(mirror).to(self._device))
        seen = functional.interpolate(view.apply(images), (side, side), mode="bilinear", antialias=True)
        modality = torch.tensor([MODALITIES.index(row.modality) for row in batch.rows])
        truth = coverage_of(self._names.structures, bits, batch.rows, view, side // STRIDE)
        return (vary(seen) - MEAN) / STD, truth, modality.to(self._device)


def loss_of(logits: Tensor, modality: Tensor, truth: Tensor, kind: Tensor) -> dict[str, Tensor]:
    """Focal loss of all cells, Dice of the structures that are there, and cross-entropy of the modality."""
    here = truth.amax(dim=(2, 3)) > 0.5
    focal = sigmoid_focal_loss(logits, truth, alpha=0.6, gamma=2.0).sum() / here.sum().clamp(min=1) / 64
    return {
        "focal": focal,
        "dice": dice_of_shown(logits, truth),
        "modality": 0.3 * functional.cross_entropy(modality, kind),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--work", type=Path, default=Path("build/trunk"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--images", type=int, default=16, help="images a step")
    parser.add_argument("--side", type=int, default=192, help="pixels that images are resized to, a multiple of 32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device, names = torch.device(options.device), load_names()
    network = Pretraining(len(names.structures)).to(device).to(memory_format=torch.channels_last).train()
    lesson = Lesson(names, device)

    def losses(batch: Batch) -> dict[str, Tensor]:
        images, truth, kind = lesson(batch, options.side)
        with autocast(device):
            logits, modality = network(images)
        return loss_of(logits.float(), modality.float(), truth, kind)

    run = Run("trunk", options.work / "last.pt", network, network.trunk, PEAK_RATE, DECAY, 60 * options.minutes)
    source = batches(options.pool, SHARES, options.images, seed=5000 + run.count)
    run.train(lambda: losses(next(source)), WARM_UP, clip=1.0)


if __name__ == "__main__":
    main()
