"""Train the embedded grounding network (a small Grounding DINO) on the pool of phantoms and write its folder.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.text_bank --pool build/pool --out build/texts.safetensors
    python -m mmedagent.training.trunk --pool build/pool --minutes 15
    python -m mmedagent.training.grounding --pool build/pool --texts build/texts.safetensors --minutes 60

The trunk starts from what `training.trunk` left in `build/trunk`; the text backbone is MiniLM, frozen. A run that was
stopped goes on from its last state in `--work`.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mmedagent.networks.checkpoints import load_state, load_strict, save_fp16
from mmedagent.networks.grounding_folder import build_network, own_state, with_tied
from mmedagent.networks.trunk import MEAN, STD, trunk_config
from mmedagent.training.feed import Batch, Run, autocast, batches
from mmedagent.training.grounding_data import Maker, Sample
from mmedagent.training.grounding_loss import STRIDES, Predictions, loss_of
from mmedagent.training.grounding_names import load_names
from mmedagent.training.pool import SIZE
from mmedagent.training.text_bank import LEAD, read

SHARES = {
    "ct": 0.28, "mr": 0.24, "xray": 0.16, "ultrasound": 0.1, "fundus": 0.08, "histology": 0.08, "photograph": 0.03,
    "other": 0.03,
}  # fmt: skip
PEAK_RATE, WARM_UP, DECAY, CLIP = 6e-4, 200, 0.05, 0.5
SET_FROM, SET_FULL = 0.03, 0.1
"""Shares of the time at which the set loss sets in and reaches its weight."""

START_SCALE = 0.05
NMS_IOU = 0.5
"""Above this overlap the lesser box of a name is dropped: proposals come in clusters, which no decoder thins out."""

TRUNK = Path("build/trunk/last.pt")
MINILM_TEXT = {
    "model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "vocab_size": 30522,
}  # fmt: skip
ARCHITECTURE: dict[str, Any] = {
    "model_type": "grounding-dino",
    "backbone_config": trunk_config(out_features=["stage3", "stage4"]),
    "text_config": MINILM_TEXT,
    "d_model": 192, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 576, "decoder_ffn_dim": 576,
    "encoder_attention_heads": 6, "decoder_attention_heads": 6, "num_queries": 64, "dropout": 0.0,
    "num_feature_levels": len(STRIDES),
    "embedding_init_target": False, "fusion_droppath": 0.0, "max_text_len": 256,
}  # fmt: skip


class KnownText(nn.Module):
    """Stands where the text backbone does and hands out states that were computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.states: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.states)


@torch.no_grad()
def start_decoder(network: Any) -> None:
    """Set up the decoder so that it hands on the proposals as they are: its branches and its box head are zero.

    That is exact as long as the proposals' norm has one weight for all channels and no bias, as at the start.
    Its queries are the proposals' features (`embedding_init_target` false). With learned queries it had to find anew
    what the proposals know already, and after hours on one processor core it was still far behind them.
    """
    for layer in network.model.decoder.layers:
        for branch in (
            layer.self_attn.out_proj, layer.encoder_attn_text.out_proj, layer.encoder_attn.output_proj, layer.fc2,
            network.bbox_embed[0].layers[-1],
        ):  # fmt: skip
            branch.weight.zero_()
            branch.bias.zero_()
    network.model.decoder.layer_norm.load_state_dict(network.model.enc_output_norm.state_dict())


