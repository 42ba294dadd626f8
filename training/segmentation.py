"""Train the embedded segmentation network (a small SAM) on the pool of phantoms and abstract scenes.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.segmentation --pool build/pool --minutes 60

Writes `models/segmentation/{config.json,model.safetensors}` every few minutes, and a resumable state (weights, their
average, optimizer, step) to `build/segmentation/state.pt`, from which the next run goes on unless `--fresh` is given.
Loss as in MedSAM (Dice and cross-entropy without weights) plus the squared error of SAM's own quality estimate.
"""

import argparse
import json
import logging
import math
import time
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from mmedagent.networks.checkpoints import save_fp16
from mmedagent.networks.sam import SamConfig, build_sam, encode_prompts, thumbnails
from mmedagent.training.feed import Average, Clock, batches, optimizer_of, save_run, set_rate
from mmedagent.training.segmentation_data import Sample, sample_of

EMBEDDED = SamConfig(
    image_size=256, patch_size=8, embed_dim=192, depth=6, heads=6, window=8, global_blocks=(2, 5),
    prompt_dim=128, decoder_mlp=512, first_guess=True,
)  # fmt: skip
SHARES = {
    "ct": 0.24, "mr": 0.21, "xray": 0.1, "ultrasound": 0.09, "fundus": 0.05, "histology": 0.07, "photograph": 0.03,
    "abstract": 0.21,
}  # fmt: skip
PROMPTS = 8
PEAK_RATE, WARM_UP, DECAY = 6e-4, 200, 0.05
SAVE_SECONDS = 120

logger = logging.getLogger(__name__)


def export(state: dict[str, Tensor], config: SamConfig, folder: Path) -> None:
    """Write a checkpoint folder that `networks.sam.load_sam` reads."""
    sha256 = save_fp16(state, folder / "model.safetensors")
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


def loss_of(logits: Tensor, quality: Tensor, sample: Sample) -> tuple[Tensor, Tensor]:
    """Loss and mean Dice of masks; pixels far from the box count a tenth, and prompts without an object nothing."""
    truth, weight = sample.masks, sample.weights
    total = weight.sum().clamp(min=1)
    near = _near(sample.boxes, truth.shape[-1])
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight=near, reduction="none")
    entropy = entropy.sum(dim=(1, 2)) / near.sum(dim=(1, 2))
    soft = logits.sigmoid()
    dice = 1 - (2 * (soft * truth).sum(dim=(1, 2)) + 1) / (soft.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)
    with torch.no_grad():
        found, real = logits > 0, truth > 0.5
        both = (found & real).sum(dim=(1, 2)).float()
        either = found.sum(dim=(1, 2)) + real.sum(dim=(1, 2))
        iou = both / (either - both).clamp(min=1)
        hard = (2 * both + 1) / (either + 1)
    error = (quality - iou) ** 2
    return ((entropy + dice + 0.5 * error) * weight).sum() / total, (hard * weight).sum() / total


def _near(boxes: Tensor, side: int) -> Tensor:
    """Weights (n, side, side): 1 within the box grown by a quarter, 0.1 elsewhere."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, 0.625 * (boxes[:, 2:] - boxes[:, :2]) + 2 / side
    axis = (torch.arange(side, device=boxes.device) + 0.5) / side
    inside_x = (axis[None] - centre[:, :1]).abs() <= half[:, :1]
    inside_y = (axis[None] - centre[:, 1:]).abs() <= half[:, 1:]
    return torch.where(inside_y[:, :, None] & inside_x[:, None, :], 1.0, 0.1)


def start(config: SamConfig) -> Sam:
    """An untrained network in which the mask prompt outweighs the still meaningless image features."""
    sam = build_sam(config).train()
    with torch.no_grad():
        sam.image_encoder.neck[3].weight.fill_(0.25)
        sam.prompt_encoder.mask_downscaling[6].weight.mul_(3)
    return sam


class Run:
    """Weights, optimizer and step count that survive an interruption."""

    def __init__(self, state: Path, fresh: bool, device: torch.device, seconds: float) -> None:
        self.path, self.device = state, device
        self.sam = start(EMBEDDED).to(device)
        self.average = Average(self.sam)
        self.optimizer = optimizer_of(self.sam, PEAK_RATE, DECAY)
        self.count, before = 0, 0.0
        if state.is_file() and not fresh:
            saved = torch.load(state, weights_only=True, map_location=device)
            self.sam.load_state_dict(saved["sam"])
            self.average.state = saved["average"]
            self.optimizer.load_state_dict(saved["optimizer"])
            self.count, before = saved["count"], saved["spent"]
        self.clock = Clock(seconds, before)

    def save(self, folder: Path, resumable: bool = True) -> None:
        if resumable:
            save_run(
                self.path, sam=self.sam.state_dict(), average=self.average.state,
                optimizer=self.optimizer.state_dict(), count=self.count, spent=self.clock.spent,
            )  # fmt: skip
        export(self.average.state, EMBEDDED, folder)

    def step(self, sample: Sample) -> tuple[float, float]:
        """One update; returns loss and mean Dice."""
        set_rate(self.optimizer, self.clock.rate(PEAK_RATE, self.count, WARM_UP))
        boxes, points = prompts_of(sample.boxes, sample.points, torch.rand(()).item())
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits, quality = decode(self.sam, EMBEDDED, sample.images, boxes, points)
        total, score = loss_of(logits.float(), quality.float(), sample)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.sam.parameters(), 1.0)
        self.optimizer.step()
        self.average.follow(self.sam)
        self.count += 1
        return total.item(), score.item()


def train(run: Run, pool: Path, folder: Path, images: int) -> None:
    """Train until the budget, counted over all runs of this state, is spent."""
    source = batches(pool, SHARES, images, seed=1000 + run.count)
    saved, loss, dice = time.monotonic(), math.nan, math.nan
    columns = (TextColumn("segmentation"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=run.clock.seconds, state="")
        while run.clock.done < 1:
            new_loss, new_dice = run.step(sample_of(next(source), run.device, PROMPTS))
            loss = new_loss if math.isnan(loss) else 0.98 * loss + 0.02 * new_loss
            dice = new_dice if math.isnan(dice) else 0.98 * dice + 0.02 * new_dice
            state = f"step {run.count} loss {loss:.3f} Dice {dice:.3f}"
            progress.update(bar, completed=run.clock.spent, state=state)
            if run.count % 100 == 0:
                logger.info("%.0f s, %s", run.clock.spent, state)
            if time.monotonic() - saved > SAVE_SECONDS:
                run.save(folder)
                saved = time.monotonic()
    run.save(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=4, help="images a step, each with several prompts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("models/segmentation"))
    parser.add_argument("--state", type=Path, default=Path("build/segmentation/state.pt"))
    parser.add_argument("--fresh", action="store_true", help="start anew even if there is a state")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    run = Run(options.state, options.fresh, torch.device(options.device), 60 * options.minutes)
    train(run, options.pool, options.out, options.images)


if __name__ == "__main__":
    main()
