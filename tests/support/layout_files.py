"""Checkpoint files of any size that hold names and shapes in the published layouts, and next to nothing on the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection
from transformers.core_model_loading import revert_weight_conversion

from mmedagent.networks.clip import build_network as build_clip
from mmedagent.networks.minilm import minilm_folder
from mmedagent.networks.sam import SamConfig, build_sam
from support.original_grounding import official_shapes

Shapes = Mapping[str, tuple[int, ...]]
HALF = 2
BERT_NAME = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
BIOMEDCLIP: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 512,
        "vision_cfg": {
            "timm_model_name": "vit_base_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
        "text_cfg": {
            "hf_model_name": BERT_NAME,
            "hf_tokenizer_name": BERT_NAME,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        },
    },
    "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]},
}


def write_safetensors(path: Path, shapes: Shapes) -> None:
    """A whole file in half precision, whose numbers are a hole in the disk."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + HALF * prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_archive(path: Path, shapes: Shapes, under: str | None = None, prefix: str = "") -> None:
    """A torch archive whose tensors repeat one number."""
    state = {f"{prefix}{name}": torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    torch.save(state if under is None else {under: state}, path)


def write_shards(folder: Path, shapes: Shapes, shards: int) -> None:
    """Files as large models have them, with their `model.safetensors.index.json`."""
    places: dict[str, str] = {}
    names = list(shapes)
    for number in range(shards):
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = {key: shapes[key] for key in names[number::shards]}
        write_safetensors(folder / name, part)
        places |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_json(path: Path, **content: object) -> None:
    path.write_text(json.dumps(content))


def write_clip_settings(folder: Path) -> None:
    """What the published folder of BiomedCLIP holds beside the weights."""
    write_json(folder / "open_clip_config.json", **BIOMEDCLIP)
    shutil.copy(minilm_folder() / "vocab.txt", folder)


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def names_on_disk(network: Any) -> dict[str, tuple[int, ...]]:
    """What `save_pretrained` would call the tensors of a network of transformers, each once."""
    state = dict(network.state_dict())
    for twice in network.all_tied_weights_keys:
        state.pop(twice, None)
    return {name: tuple(tensor.shape) for name, tensor in revert_weight_conversion(network, state).items()}


def sam_shapes() -> dict[str, tuple[int, ...]]:
    """`medsam_vit_b.pth`."""
    with torch.device("meta"):
        return shapes_of(build_sam(SamConfig()))


def clip_shapes() -> dict[str, tuple[int, ...]]:
    """`open_clip_pytorch_model.bin` of BiomedCLIP, with the buffer that older versions of BERT had."""
    with torch.device("meta"):
        network = build_clip(BIOMEDCLIP, BertConfig())
    return shapes_of(network) | {"text.transformer.embeddings.position_ids": (1, 512)}


def grounding_shapes() -> dict[str, tuple[int, ...]]:
    """The `.pth` with Swin-T, with what official files hold beside the network."""
    return official_shapes() | {"label_enc.weight": (2001, 256), "bert.embeddings.position_ids": (1, 512)}


def grounding_shapes_on_disk() -> dict[str, tuple[int, ...]]:
    """`model.safetensors` of the same network in the Hugging Face layout."""
    with torch.device("meta"):
        names = names_on_disk(GroundingDinoForObjectDetection(GroundingDinoConfig()))
    return {name: shape for name, shape in names.items() if ".layernorm." not in name}