class Trainer:
    """The network with what only its training has, and how a batch becomes losses."""

    def __init__(
        self, texts: Path, device: torch.device, trunk: Path | None = None, start: Path | None = None,
        decoder: bool = False,
    ) -> None:  # fmt: skip
        """`trunk` is the state of a run of `training.trunk`, `start` a finished folder of this training.

        With both, the trunk takes the place of that of the folder. Without `decoder`, only the proposals are trained,
        but for the scale of their norm, and the decoder hands them on.
        """
        self.device, self.decoder = device, decoder
        small = {**ARCHITECTURE, "text_config": {**MINILM_TEXT, "num_hidden_layers": 1, "vocab_size": 8}}
        self.network = build_network(small).train()
        with torch.no_grad():
            # Logits are plain products of 192 numbers: at unit variance their first values would be far too large.
            self.network.model.enc_output_norm.weight.fill_(START_SCALE)
        self.network.model.text_backbone = KnownText()
        backbone = self.network.model.backbone.requires_grad_(requires_grad=True)
        if start is not None:
            state = load_state(start / "model.safetensors")
            if not decoder:
                state = {**own_state(self.network.state_dict()), **without_decoder(state)}
            load_strict(self.network, with_tied(state, ARCHITECTURE["decoder_layers"]))
        if trunk is not None:
            pretrained = torch.load(trunk, weights_only=True)["average"]
            load_strict(backbone.conv_encoder.model, without_counts(pretrained))
        if start is None or not decoder:
            start_decoder(self.network)
        if not decoder:
            for fixed in (self.network.model.decoder, self.network.model.enc_output_norm):
                fixed.requires_grad_(requires_grad=False)
        self.set_from, self.set_full = (SET_FROM, SET_FULL) if start is None else (-1.0, 0.0)
        width = ARCHITECTURE["d_model"]
        self.dense_text = nn.Linear(width, width)
        self.parts = nn.ModuleDict({"network": self.network, "dense_text": self.dense_text}).to(device)
        self.make = Maker(load_names(), read(texts), device)

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
        for layer in range(ARCHITECTURE["decoder_layers"] if self.decoder else 0):
            states = outputs.intermediate_hidden_states[:, layer]
            if layer:
                reference = outputs.intermediate_reference_points[:, layer - 1]
            logits.append(
                network.class_embed[layer](
                    vision_hidden_state=states, text_hidden_state=text, text_token_mask=sample.mask
                )
            )
            boxes.append((network.bbox_embed[layer](states) + torch.special.logit(reference, eps=1e-5)).sigmoid())
        side = SIZE // STRIDES[0]
        fine = outputs.encoder_last_hidden_state_vision[:, : side * side]
        dense = torch.einsum("nct,nwt->nwc", fine, self.dense_text(text)) / fine.shape[-1] ** 0.5
        cell_boxes = outputs.enc_outputs_coord_logits.float().sigmoid()
        return Predictions(
            [one.float() for one in logits], [one.float() for one in boxes], outputs.enc_outputs_class.float(),
            cell_boxes, dense.float().unflatten(-1, (side, side)),
        )  # fmt: skip

    def losses(self, batch: Batch, done: float) -> dict[str, Tensor]:
        """The parts of the loss, at a share of the run in [0, 1]."""
        sample = self.make(batch)
        weight = min(1.0, max(0.0, (done - self.set_from) / (self.set_full - self.set_from))) if self.decoder else 0.0
        with autocast(self.device):
            predicted = self.predict(sample)
        return loss_of(predicted, sample, weight)


def without_decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a grounding network's tensors lies before its decoder."""
    late = ("model.decoder.", "model.query_position_embeddings.", "bbox_embed.")
    return {name: value for name, value in state.items() if not name.startswith(late)}


def without_counts(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the batch counts of batch normalisation, which the frozen normalisation of detectors does not have."""
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def export(state: dict[str, Tensor], folder: Path) -> None:
    """Write a folder that `networks.grounding.load_grounding` reads."""
    from mmedagent.networks.minilm import MINILM_SHA256

    sha256 = save_fp16(own_state(state), folder / "model.safetensors")
    base = {"name": "all-MiniLM-L6-v2", "sha256": MINILM_SHA256, "lead": LEAD}
    document = {**ARCHITECTURE, "text_base": base, "nms_iou": NMS_IOU, "weights_sha256": sha256}
    (folder / "config.json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    size = {"height": SIZE, "width": SIZE}
    pixels = {"size": size, "image_mean": [MEAN] * 3, "image_std": [STD] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels, indent=2) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--texts", type=Path, required=True, help="what mmedagent.training.text_bank wrote")
    parser.add_argument("--work", type=Path, default=Path("build/grounding"))
    parser.add_argument("--out", type=Path, default=Path("models/grounding"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=8, help="images a step")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--trunk", type=Path, help=f"state of training.trunk; {TRUNK} where there is no --start")
    parser.add_argument("--start", type=Path, help="a finished folder whose weights to go on from")
    parser.add_argument("--decoder", action="store_true", help="train the decoder too, which takes many hours to pay")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    device = torch.device(options.device)
    trunk = options.trunk or (None if options.start else TRUNK)
    trainer = Trainer(options.texts, device, trunk, options.start, options.decoder)
    path, seconds = options.work / "last.pt", 60 * options.minutes
    run = Run("grounding", path, trainer.parts, trainer.network, options.rate, DECAY, seconds)
    source = batches(options.pool, SHARES, options.images, seed=3000 + run.count)
    run.train(
        lambda: trainer.losses(next(source), run.clock.done), WARM_UP, CLIP,
        lambda: export(run.average.state, options.out),
    )  # fmt: skip


if __name__ == "__main__":
    main()
