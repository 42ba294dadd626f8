"""Train the second look of the embedded segmentation network, on top of a finished small SAM that stays as it is.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.refinement --pool build/pool --start models/segmentation --minutes 90

Writes the folder anew every two minutes, and a state to `--work`, from which a run that was stopped goes on. Loss as in
MedSAM, in the window of each object, plus the squared error of the quality estimate. SAM costs twice as much as the
refiner, so most steps leave its mask out (all zeros): there the refiner learns from pixels and first guess alone.
"""

import argparse
import logging
from pathlib import Path

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from mmedagent.networks.checkpoints import load_state, load_strict
from mmedagent.networks.sam import SamConfig, build_sam, read_config
from mmedagent.networks.sam_refine import Windows, tight_boxes
from mmedagent.training.feed import Run, autocast, batches
from mmedagent.training.segmentation import PROMPTS, SHARES, decode, export, outline_loss, prompts_of
from mmedagent.training.segmentation_data import Sample, sample_of

WIDTHS = (24, 48, 96, 128)
BLIND = 0.8
"""Share of the steps without SAM's mask."""

INWARDS = 0.15
"""How far the edges of boxes move inwards: hurried hands cut objects off, and the second look sees beyond the box."""

RATE, WARM_UP, DECAY, CLIP = 2e-3, 100, 0.02, 1.0


def start(folder: Path) -> tuple[Sam, SamConfig]:
    """The network of a folder, frozen, with its refiner, or a new one where it has none."""
    config, weights, sha256 = read_config(folder)
    state = load_state(weights, sha256)
    refined = SamConfig.from_json({**config.to_json(), "refiner": list(config.refiner or WIDTHS)})
    sam = build_sam(refined)
    if not config.refiner:
        state |= {f"refiner.{name}": value for name, value in sam.refiner.state_dict().items()}
    load_strict(sam, state)
    sam.requires_grad_(False)
    sam.refiner.requires_grad_(True).train()
    return sam, refined


def losses_of(sam: Sam, config: SamConfig, sample: Sample) -> dict[str, Tensor]:
    """The parts of the loss for kinds of prompts that are drawn at random."""
    blind, draw = torch.rand(2).tolist()
    with autocast(sample.images.device):
        if blind < BLIND:
            boxes, coarse = sample.boxes, torch.zeros_like(sample.coverage)
        else:
            given, points = prompts_of(sample.boxes, sample.points, draw)
            with torch.no_grad():
                coarse, _ = decode(sam, config, sample.images, given, points)
            boxes = tight_boxes(coarse > 0)[0] if given is None else given
        windows = Windows.around(boxes)
        logits, quality = sam.refiner(sample.images, coarse.float(), windows)
    truth = windows.cut(sample.masks[:, None])[:, 0]
    return outline_loss(logits.float(), quality.float(), truth, sample.weights, torch.ones_like(truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--start", type=Path, default=Path("models/segmentation"), help="the finished small SAM")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--images", type=int, default=4, help="images a step, each with several prompts")
    parser.add_argument("--rate", type=float, default=RATE, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("models/segmentation"))
    parser.add_argument("--work", type=Path, default=Path("build/refinement"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    sam, config = start(options.start)
    sam.to(device)
    run = Run("refinement", options.work / "last.pt", sam.refiner, sam, options.rate, DECAY, 60 * options.minutes)
    source = batches(options.pool, SHARES, options.images, seed=2000 + run.count)
    run.train(
        lambda: losses_of(sam, config, sample_of(next(source), device, PROMPTS, INWARDS)), WARM_UP, CLIP,
        lambda: export(run.average.state, config, options.out),
    )  # fmt: skip


if __name__ == "__main__":
    main()
