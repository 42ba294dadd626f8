"""Train the embedded segmentation network (a small SAM) on phantoms and abstract scenes.

    python -m mmedagent.training.segmentation --minutes 45

Writes `models/segmentation/{config.json,model.safetensors}` every few minutes, and a resumable state (weights,
optimizer, step) to `build/segmentation/state.pt`, from which the next run goes on unless `--fresh` is given.
Loss as in MedSAM (Dice and cross-entropy without weights) plus the squared error of SAM's own quality estimate.
"""

import argparse
import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from mmedagent.networks.checkpoints import save_fp16
from mmedagent.networks.sam import SamConfig, build_sam, encode_prompts, thumbnails
from mmedagent.training.segmentation_data import Sample, Stream

EMBEDDED = SamConfig(
    image_size=128, patch_size=8, embed_dim=128, depth=5, heads=4, window=8, global_blocks=(1, 3, 4),
    prompt_dim=96, decoder_mlp=256, first_guess=True,
)  # fmt: skip
IMAGES, PROMPTS = 4, 6
PEAK_RATE, WARM_UP = 4e-4, 60
SAVE_SECONDS = 120

logger = logging.getLogger(__name__)


def export(sam: Sam, config: SamConfig, folder: Path) -> None:
    """Write a checkpoint folder that `networks.sam.load_sam` reads."""
    sha256 = save_fp16(sam, folder / "model.safetensors")
    document = {"weights": "model.safetensors", "sha256": sha256, "architecture": config.to_json()}
    partial = folder / "config.json.partial"
    partial.write_text(json.dumps(document, indent=2) + "\n")
    partial.replace(folder / "config.json")


