"""A checkpoint with its weights shuffled: what a figure is worth that was not learnt."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

_SUFFIX = ".safetensors"


def shuffled_copy(folder: Path, into: Path, seed: int = 0) -> None:
    """Copy a checkpoint folder with the values of every tensor permuted: same statistics, same keys and metadata.

    Raises `SafetensorError` for a damaged file.
    """
    generator = torch.Generator().manual_seed(seed)
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.suffix == _SUFFIX:
            _shuffle(path, into / path.name, generator)
        elif path.is_dir():
            shuffled_copy(path, into / path.name, seed)
        else:
            shutil.copyfile(path, into / path.name)


def permuted(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values in another order, in the same shape."""
    order = torch.randperm(tensor.numel(), generator=generator)
    return tensor.flatten()[order].view_as(tensor).contiguous()


def _shuffle(source: Path, target: Path, generator: torch.Generator) -> None:
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: permuted(file.get_tensor(key), generator) for key in sorted(file.keys())}
    save_file(tensors, target, metadata=metadata)
