"""Score a segmentation checkpoint on phantoms that training never draws: mean Dice of box prompts by kind.

    python -m mmedagent.training.segmentation_scores models/segmentation --images 40

Also prints the score of the same network with its weights shuffled, which is what chance gives, and of filling the
ellipse inscribed in each box, which is what a box gives without looking at the image.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from segment_anything.modeling import Sam

from mmedagent.networks.sam import MedSam, load_sam
from mmedagent.training.phantoms import KINDS
from mmedagent.training.phantoms.base import Mask, Pixels
from mmedagent.training.segmentation_data import Objects, abstract, box_of, from_phantom, jitter

HELD_OUT = 7_000_001
"""First word of every held-out seed; training seeds are far below it."""
SIZE = 256
KINDS_AND_ABSTRACT = (*KINDS, "abstract")

Segmenter = Callable[[Pixels, NDArray[np.float32]], NDArray[np.bool_]]
"""From an image (H, W) or (H, W, 3) and boxes (n, 4) to masks (n, H, W)."""


def held_out(kind: str, index: int, limit: int = 6) -> tuple[Objects, NDArray[np.float32]]:
    """The objects of a held-out image with loosely drawn boxes (n, 4), edges up to 10 % of the side away."""
    rng = np.random.default_rng([HELD_OUT, KINDS_AND_ABSTRACT.index(kind), index])
    objects = abstract(rng, SIZE) if kind == "abstract" else from_phantom(kind, rng, SIZE)
    masks = objects.masks[:limit]
    boxes = [jitter(box_of(mask), rng, 0.1) for mask in masks]
    return Objects(objects.image, masks), np.asarray(boxes, np.float32).reshape(-1, 4)


def dice(found: Mask, truth: Mask) -> float:
    """Overlap in [0, 1]; 1 for two empty masks."""
    total = int(found.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2 * int((found & truth).sum()) / total


def score(segmenter: Segmenter, kind: str, images: int) -> float:
    """Mean Dice over the objects of `images` held-out images of a kind."""
    values: list[float] = []
    for index in range(images):
        objects, boxes = held_out(kind, index)
        if objects.masks:
            found = segmenter(objects.image, boxes)
            values += [dice(mask, truth) for mask, truth in zip(found, objects.masks, strict=True)]
    return float(np.mean(values))


def by_network(network: MedSam) -> Segmenter:
    def segment(image: Pixels, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        height, width = image.shape[:2]
        return network.segment(network.embed(image), (height, width), boxes=boxes)[0]

    return segment


def by_ellipse(image: Pixels, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The ellipse inscribed in each box."""
    height, width = image.shape[:2]
    rows, columns = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width
    masks = [
        ((2 * columns - x1 - x2) / (x2 - x1)) ** 2 + ((2 * rows - y1 - y2) / (y2 - y1)) ** 2 <= 1
        for x1, y1, x2, y2 in boxes
    ]
    return np.stack(masks)


def shuffle_weights(sam: Sam, seed: int) -> None:
    """Permute the values within every parameter, in place: the same statistics, nothing learnt."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in sam.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=40, help="images of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, shuffled = load_sam(options.folder), load_sam(options.folder)
    shuffle_weights(shuffled.sam, seed=0)
    segmenters = {"network": by_network(network), "shuffled": by_network(shuffled), "ellipse": by_ellipse}
    table = Table("kind", *segmenters, title=f"mean Dice, {options.images} held-out images a kind")
    rows = [
        [score(segmenter, kind, options.images) for segmenter in segmenters.values()]
        for kind in track(KINDS_AND_ABSTRACT, "scoring")
    ]
    for kind, row in zip(KINDS_AND_ABSTRACT, rows, strict=True):
        table.add_row(kind, *(f"{value:.3f}" for value in row))
    table.add_row("mean of the six kinds", *(f"{value:.3f}" for value in np.mean(rows[:-1], axis=0)))
    Console().print(table)


if __name__ == "__main__":
    main()
