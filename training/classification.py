"""Train the embedded classifier on phantoms and write its folder.

    python -m mmedagent.training.classification --data DATA --work WORK --out models/classification

The vision tower starts from random weights; the text tower is MiniLM, frozen, with a learnt projection. A run that was
stopped goes on from its last checkpoint in WORK; a finished one can be continued with more `--steps`.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.bert.configuration_bert import BertConfig

from mmedagent.networks.checkpoints import save_fp16
from mmedagent.networks.clip import CONFIG_FILE, TEXT_PREFIX, ClipModel, build_network, preprocess_config
from mmedagent.networks.minilm import MINILM_SHA256, load_minilm, load_tokenizer, minilm_folder
from mmedagent.training.classification_augment import augment
from mmedagent.training.classification_captions import PROMPTS, TEMPLATES
from mmedagent.training.classification_data import Dataset, make_shards, read_shards
from mmedagent.training.classification_loss import TASKS, Targets, Texts, loss_of

VISION = "resnet10t"
WIDTH, CONTEXT = 256, 64
HELD_OUT_SEED = 1
AVERAGE = 0.997
WARM_UP = 100
EMPHASIS = {("CT", "spine"): 4.0, ("MR", "abdomen"): 1.5}
"""How often a (modality, anatomy) is seen relative to its share: close-ups are rare, and CT and MR the hardest pair."""

MEAN, STD = (0.45, 0.45, 0.45), (0.27, 0.27, 0.27)


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


def new_model(config: Mapping[str, Any]) -> ClipModel:
    """The network with a random vision tower and projection on top of the pinned MiniLM."""
    base = minilm_folder()
    network = build_network(config, BertConfig(**json.loads((base / "config.json").read_text("utf-8"))))
    network.text.transformer = load_minilm()
    return ClipModel(network, load_tokenizer(base, CONTEXT), preprocess_config(config), "0" * 64)


def own_state(network: nn.Module) -> dict[str, Tensor]:
    """Everything but the tensors of MiniLM."""
    return {name: value for name, value in network.state_dict().items() if not name.startswith(TEXT_PREFIX)}


def batches(data: Dataset, size: int, batch: int, seed: int) -> Iterator[tuple[Tensor, list[int], list[bool]]]:
    """Endless augmented batches: images float32 (n, 3, size, size) scaled for the network, rows, closeness."""
    rng = np.random.default_rng(seed)
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    weights = np.array([EMPHASIS.get((row.modality, row.anatomy), 1.0) for row in data.labels])
    while True:
        order = rng.choice(len(weights), len(weights), p=weights / weights.sum())
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch].tolist()
            views = [augment(rng, data.images[row], size, data.labels[row].modality) for row in rows]
            pixels = (np.stack([view.image for view in views]).astype(np.float32) / 255 - mean) / std
            yield torch.from_numpy(pixels).permute(0, 3, 1, 2), rows, [view.close for view in views]


class Trainer:
    """One run: the model, its optimiser, and the running average of the weights that is shipped."""

    def __init__(self, model: ClipModel, rate: float, steps: int, work: Path) -> None:
        self.network = model.network
        self.steps, self.rate, self.step, self.path = steps, rate, 0, work / "last.pt"
        trained = [p for name, p in self.network.named_parameters() if not name.startswith(TEXT_PREFIX)]
        decayed, plain = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=rate)
        self.average = {name: value.clone() for name, value in own_state(self.network).items()}

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one; a new learning rate and number of steps take effect."""
        if not self.path.is_file():
            return
        stored = torch.load(self.path, weights_only=True)
        self.network.load_state_dict({**self.network.state_dict(), **stored["network"]})
        self.average, self.step = stored["average"], stored["step"]
        self.optimiser.load_state_dict(stored["optimiser"])

    def save(self) -> None:
        partial = self.path.with_suffix(".partial")
        stored = {"network": own_state(self.network), "average": self.average, "step": self.step}
        torch.save({**stored, "optimiser": self.optimiser.state_dict()}, partial)
        partial.replace(self.path)

    def update(self, pixels: Tensor, targets: Targets, texts: Texts, rng: np.random.Generator) -> float:
        """One step; returns the loss."""
        progress = self.step / self.steps
        rate = self.rate * min(1.0, (self.step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(progress, 1)))
        for group in self.optimiser.param_groups:
            group["lr"] = max(rate, 1e-5)
        features = self.network.encode_image(pixels.contiguous(memory_format=torch.channels_last), normalize=True)
        scale = self.network.logit_scale.exp()
        loss = loss_of(features, scale, targets, texts, self.network.text.proj, rng)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for group in self.optimiser.param_groups for p in group["params"]], 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.network.logit_scale.clamp_(0, math.log(60))
        self.step += 1
        self._follow()
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(AVERAGE, self.step / (self.step + 10))
        for name, value in own_state(self.network).items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)


