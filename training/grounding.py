"""Train the embedded grounding network (a small Grounding DINO) on the pool of phantoms and write its folder.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.text_bank --pool build/pool --out build/texts.safetensors
    python -m mmedagent.training.grounding --pool build/pool --texts build/texts.safetensors --minutes 60 --device cuda

The Swin trunk starts from random weights; the text backbone is MiniLM, frozen. A run that was stopped goes on from its
last state in `--work`.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from mmedagent.networks.checkpoints import load_state, load_strict, save_fp16
from mmedagent.networks.grounding_folder import build_network, own_state, with_tied
from mmedagent.training.feed import Average, Batch, Clock, batches, optimizer_of, save_run, set_rate
from mmedagent.training.grounding_data import MEAN, STD, Maker, Sample
from mmedagent.training.grounding_loss import Predictions, loss_of
from mmedagent.training.grounding_names import load_names
from mmedagent.training.pool import SIZE
from mmedagent.training.text_bank import read

SHARES = {
    "ct": 0.28, "mr": 0.24, "xray": 0.16, "ultrasound": 0.1, "fundus": 0.08, "histology": 0.08, "photograph": 0.03,
    "other": 0.03,
}  # fmt: skip
PEAK_RATE, WARM_UP, DECAY = 6e-4, 300, 0.05
SET_FROM, SET_FULL = 0.08, 0.2
"""Shares of the time at which the set loss sets in and reaches its weight."""

SAVE_SECONDS = 120
START_SCALE = 0.05
MINILM_TEXT = {
    "model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "vocab_size": 30522,
}  # fmt: skip
ARCHITECTURE: dict[str, Any] = {
    "model_type": "grounding-dino",
    "backbone_config": {
        "model_type": "swin", "embed_dim": 32, "depths": [2, 2, 4, 2], "num_heads": [2, 4, 8, 16], "window_size": 8,
        "image_size": SIZE, "drop_path_rate": 0.0, "out_features": ["stage2", "stage3", "stage4"],
    },
    "text_config": MINILM_TEXT,
    "d_model": 192, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 768, "decoder_ffn_dim": 768,
    "encoder_attention_heads": 6, "decoder_attention_heads": 6, "num_queries": 100, "dropout": 0.0,
    "fusion_droppath": 0.0, "max_text_len": 256,
}  # fmt: skip

logger = logging.getLogger(__name__)


class KnownText(nn.Module):
    """Stands where the text backbone does and hands out states that were computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.states: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.states)


