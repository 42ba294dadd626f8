"""Grounding DINO checkpoints in the original layout, made from formulas, and the official one's names and shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from mmedagent.networks.checkpoints import sha256_file
from mmedagent.networks.grounding_folder import build_network
from mmedagent.networks.grounding_original import UNREAD_NORM, source_of

DATA = Path(__file__).resolve().parents[1] / "networks"
SWIN_T_OGC = DATA / "grounding_swint_ogc.json"
ORACLE = DATA / "grounding_oracle.json"
PROMPTS = ("lung", "left liver lobe", "tumor")
ARCHITECTURE: dict[str, Any] = {
    "backbone_config": {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 1, 2, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 7,
        "out_features": ["stage2", "stage3", "stage4"],
    },
    "text_config": {
        "model_type": "bert",
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 96,
    },
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_queries": 20,
}
"""Small, but with every kind of layer. The original code fixes the width at 256."""


def value_of(name: str, shape: tuple[int, ...]) -> Tensor:
    """What a tensor of an original checkpoint holds here: numbers that depend on its name, none of them special."""
    shared = re.sub(r"^(transformer\.decoder\.)?bbox_embed\.\d+\.", "bbox_embed.", name)
    noise = np.random.RandomState(crc32(shared.encode())).standard_normal(shape)
    if len(shape) > 1:
        noise /= np.sqrt(np.prod(shape[1:]))
    else:
        noise = 0.1 * noise + (0 if name.endswith("bias") else 1)
    return torch.from_numpy(noise.astype(np.float32))


def picture() -> Tensor:
    """A prepared image, (1, 3, 96, 128)."""
    return torch.from_numpy(np.random.RandomState(7).standard_normal((1, 3, 96, 128)).astype(np.float32))


def original_shapes(architecture: Mapping[str, Any] = ARCHITECTURE) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an original checkpoint, from the network of transformers by the inverse of the converter."""
    with torch.device("meta"):
        network = build_network({**architecture, "model_type": "grounding-dino"})
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in network.state_dict().items():
        source = source_of(name)
        rows = 1 if source.third is None else 3
        if name not in UNREAD_NORM:
            shapes[source.name] = (tensor.shape[0] * rows, *tensor.shape[1:])
    return shapes


def original_state(architecture: Mapping[str, Any] = ARCHITECTURE) -> dict[str, Tensor]:
    return {name: value_of(name, shape) for name, shape in original_shapes(architecture).items()}


def write_original(folder: Path, document: object, architecture: Mapping[str, Any] | None = ARCHITECTURE) -> Path:
    """A folder with the document as `tiny.pth` and a `grounding.json` that pins it."""
    folder.mkdir(exist_ok=True)
    torch.save(document, folder / "tiny.pth")
    pinned: dict[str, Any] = {"weights": "tiny.pth", "sha256": sha256_file(folder / "tiny.pth")}
    if architecture is not None:
        pinned["architecture"] = architecture
    (folder / "grounding.json").write_text(json.dumps(pinned))
    return folder


def official_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of `groundingdino_swint_ogc.pth`, as the original package builds them.

    The file has one row for tensors of one shape whose names differ in numbers only: `layers.{0-5}.norm1.weight`.
    """
    rows: dict[str, list[int]] = json.loads(SWIN_T_OGC.read_text())
    return {name: tuple(shape) for pattern, shape in rows.items() for name in _expanded(pattern)}


def _expanded(pattern: str) -> Iterator[str]:
    pieces = re.split(r"\{(\d+)-(\d+)\}", pattern)
    ranges = [range(int(a), int(b) + 1) for a, b in zip(pieces[1::3], pieces[2::3], strict=True)]
    for numbers in product(*ranges):
        yield "".join(piece for pair in zip(pieces[::3], [*map(str, numbers), ""], strict=True) for piece in pair)