def decode(
    sam: Sam, config: SamConfig, images: Tensor, boxes: Tensor | None, points: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Logits (b n, g, g) and quality (b n,) for n normalised prompts on each of b images, in one pass.

    The same arithmetic as `MaskDecoder` with `multimask_output=False`, which takes one image at a time; a test holds
    the two together. Images are prepared (b, 3, S, S), boxes (b n, 4), points (b n, m, 3) with labels.
    """
    embeddings = sam.image_encoder(images)
    sparse, dense = encode_prompts(sam, config, thumbnails(images, config), boxes, points)
    decoder, count = sam.mask_decoder, len(sparse)
    special = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([special.expand(count, -1, -1), sparse], dim=1)
    image = embeddings.repeat_interleave(count // len(embeddings), dim=0) + dense
    places = sam.prompt_encoder.get_dense_pe().expand(count, -1, -1, -1)
    states, image = decoder.transformer(image, places, tokens)
    side = embeddings.shape[-1]
    fine = decoder.output_upscaling(image.transpose(1, 2).reshape(count, -1, side, side))
    weights = decoder.output_hypernetworks_mlps[0](states[:, 1])
    return torch.einsum("nc,nchw->nhw", weights, fine), decoder.iou_prediction_head(states[:, 0])[:, 0]


def prompts_of(boxes: Tensor, points: Tensor, draw: float) -> tuple[Tensor | None, Tensor | None]:
    """Boxes in nine steps of ten, else points alone or boxes with points."""
    if draw < 0.9:
        return boxes, None
    if draw < 0.95:
        return None, points[:, : 1 if draw < 0.92 else 3]
    return boxes, points[:, 1:]


def loss_of(logits: Tensor, quality: Tensor, truth: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and mean Dice of masks against coverage `truth` (n, s, s); pixels far from the box count a tenth."""
    fine = functional.interpolate(logits[:, None], truth.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    near = _near(boxes, truth.shape[-1])
    entropy = functional.binary_cross_entropy_with_logits(fine, truth, weight=near, reduction="none")
    entropy = entropy.sum(dim=(1, 2)) / near.sum(dim=(1, 2))
    soft = fine.sigmoid()
    dice = 1 - (2 * (soft * truth).sum(dim=(1, 2)) + 1) / (soft.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)
    with torch.no_grad():
        found, real = fine > 0, truth > 0.5
        both = (found & real).sum(dim=(1, 2)).float()
        total = found.sum(dim=(1, 2)) + real.sum(dim=(1, 2))
        iou = both / (total - both).clamp(min=1)
        hard = (2 * both + 1) / (total + 1)
    error = functional.mse_loss(quality, iou)
    return entropy.mean() + dice.mean() + 0.5 * error, hard.mean()


def _near(boxes: Tensor, side: int) -> Tensor:
    """Weights (n, side, side): 1 within the box grown by a quarter, 0.1 elsewhere."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, 0.625 * (boxes[:, 2:] - boxes[:, :2]) + 2 / side
    axis = (torch.arange(side) + 0.5) / side
    inside_x = (axis[None] - centre[:, :1]).abs() <= half[:, :1]
    inside_y = (axis[None] - centre[:, 1:]).abs() <= half[:, 1:]
    return torch.where(inside_y[:, :, None] & inside_x[:, None, :], 1.0, 0.1)


def step(sam: Sam, optimizer: torch.optim.Optimizer, batch: list[Sample], rate: float) -> tuple[float, float]:
    """One update; returns loss and mean Dice."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    images, truth, boxes, points = (torch.stack(parts) for parts in zip(*batch, strict=True))
    truth, boxes, points = truth.flatten(0, 1), boxes.flatten(0, 1), points.flatten(0, 1)
    some_boxes, some_points = prompts_of(boxes, points, torch.rand(()).item())
    logits, quality = decode(sam, EMBEDDED, images, some_boxes, some_points)
    total, score = loss_of(logits, quality, truth, boxes)
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
    optimizer.step()
    return total.item(), score.item()


def rate_at(count: int, done: float) -> float:
    """Warm-up by steps, then a cosine over the share `done` of the time budget."""
    return PEAK_RATE * min(1.0, (count + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def start(config: SamConfig) -> Sam:
    """An untrained network in which the mask prompt outweighs the still meaningless image features."""
    sam = build_sam(config).train()
    with torch.no_grad():
        sam.image_encoder.neck[3].weight.fill_(0.25)
        sam.prompt_encoder.mask_downscaling[6].weight.mul_(3)
    return sam


class Run:
    """Weights, optimizer and step count that survive an interruption."""

    def __init__(self, state: Path, fresh: bool) -> None:
        self.path = state
        self.sam = start(EMBEDDED)
        decayed = [p for p in self.sam.parameters() if p.ndim > 1]
        others = [p for p in self.sam.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": 0.02},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), fused=True)
        self.count, self.spent = 0, 0.0
        if state.is_file() and not fresh:
            saved = torch.load(state, weights_only=True)
            self.sam.load_state_dict(saved["sam"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.count, self.spent = saved["count"], saved["spent"]

    def save(self, folder: Path) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save(
            {
                "sam": self.sam.state_dict(), "optimizer": self.optimizer.state_dict(),
                "count": self.count, "spent": self.spent,
            },
            partial,
        )  # fmt: skip
        partial.replace(self.path)
        export(self.sam, EMBEDDED, folder)


def batches(seed: int) -> Iterator[list[Sample]]:
    """Lists of samples, drawn by one process beside this one."""
    stream = Stream(seed, EMBEDDED.image_size, PROMPTS)
    return iter(DataLoader(stream, batch_size=IMAGES, num_workers=1, prefetch_factor=6, collate_fn=list))


def train(run: Run, folder: Path, seconds: float) -> None:
    """Train until the budget, counted over all runs of this state, is spent."""
    source = batches(seed=1000 + run.count)
    saved, started, before = time.monotonic(), time.monotonic(), run.spent
    loss = dice = math.nan
    columns = (TextColumn("segmentation"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=seconds, completed=int(run.spent), state="")
        while run.spent < seconds:
            new_loss, new_dice = step(run.sam, run.optimizer, next(source), rate_at(run.count, run.spent / seconds))
            loss = new_loss if math.isnan(loss) else 0.98 * loss + 0.02 * new_loss
            dice = new_dice if math.isnan(dice) else 0.98 * dice + 0.02 * new_dice
            run.count += 1
            run.spent = before + time.monotonic() - started
            progress.update(bar, completed=run.spent, state=f"step {run.count} loss {loss:.3f} Dice {dice:.3f}")
            if run.count % 25 == 0:
                logger.info("step %d, %.0f s, loss %.3f, Dice %.3f", run.count, run.spent, loss, dice)
            if time.monotonic() - saved > SAVE_SECONDS:
                run.save(folder)
                saved = time.monotonic()
    run.save(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("models/segmentation"))
    parser.add_argument("--state", type=Path, default=Path("build/segmentation/state.pt"))
    parser.add_argument("--fresh", action="store_true", help="start anew even if there is a state")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    train(Run(options.state, options.fresh), options.out, 60 * options.minutes)


if __name__ == "__main__":
    main()