def train(model: ClipModel, data: Dataset, options: argparse.Namespace) -> None:
    """Train to `options.steps`, then leave the averaged weights in the model."""
    texts = Texts(model, data.labels)
    trainer = Trainer(model, options.rate, options.steps, options.work)
    trainer.resume()
    model.network.train().visual.to(memory_format=torch.channels_last)
    model.network.text.transformer.eval().requires_grad_(requires_grad=False)
    rng = np.random.default_rng([options.seed, trainer.step])
    source = batches(data, options.size, options.batch, options.seed + trainer.step)
    recent: list[float] = []
    log = (options.work / "loss.tsv").open("a", encoding="utf-8")
    with log:
        for _ in track(range(trainer.step, options.steps), description="training"):
            pixels, rows, close = next(source)
            targets = texts.targets([data.labels[row] for row in rows], close)
            recent.append(trainer.update(pixels, targets, texts, rng))
            if trainer.step % 50 == 0:
                log.write(f"{trainer.step}\t{np.mean(recent):.4f}\n")
                log.flush()
                trainer.save()
                recent.clear()
    trainer.save()
    model.network.load_state_dict({**model.network.state_dict(), **trainer.average})
    model.network.eval()


def label_vectors(model: ClipModel, task: str) -> Tensor:
    """A unit vector for each label of a task, (labels, d), from the prompts that are shipped."""
    means = [model.encode_texts(label.phrasings[:PROMPTS]).mean(axis=0) for label in TASKS[task]]
    return functional.normalize(torch.from_numpy(np.stack(means)), dim=1)


def calibrate(model: ClipModel, held_out: Dataset, size: int, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Temperature of each task by maximum likelihood, and its accuracy, on augmented held-out phantoms.

    Source: Guo et al., On Calibration of Modern Neural Networks (arXiv 1706.04599).
    """
    rng = np.random.default_rng(seed)
    pairs = zip(held_out.images, held_out.labels, strict=True)
    views = [augment(rng, image, size, labels.modality) for image, labels in pairs]
    vectors = torch.from_numpy(model.encode_images([view.image for view in views]))
    texts = Texts(model, held_out.labels)
    targets = texts.targets(held_out.labels, [view.close for view in views])
    temperatures, accuracies = {}, {}
    for task, rows in targets.tasks.items():
        known = rows.sum(dim=1) > 0
        logits, truth = model.logit_scale * vectors[known] @ label_vectors(model, task).T, rows[known]
        choices = [float(value) for value in np.geomspace(0.25, 8, 61)]
        temperatures[task] = min(choices, key=lambda value: float(functional.cross_entropy(logits / value, truth)))
        accuracies[task] = float((truth.gather(1, logits.argmax(1, keepdim=True)) > 0).float().mean())
    return temperatures, accuracies


def export(model: ClipModel, config: Mapping[str, Any], temperatures: Mapping[str, float], folder: Path) -> str:
    """Write the model's folder; returns the sha256 of its weights."""
    digest = save_fp16(own_state(model.network), folder / "model.safetensors")
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    tasks = {
        task: {
            "temperature": round(temperatures[task], 3),
            "labels": {label.name: label.phrasings[:PROMPTS] for label in labels},
        }
        for task, labels in TASKS.items()
    }
    words = {
        "version": "1.0.0",
        "templates": TEMPLATES,
        "temperature": round(temperatures["modality"], 3),
        "tasks": tasks,
    }
    (folder / "config.json").write_text(json.dumps(words, indent=2) + "\n", "utf-8")
    return digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder for the drawn phantoms")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--images", type=int, default=7_400)
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    make_shards(options.data / "train", options.images, options.seed)
    make_shards(options.data / "held_out", options.held_out, options.seed + HELD_OUT_SEED)
    config = architecture(options.size)
    model = new_model(config)
    train(model, read_shards(options.data / "train", options.images), options)
    held_out = read_shards(options.data / "held_out", options.held_out)
    temperatures, accuracies = calibrate(model, held_out, options.size, options.seed)
    digest = export(model, config, temperatures, options.out)
    report = {"sha256": digest, "accuracy on augmented held-out phantoms": accuracies, "temperature": temperatures}
    (options.work / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