class Trainer:
    """One run: the network, its optimiser, and the running average of the weights that is shipped."""

    def __init__(
        self, texts: Path, work: Path, device: torch.device, seconds: float, rate: float = PEAK_RATE,
        start: Path | None = None,
    ) -> None:  # fmt: skip
        self.device, self.path, self.rate = device, work / "last.pt", rate
        small = {**ARCHITECTURE, "text_config": {**MINILM_TEXT, "num_hidden_layers": 1, "vocab_size": 8}}
        self.network = build_network(small).train()
        with torch.no_grad():
            # Logits are plain products of 192 numbers: at unit variance their first values would be far too large.
            self.network.model.enc_output_norm.weight.fill_(START_SCALE)
            self.network.model.decoder.layer_norm.weight.fill_(START_SCALE)
        self.network.model.text_backbone = KnownText()
        if start is not None:
            state = load_state(start / "model.safetensors")
            load_strict(self.network, with_tied(state, ARCHITECTURE["decoder_layers"]))
        self.set_from, self.set_full = (SET_FROM, SET_FULL) if start is None else (-1.0, 0.0)
        self.network.to(device)
        width = ARCHITECTURE["d_model"]
        self.dense_text = nn.Linear(width, width).to(device)
        self.parts = nn.ModuleDict({"network": self.network, "dense_text": self.dense_text})
        self.average = Average(self.network)
        self.optimizer = optimizer_of(self.parts, rate, DECAY)
        self.make = Maker(load_names(), read(texts), device)
        self.count, before = 0, 0.0
        if self.path.is_file():
            stored = torch.load(self.path, weights_only=True, map_location=device)
            self.parts.load_state_dict(stored["parts"])
            self.average.state = stored["average"]
            self.optimizer.load_state_dict(stored["optimizer"])
            self.count, before = stored["count"], stored["spent"]
        self.clock = Clock(seconds, before)

    def save(self, folder: Path) -> None:
        save_run(
            self.path, parts=self.parts.state_dict(), average=self.average.state,
            optimizer=self.optimizer.state_dict(), count=self.count, spent=self.clock.spent,
        )  # fmt: skip
        export(self.average.state, folder)

    def predict(self, sample: Sample) -> Predictions:
        """All layers of the decoder, all cells of the encoder, and the dense masks."""
        network = self.network
        network.model.text_backbone.states = sample.text
        outputs = network.model(
            pixel_values=sample.images, input_ids=sample.ids, attention_mask=sample.mask.long(), return_dict=True
        )
        text = outputs.encoder_last_hidden_state_text
        logits, boxes = [], []
        reference = outputs.init_reference_points
        for layer in range(outputs.intermediate_hidden_states.shape[1]):
            states = outputs.intermediate_hidden_states[:, layer]
            if layer:
                reference = outputs.intermediate_reference_points[:, layer - 1]
            logits.append(
                network.class_embed[layer](
                    vision_hidden_state=states, text_hidden_state=text, text_token_mask=sample.mask
                )
            )
            boxes.append((network.bbox_embed[layer](states) + torch.special.logit(reference, eps=1e-5)).sigmoid())
        side = SIZE // 8
        fine = outputs.encoder_last_hidden_state_vision[:, : side * side]
        dense = torch.einsum("nct,nwt->nwc", fine, self.dense_text(text)) / fine.shape[-1] ** 0.5
        cell_boxes = outputs.enc_outputs_coord_logits.sigmoid()
        return Predictions(logits, boxes, outputs.enc_outputs_class, cell_boxes, dense.unflatten(-1, (side, side)))

    def step(self, batch: Batch) -> dict[str, float]:
        """One update; returns the parts of the loss."""
        set_rate(self.optimizer, self.clock.rate(self.rate, self.count, WARM_UP))
        sample = self.make(batch)
        weight = min(1.0, max(0.0, (self.clock.done - self.set_from) / (self.set_full - self.set_from)))
        loss, parts = loss_of(self.predict(sample), sample, weight)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parts.parameters(), 0.5)
        self.optimizer.step()
        self.average.follow(self.network)
        self.count += 1
        return parts


def export(state: dict[str, Tensor], folder: Path) -> None:
    """Write a folder that `networks.grounding.load_grounding` reads."""
    from mmedagent.networks.minilm import MINILM_SHA256

    sha256 = save_fp16(own_state(state), folder / "model.safetensors")
    base = {"name": "all-MiniLM-L6-v2", "sha256": MINILM_SHA256}
    document = {**ARCHITECTURE, "text_base": base, "weights_sha256": sha256}
    (folder / "config.json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    pixels = {"size": {"height": SIZE, "width": SIZE}, "image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels, indent=2) + "\n", "utf-8")


def train(trainer: Trainer, pool: Path, folder: Path, images: int) -> None:
    """Train until the budget, counted over all runs of this state, is spent."""
    source = batches(pool, SHARES, images, seed=3000 + trainer.count)
    saved = time.monotonic()
    recent: dict[str, float] = {}
    columns = (TextColumn("grounding"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=trainer.clock.seconds, state="")
        while trainer.clock.done < 1:
            for name, value in trainer.step(next(source)).items():
                recent[name] = 0.98 * recent.get(name, value) + 0.02 * value if math.isfinite(value) else value
            state = f"step {trainer.count} " + " ".join(f"{name} {value:.3f}" for name, value in recent.items())
            progress.update(bar, completed=trainer.clock.spent, state=state)
            if trainer.count % 100 == 0:
                logger.info("%.0f s, %s", trainer.clock.spent, state)
            if time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(folder)
                saved = time.monotonic()
    trainer.save(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--texts", type=Path, required=True, help="what mmedagent.training.text_bank wrote")
    parser.add_argument("--work", type=Path, default=Path("build/grounding"))
    parser.add_argument("--out", type=Path, default=Path("models/grounding"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=8, help="images a step")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="a finished folder whose weights to go on from")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    device = torch.device(options.device)
    trainer = Trainer(options.texts, options.work, device, 60 * options.minutes, options.rate, options.start)
    train(trainer, options.pool, options.out, options.images)


if __name__ == "__main__":
    main()
