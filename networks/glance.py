"""The planner's image tower: what a frame shows, for questions that need no tool.

A folder holds `glance.json` (names of each head, temperatures, accuracies, sha256) and `glance.safetensors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from mmedagent.networks.checkpoints import CheckpointError, load_state, load_strict

GLANCE_SIZE = 128
ONE_OF = ("modality", "anatomy", "view", "technique")
"""Heads of which exactly one name is true."""

ANY_OF = ("structures", "findings", "sides")
"""Heads of which any number of names is true; `sides` are "left X" and "right X" of findings, by the patient's side."""

WEIGHTS, CONFIG = "glance.safetensors", "glance.json"
_WIDTHS = (32, 64, 128, 256, 320)


class GlanceConfig(BaseModel):
    """What a checkpoint says of itself: names and temperature of each head, and its accuracy on held-out phantoms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    names: dict[str, tuple[str, ...]]
    temperatures: dict[str, float]
    accuracies: dict[str, float]


class _Block(nn.Module):
    """Two convolutions around a shortcut, half the resolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1))
        self.path = nn.Sequential(
            nn.GroupNorm(8, before), nn.GELU(), nn.Conv2d(before, after, 3, stride=2, padding=1),
            nn.GroupNorm(8, after), nn.GELU(), nn.Conv2d(after, after, 3, padding=1),
        )  # fmt: skip

    def forward(self, planes: Tensor) -> Tensor:
        total: Tensor = self.shortcut(planes) + self.path(planes)
        return total


class GlanceNet(nn.Module):
    """Takes float32 (n, 3, GLANCE_SIZE, GLANCE_SIZE) in [0, 1]; gives the logits (n, names) of each head."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _WIDTHS[0], 5, stride=2, padding=2)
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(_WIDTHS)))
        self.norm = nn.Sequential(nn.GroupNorm(8, _WIDTHS[-1]), nn.GELU())
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.ModuleDict({head: nn.Linear(2 * _WIDTHS[-1], size) for head, size in sizes.items()})

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        features = self.norm(self.blocks(self.stem(frames * 2 - 1)))
        pooled = self.dropout(torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1))
        return {head: layer(pooled) for head, layer in self.heads.items()}


@dataclass(frozen=True)
class Glance:
    """Calibrated probabilities in [0, 1] of every name, by head."""

    chances: Mapping[str, Mapping[str, float]]

    def best(self, head: str) -> tuple[str, float]:
        """The most probable name of a head, and its probability."""
        return max(self.chances[head].items(), key=lambda pair: pair[1])


@dataclass(frozen=True)
class LoadedGlance:
    """A checkpoint in memory, in evaluation mode on the CPU."""

    config: GlanceConfig
    net: GlanceNet

    @torch.inference_mode()
    def at(self, frame: NDArray[np.uint8]) -> Glance:
        """Look at one display frame, uint8 (H, W) or (H, W, 3)."""
        chances: dict[str, dict[str, float]] = {}
        for head, logits in self.net(glance_input(frame)[None]).items():
            scaled = logits[0] / self.config.temperatures[head]
            values = scaled.softmax(-1) if head in ONE_OF else scaled.sigmoid()
            chances[head] = dict(zip(self.config.names[head], values.tolist(), strict=True))
        return Glance(chances)


def glance_input(frame: NDArray[np.uint8]) -> Tensor:
    """A display frame as float32 (3, GLANCE_SIZE, GLANCE_SIZE) in [0, 1], padded to a square."""
    picture = Image.fromarray(frame).convert("RGB")
    scale = GLANCE_SIZE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BOX)
    square = Image.new("RGB", (GLANCE_SIZE, GLANCE_SIZE))
    square.paste(small, ((GLANCE_SIZE - small.width) // 2, (GLANCE_SIZE - small.height) // 2))
    return torch.from_numpy(np.asarray(square, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


def load_glance(folder: Path) -> LoadedGlance:
    """Raises `CheckpointError` when a file is missing, damaged, not the pinned one, or of another network."""
    try:
        config = GlanceConfig.model_validate_json((folder / CONFIG).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise CheckpointError(f"{CONFIG} of the planner is missing or malformed") from error
    if not set(ONE_OF) | set(ANY_OF) == set(config.names) == set(config.temperatures):
        raise CheckpointError(f"{CONFIG} of the planner names other heads than this version has")
    net = GlanceNet({head: len(names) for head, names in config.names.items()})
    load_strict(net, load_state(folder / WEIGHTS, config.sha256))
    return LoadedGlance(config, net.eval())
