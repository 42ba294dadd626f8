"""Train the embedded segmentation network (a small SAM) on the pool of phantoms and abstract scenes.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.segmentation --pool build/pool --minutes 60

Writes `models/segmentation/{config.json,model.safetensors}` every two minutes, and a state to `--work`, from which a
run that was stopped goes on. With `--trunk build/trunk/last.pt` the image encoder is the pretrained trunk in place of a
ViT from random weights. Loss as in MedSAM (Dice and cross-entropy without weights) plus the squared error of SAM's own
quality estimate.
"""

import argparse
import json
import logging
from pathlib import Path

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional

from mmedagent.networks.checkpoints import load_strict, save_fp16
from mmedagent.networks.sam import SamConfig, build_sam, encode_prompts
from mmedagent.networks.trunk import WIDTHS
from mmedagent.training.dice import dice_loss
from mmedagent.training.feed import Run, autocast, batches
from mmedagent.training.segmentation_data import Sample, sample_of

EMBEDDED = SamConfig(
    image_size=256, patch_size=8, embed_dim=192, depth=6, heads=6, window=8, global_blocks=(2, 5),
    prompt_dim=128, decoder_mlp=512, first_guess=True,
)  # fmt: skip
OVER_TRUNK = SamConfig(image_size=256, patch_size=8, trunk=WIDTHS, prompt_dim=128, decoder_mlp=512, first_guess=True)
SHARES = {
    "ct": 0.24, "mr": 0.21, "xray": 0.1, "ultrasound": 0.09, "fundus": 0.05, "histology": 0.07, "photograph": 0.03,
    "abstract": 0.21,
}  # fmt: skip
PROMPTS = 8
PEAK_RATE, WARM_UP, DECAY, CLIP = 6e-4, 200, 0.05, 1.0


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
    sparse, dense = encode_prompts(sam, config, images, boxes, points)
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


def loss_of(logits: Tensor, quality: Tensor, sample: Sample) -> dict[str, Tensor]:
    """`outline_loss` on the grid of SAM's masks, where pixels far from the box count a tenth."""
    truth = sample.coverage
    return outline_loss(logits, quality, truth, sample.weights, _near(sample.boxes, truth.shape[-1]))


def outline_loss(logits: Tensor, quality: Tensor, truth: Tensor, weight: Tensor, near: Tensor) -> dict[str, Tensor]:
    """Cross-entropy, Dice and the error of the quality.

    Args:
        logits, truth: (n, h, w), the truth in [0, 1].
        quality: expected intersection over union (n,).
        weight: (n,), 0 for prompts without an object.
        near: (n, h, w), how much each place counts in the cross-entropy.
    """
    total = weight.sum().clamp(min=1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight=near, reduction="none")
    entropy = entropy.sum(dim=(1, 2)) / near.sum(dim=(1, 2))
    dice = dice_loss(logits.sigmoid(), truth)
    with torch.no_grad():
        found, real = logits > 0, truth > 0.5
        both = (found & real).sum(dim=(1, 2)).float()
        iou = both / (found | real).sum(dim=(1, 2)).clamp(min=1)
    parts = {"entropy": entropy, "Dice": dice, "quality": 0.5 * (quality - iou) ** 2}
    return {name: (part * weight).sum() / total for name, part in parts.items()}


def _near(boxes: Tensor, side: int) -> Tensor:
    """Weights (n, side, side): 1 within the box grown by a quarter, 0.1 elsewhere."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, 0.625 * (boxes[:, 2:] - boxes[:, :2]) + 2 / side
    axis = (torch.arange(side, device=boxes.device) + 0.5) / side
    inside_x = (axis[None] - centre[:, :1]).abs() <= half[:, :1]
    inside_y = (axis[None] - centre[:, 1:]).abs() <= half[:, 1:]
    return torch.where(inside_y[:, :, None] & inside_x[:, None, :], 1.0, 0.1)


def start(config: SamConfig, trunk: Path | None = None) -> Sam:
    """A network, over the trunk of a run of `training.trunk` if given; the mask prompt first outweighs the rest."""
    sam = build_sam(config).train()
    last = sam.image_encoder.norm if config.trunk else sam.image_encoder.neck[3]
    with torch.no_grad():
        last.weight.fill_(0.25)
        sam.prompt_encoder.mask_downscaling[6].weight.mul_(3)
    if trunk is not None:
        load_strict(sam.image_encoder.trunk, torch.load(trunk, weights_only=True)["average"])
        for module in sam.image_encoder.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # its statistics stay those of the pretraining
    return sam


def losses_of(sam: Sam, config: SamConfig, sample: Sample) -> dict[str, Tensor]:
    """The parts of the loss for kinds of prompts that are drawn at random."""
    boxes, points = prompts_of(sample.boxes, sample.points, torch.rand(()).item())
    with autocast(sample.images.device):
        logits, quality = decode(sam, config, sample.images, boxes, points)
    return loss_of(logits.float(), quality.float(), sample)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=4, help="images a step, each with several prompts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("models/segmentation"))
    parser.add_argument("--work", type=Path, default=Path("build/segmentation"))
    parser.add_argument("--trunk", type=Path, help="state of training.trunk, to start from")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    config = OVER_TRUNK if options.trunk else EMBEDDED
    sam = start(config, options.trunk).to(device)
    run = Run("segmentation", options.work / "last.pt", sam, sam, PEAK_RATE, DECAY, 60 * options.minutes)
    source = batches(options.pool, SHARES, options.images, seed=1000 + run.count)
    run.train(
        lambda: losses_of(sam, config, sample_of(next(source), device, PROMPTS)), WARM_UP, CLIP,
        lambda: export(run.average.state, config, options.out),
    )  # fmt: skip


if __name__ == "__main__":
    main()
