"""A checkpoint with its weights shuffled: what a figure is worth that was not learnt."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

_WEIGHTS = ".safetensors"
_PINS = frozenset({".json", ".sha256"})
"""Files that may pin the sha256 of weights."""


def shuffled_copy(folder: Path, into: Path, seed: int = 0) -> None:
    """Copy a checkpoint folder with the values of every tensor permuted: same statistics, same keys and metadata.

    Where a file pins the sha256 of the weights, the copy pins that of the shuffled ones. Raises `SafetensorError` for a
    damaged file.
    """
    generator = torch.Generator().manual_seed(seed)
    shutil.copytree(folder, into, dirs_exist_ok=True)
    renamed: dict[str, str] = {}
    for path in sorted(into.rglob(f"*{_WEIGHTS}")):
        before = _sha256(path)
        _shuffle(path, generator)
        renamed[before] = _sha256(path)
    for path in into.rglob("*"):
        if path.suffix in _PINS:
            _pin(path, renamed)


def permuted(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values in another order, in the same shape."""
    order = torch.randperm(tensor.numel(), generator=generator)
    return tensor.flatten()[order].view_as(tensor).contiguous()


def _shuffle(path: Path, generator: torch.Generator) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: permuted(file.get_tensor(key), generator) for key in sorted(file.keys())}
    path.unlink()
    save_file(tensors, path, metadata=metadata)


def _pin(path: Path, renamed: Mapping[str, str]) -> None:
    text = path.read_text("utf-8")
    for before, after in renamed.items():
        text = text.replace(before, after)
    path.write_text(text, "utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
