"""Write what the original Grounding DINO code computes, and the official names and shapes, as files for the tests.

    .venv/bin/pip install groundingdino-py==0.4.0
    PYTHONPATH=tests .venv/bin/python tests/support/make_grounding_oracle.py

The package is not part of the development environment: it brings a second OpenCV. It was written for older versions of
transformers: their BERT took a mask for each pair of tokens that the present one takes only as numbers to be added.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import BertConfig, BertModel

from mmedagent.networks.minilm import minilm_folder
from support.original_grounding import ARCHITECTURE, ORACLE, PROMPTS, SWIN_T_OGC, picture, value_of

NETWORK = "groundingdino.models.GroundingDINO"


def main() -> None:
    torch.set_num_threads(1)
    detector: Any = import_module(f"{NETWORK}.groundingdino")
    detector.BertModelWarper = _with_additive_masks
    with TemporaryDirectory() as folder:
        SWIN_T_OGC.write_text(_official(Path(folder) / "base"))
        ORACLE.write_text(_tiny(Path(folder) / "tiny"))


def _with_additive_masks(bert_model: Any) -> Any:
    def replace(module: Any, arguments: Any, named: dict[str, Any]) -> Any:
        mask = named["attention_mask"]
        if mask.dim() == 3:
            blocked = torch.zeros(mask[:, None].shape).masked_fill(~mask[:, None].bool(), torch.finfo().min)
            named["attention_mask"] = blocked
        return arguments, named

    bert_model.register_forward_pre_hook(replace, with_kwargs=True)
    return bert_model


def _settings(bert: Path, **text: int) -> Any:
    BertModel(BertConfig(**text)).save_pretrained(bert)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (bert / name).write_bytes((minilm_folder() / name).read_bytes())
    configs = Path(str(import_module("groundingdino").__file__)).parent / "config"
    settings = import_module("groundingdino.util.slconfig").SLConfig.fromfile(
        str(configs / "GroundingDINO_SwinT_OGC.py")
    )
    settings.device, settings.text_encoder_type = "cpu", str(bert)
    settings.use_checkpoint = settings.use_transformer_ckpt = False
    return settings


def _official(bert: Path) -> str:
    network = import_module("groundingdino.models").build_model(_settings(bert))
    rows = _compact({name: list(value.shape) for name, value in network.state_dict().items()})
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in rows.items()) + "\n}\n"


def _tiny(bert: Path) -> str:
    text = {key: value for key, value in ARCHITECTURE["text_config"].items() if key != "model_type"}
    settings = _settings(bert, **text)
    settings.enc_layers, settings.dec_layers = ARCHITECTURE["encoder_layers"], ARCHITECTURE["decoder_layers"]
    settings.dim_feedforward, settings.num_queries = ARCHITECTURE["encoder_ffn_dim"], ARCHITECTURE["num_queries"]
    trunk = {
        name: ARCHITECTURE["backbone_config"][name] for name in ("embed_dim", "depths", "num_heads", "window_size")
    }
    swin = import_module(f"{NETWORK}.backbone.swin_transformer").SwinTransformer
    backbone: Any = import_module(f"{NETWORK}.backbone.backbone")
    backbone.build_swin_transformer = lambda modelname, **named: swin(**trunk, **named)
    network = import_module("groundingdino.models").build_model(settings).eval()
    tables = {name: value for name, value in network.state_dict().items() if not value.is_floating_point()}
    values = {name: value_of(name, tuple(value.shape)) for name, value in network.state_dict().items()}
    network.load_state_dict({**values, **tables})
    caption = ". ".join(PROMPTS) + "."
    ids = network.tokenizer(caption).input_ids
    with torch.inference_mode():
        found = network(picture(), captions=[caption])
    logits, boxes = found["pred_logits"][0, :, : len(ids)], found["pred_boxes"][0]
    return json.dumps({"input_ids": ids, "logits": _rounded(logits), "boxes": _rounded(boxes)}) + "\n"


def _rounded(values: torch.Tensor) -> list[list[float]]:
    return [[round(float(value), 6) for value in row] for row in values]


def _compact(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """One row for names that differ in numbers only, last number first, where they count up and shapes are equal."""
    for place in (-1, -2, -3):
        groups: dict[tuple[str, str, str], list[int]] = {}
        for name, shape in shapes.items():
            numbers = list(re.finditer(r"(?<=\.)\d+(?=\.)", name))
            if len(numbers) >= -place:
                spot = numbers[place]
                key = (name[: spot.start()], name[spot.end() :], json.dumps(shape))
                groups.setdefault(key, []).append(int(spot[0]))
        for (before, after, shape_text), found in groups.items():
            low, high = min(found), max(found)
            if len(found) > 1 and sorted(found) == list(range(low, high + 1)):
                for number in found:
                    del shapes[f"{before}{number}{after}"]
                shapes[f"{before}{{{low}-{high}}}{after}"] = json.loads(shape_text)
    return dict(sorted(shapes.items()))


if __name__ == "__main__":
    main()
