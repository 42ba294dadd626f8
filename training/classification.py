"""Train the embedded classifier on the pool of phantoms and write its folder.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.text_bank --pool build/pool --out build/texts.safetensors
    python -m mmedagent.training.classification --pool build/pool --texts build/texts.safetensors --minutes 60

The vision tower starts from random weights. Beside the words it learns in which cell of its last feature map which
structure is, which every image teaches it many times over. The text tower is MiniLM, frozen, with a learnt projection.
A run that was stopped goes on from its last state in `--work`. Temperatures are fitted on images that were held out of
the training.
"""

import argparse
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from open_clip import CustomTextCLIP
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.bert.configuration_bert import BertConfig

from mmedagent.networks.checkpoints import load_state, load_strict, save_fp16
from mmedagent.networks.clip import CONFIG_FILE, TEXT_PREFIX, build_network
from mmedagent.networks.minilm import MINILM_SHA256
from mmedagent.training.classification_captions import PROMPTS, TEMPLATES
from mmedagent.training.classification_loss import GATE, TASKS, Texts, loss_of, targets_of
from mmedagent.training.coverage import coverage_of, dice_of_shown
from mmedagent.training.feed import Batch, Run, autocast, batches, mix
from mmedagent.training.grounding_names import load_names
from mmedagent.training.pool import Row
from mmedagent.training.text_bank import TextBank, read
from mmedagent.training.variation import Frames, Geometry, streaked, vary

VISION = "regnety_006"
SIZE, WIDTH, CONTEXT = 160, 256, 64
SHARES = {
    "ct": 0.17, "mr": 0.18, "xray": 0.1, "ultrasound": 0.12, "fundus": 0.06, "histology": 0.08, "photograph": 0.05,
    "other": 0.24,
}  # fmt: skip
PEAK_RATE, WARM_UP, DECAY, CLIP = 2e-3, 200, 0.05, 1.0
CLOSE_SHARE = 0.3
WIDE = Geometry(zoom=(0.85, 1.3), stretch=0.15, turn=0.08)
NEAR = Geometry(zoom=(0.2, 0.8), stretch=0.2, turn=0.2)
CELLS = SIZE // 32
"""Cells along a side of the vision tower's last feature map."""

WHERE = tuple(one for one in load_names().structures if not one.name.startswith(("left ", "right ")))
"""Structures whose place is learnt beside the words. Views are mirrored, so those with a side are left out."""

DENSE_WEIGHT = 0.5
FITTED_BATCHES = 12
MEAN, STD = (0.45, 0.45, 0.45), (0.27, 0.27, 0.27)

STREAK_SHARE = 0.3
"""Of the CT images, which are shown with the noise of too few photons."""

logger = logging.getLogger(__name__)


def architecture(size: int) -> dict[str, Any]:
    """The `open_clip_config.json` of the embedded model for images of `size` x `size` pixels."""
    return {
        "model_cfg": {
            "embed_dim": WIDTH,
            "vision_cfg": {"timm_model_name": VISION, "timm_pool": "avg", "timm_proj": "", "image_size": size},
            "text_cfg": {
                "hf_model_name": "sentence-transformers/all-MiniLM-L6-v2",
                "hf_tokenizer_name": "sentence-transformers/all-MiniLM-L6-v2",
                "hf_proj_type": "linear",
                "hf_pooler_type": "mean_pooler",
                "context_length": CONTEXT,
            },
        },
        # Squashing keeps the borders of the image, where radiographs and scans hold much of what tells them apart.
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"},
        "text_base": {"name": "all-MiniLM-L6-v2", "sha256": MINILM_SHA256},
    }


def new_network(config: Mapping[str, Any]) -> CustomTextCLIP:
    """The network with a random vision tower and projection; its text tower is not used and shrunk to nothing."""
    text = BertConfig(hidden_size=384, num_hidden_layers=1, num_attention_heads=12, intermediate_size=8, vocab_size=8)
    network = build_network(config, text)
    network.text.transformer = nn.Identity()
    return network


class Views(NamedTuple):
    """A batch as the network sees it.

    Attributes:
        pixels: float32 (n, 3, SIZE, SIZE), normalised.
        close: which views show too little for more than the modality.
        coverage: how much of each cell each of the `WHERE` structures covers, (n, structures, CELLS, CELLS).
    """

    pixels: Tensor
    close: list[bool]
    coverage: Tensor


def views(batch: Batch, device: torch.device) -> Views:
    """Random views of a batch."""
    images, bits = batch.to(device)
    count = len(images)
    flips = torch.rand(2, count, device=device) < torch.tensor([[0.5], [0.12]], device=device)
    close = torch.rand(count) < CLOSE_SHARE
    wide, near = (Frames.draw(geometry, flips[0], flips[1]) for geometry in (WIDE, NEAR))
    view = Frames(torch.where(close.to(device)[:, None, None], near.theta, wide.theta))
    ct = torch.tensor([row.modality == "CT" for row in batch.rows], device=device)
    small = functional.interpolate(view.apply(images), (SIZE, SIZE), mode="bilinear", antialias=True)
    seen = vary(streaked(small, ct, STREAK_SHARE))
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
    coverage = coverage_of(WHERE, bits, batch.rows, view, CELLS)
    return Views((seen - mean) / std, close.tolist(), coverage)


