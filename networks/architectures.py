"""What a checkpoint folder says it holds, and whether its tensors fit, without their numbers.

The networks are built on the device "meta" and fitted by the functions that load them, so that what is accepted here
loads, and what would not load is refused here, whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from mmedagent.networks.checkpoints import load_strict
from mmedagent.networks.layouts import META, read_layout


class WeightFile(NamedTuple):
    """A file of a checkpoint, which need not be there, and the sha256 that it must have, if the folder says so."""

    path: Path
    sha256: str | None


@dataclass(frozen=True)
class Architecture:
    """What a folder says it holds.

    Attributes:
        network: the kind of network, in words.
        files: the weights, and whatever else is pinned.
        fit: compares names and shapes of the weights with the network and gives their number. Raises
            `CheckpointError` that names what is missing, unexpected or of another shape.
    """

    network: str
    files: tuple[WeightFile, ...]
    fit: Callable[[], int]


def describe_grounding(folder: Path) -> Architecture:
    """A folder that `load_grounding` reads. Raises `CheckpointError` for settings that it would refuse."""
    from mmedagent.networks.grounding_folder import fit_network, read_folder, read_tokenizer
    from mmedagent.networks.grounding_original import original_state

    described = read_folder(folder)

    def fit() -> int:
        weights = described.weights
        layout = original_state(weights, META) if described.original else read_layout(weights)
        fit_network(described, layout, META)
        read_tokenizer(folder)
        return len(layout)

    layout_name = "original" if described.original else "over MiniLM" if described.over_minilm else "Hugging Face"
    return Architecture(f"Grounding DINO, {layout_name}", (WeightFile(described.weights, described.sha256),), fit)


def describe_sam(folder: Path) -> Architecture:
    """A folder that `load_sam` reads. Raises `CheckpointError` for settings that it would refuse."""
    from mmedagent.networks.sam import SamConfig, build_sam, read_config

    config, weights, sha256 = read_config(folder)

    def fit() -> int:
        with torch.device(META):
            network = build_sam(config).to(META)
        layout = read_layout(weights)
        load_strict(network, layout)
        return len(layout)

    size = "ViT-B" if config == SamConfig() else f"{config.image_size} px, width {config.embed_dim}"
    return Architecture(f"SAM, {size}", (WeightFile(weights, sha256),), fit)


def describe_clip(folder: Path) -> Architecture:
    """A folder that `load_clip` reads. Raises `CheckpointError` for settings that it would refuse."""
    from mmedagent.networks.clip import find_weights, fit_network, pinned_hash, read_config, read_tokenizer

    config, weights = read_config(folder), find_weights(folder)

    def fit() -> int:
        layout = read_layout(weights)
        fit_network(folder, config, layout, META)
        read_tokenizer(folder, config)
        return len(layout)

    trunk = config["model_cfg"]["vision_cfg"]["timm_model_name"]
    return Architecture(f"CLIP, {trunk}", (WeightFile(weights, pinned_hash(weights)),), fit)