class Trainer:
    """The network, and how a batch becomes a loss."""

    def __init__(self, bank: TextBank, device: torch.device, start: Path | None = None) -> None:
        self.config, self.device = architecture(SIZE), device
        self.network = new_network(self.config).to(device).train()
        self.where = nn.Conv2d(self.network.visual.trunk.num_features, len(WHERE), 1).to(device)
        nn.init.constant_(self.where.get_parameter("bias"), -4.0)
        self.parts = nn.ModuleDict({"network": self.network, "where": self.where})
        if start is not None:
            load_strict(self.network, load_state(start / "model.safetensors"))
        self.texts = Texts(bank.sentences, device)
        self.rng = np.random.default_rng(0)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors float32 (n, d), and where the structures are, logits (n, structures, CELLS, CELLS)."""
        tower = self.network.visual
        with autocast(self.device):
            maps = tower.trunk.forward_features(pixels.contiguous(memory_format=torch.channels_last))
            features, where = tower.head(tower.trunk.forward_head(maps)), self.where(maps)
        return functional.normalize(features.float(), dim=1), where.float()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """What an update lowers; the scale of the logits is kept within its range."""
        with torch.no_grad():
            self.network.logit_scale.clamp_(0, math.log(60))
        seen = views(batch, self.device)
        targets = targets_of(batch.rows, seen.close, self.rng)
        vectors, where = self.encode(seen.pixels)
        scale = self.network.logit_scale.exp()
        entropy = functional.binary_cross_entropy_with_logits(where, seen.coverage, reduction="sum")
        dense = 0.02 * entropy / len(where) + dice_of_shown(where, seen.coverage, least=0.1)
        return {
            "words": loss_of(vectors, scale, targets, self.texts, self.network.text.proj, self.rng),
            "dense": DENSE_WEIGHT * dense,
        }


@torch.inference_mode()
def calibrate(trainer: Trainer, pool: Path, images: int) -> tuple[dict[str, float], dict[str, float]]:
    """Temperature of each task by maximum likelihood, and its accuracy, on varied images of a held-out pool.

    Source: Guo et al., On Calibration of Modern Neural Networks (arXiv 1706.04599).
    """
    source = batches(pool, SHARES, images, seed=77)
    vectors: list[Tensor] = []
    rows: list[Row] = []
    close: list[bool] = []
    for _ in range(FITTED_BATCHES):
        batch = next(source)
        seen = views(batch, trainer.device)
        vectors.append(trainer.encode(seen.pixels)[0])
        rows += batch.rows
        close += seen.close
    images_, targets = torch.cat(vectors), targets_of(rows, close, trainer.rng)
    scale = float(trainer.network.logit_scale.exp())
    temperatures, accuracies = {}, {}
    for task, wanted in targets.tasks.items():
        known = wanted.sum(dim=1) > 0
        vectors_of_labels = trainer.texts.prompt_vectors(task, trainer.network.text.proj, PROMPTS)
        logits, truth = (scale * images_ @ vectors_of_labels.T).cpu()[known], wanted[known]
        temperatures[task] = _fitted(logits, truth)
        accuracies[task] = float((truth.gather(1, logits.argmax(1, keepdim=True)) > 0).float().mean())
    return temperatures, accuracies


def _fitted(logits: Tensor, truth: Tensor) -> float:
    choices = [float(value) for value in np.geomspace(0.25, 8, 61)]
    return min(choices, key=lambda value: float(functional.cross_entropy(logits / value, truth)))


def export(
    state: Mapping[str, Tensor], config: Mapping[str, Any], temperatures: Mapping[str, float], folder: Path
) -> str:
    """Write the model's folder; returns the sha256 of its weights."""
    own = {name: value for name, value in state.items() if not name.startswith(TEXT_PREFIX)}
    digest = save_fp16(own, folder / "model.safetensors")
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    tasks = {
        task: {
            "temperature": round(temperatures[task], 3),
            "labels": {label.name: label.phrasings[:PROMPTS] for label in labels},
        }
        for task, labels in TASKS.items()
    }
    words = {
        "version": "2.0.0",
        "templates": TEMPLATES,
        "temperature": round(temperatures["modality"], 3),
        "gate": tasks.pop(GATE),
        "tasks": tasks,
    }
    (folder / "config.json").write_text(json.dumps(words, indent=2) + "\n", "utf-8")
    return digest


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--held-out", type=Path, help="a pool that is not trained on, for temperatures")
    parser.add_argument("--texts", type=Path, required=True, help="what mmedagent.training.text_bank wrote")
    parser.add_argument("--work", type=Path, default=Path("build/classification"))
    parser.add_argument("--out", type=Path, default=Path("models/classification"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=32, help="images a step")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="a finished folder whose weights to go on from")
    parser.add_argument("--keep", type=float, default=0.0, help="share of the weights of --start to keep in the end")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    bank = read(options.texts)
    trainer = Trainer(bank, device, options.start)
    path, seconds = options.work / "last.pt", 60 * options.minutes
    run = Run("classification", path, trainer.parts, trainer.network, options.rate, DECAY, seconds)
    source = batches(options.pool, SHARES, options.images, seed=2000 + run.count)
    run.train(lambda: trainer.losses(next(source)), WARM_UP, CLIP)
    if options.start:
        mix(run.average.state, load_state(options.start / "model.safetensors"), options.keep)
    trainer.network.load_state_dict(run.average.state)
    trainer.network.eval()
    temperatures, accuracies = calibrate(trainer, options.held_out or options.pool, options.images)
    digest = export(trainer.network.state_dict(), trainer.config, temperatures, options.out)
    report = {"sha256": digest, "accuracy on varied phantoms": accuracies, "temperature": temperatures}
    logger.info("%s", report)
    (options.work / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
