"""Weights that are spread over files: read a tensor at a time, and written as safetensors of a bounded size.

One file is open of what is read, and one file's worth of tensors is held of what is written, so that a model of any
size can be converted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmedagent.networks.layouts import (
    INDEX_SUFFIX,
    flat_state,
    open_archive,
    read_layout,
    read_sharded_layout,
    shard_files,
)

SHARD_BYTES = 2 << 30
WEIGHTS = "model.safetensors"
_KINDS = (WEIGHTS, "pytorch_model.bin")


class StoredTensors:
    """The tensors behind a weight file or the index of several, read when they are asked for.

    Torch archives are read with `weights_only=True`, so that no code in them is run. Neighbours in `layout` are in one
    file; reading in its order opens every file once.

    Attributes:
        layout: names to tensors on the device "meta".

    Raises:
        CheckpointError: a file is missing, damaged or holds other objects, or an index does not match its files.
    """

    def __init__(self, index: Path) -> None:
        self.layout = read_sharded_layout(index)
        self._places = {name: path for path in shard_files(index) for name in read_layout(path)}
        self._path: Path | None = None
        self._open: Any = None

    def read(self, name: str) -> Tensor:
        """One tensor, which may be mapped from its file."""
        path = self._places[name]
        if path != self._path:
            self._open = None
            self._open = _opened(path)
            self._path = path
        tensor: Tensor = self._open[name] if isinstance(self._open, dict) else self._open.get_tensor(name)
        return tensor


class Piece(NamedTuple):
    """A tensor to be written: its name, its size in bytes, and what makes it."""

    name: str
    size: int
    make: Callable[[], Tensor]


def find_weights(folder: Path) -> Path | None:
    """The weight file of a model's folder, or the index of several; safetensors before torch archives."""
    candidates = [folder / f"{name}{suffix}" for name in _KINDS for suffix in (INDEX_SUFFIX, "")]
    return next((path for path in candidates if path.is_file()), None)


def write_shards(
    folder: Path, pieces: Sequence[Piece], advance: Callable[[int], None] | None = None, limit: int = SHARD_BYTES
) -> list[Path]:
    """Write `model.safetensors`, or several files and their index, each of up to `limit` bytes or of one tensor.

    `advance` is told of the bytes of every tensor. Returns the weight files.
    """
    shards = _grouped(pieces, limit)
    names = [WEIGHTS]
    if len(shards) > 1:
        names = [f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors" for number in range(len(shards))]
        _write_index(folder / f"{WEIGHTS}{INDEX_SUFFIX}", names, shards)
    for name, shard in zip(names, shards, strict=True):
        tensors: dict[str, Tensor] = {}
        for piece in shard:
            # A copy, because the tensor may be a view of a file, or be in the file twice.
            tensors[piece.name] = piece.make().clone().contiguous()
            if advance is not None:
                advance(piece.size)
        save_tensors(tensors, folder / name)
    return [folder / name for name in names]


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file as transformers and peft read it, in every number format, for everyone to read."""
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def _grouped(pieces: Sequence[Piece], limit: int) -> list[list[Piece]]:
    shards: list[list[Piece]] = []
    size = 0
    for piece in pieces:
        if not shards or size + piece.size > limit:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += piece.size
    return shards


def _write_index(path: Path, names: Sequence[str], shards: Sequence[Sequence[Piece]]) -> None:
    total = sum(piece.size for shard in shards for piece in shard)
    places = {piece.name: name for name, shard in zip(names, shards, strict=True) for piece in shard}
    path.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2))


def _opened(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return safe_open(path, framework="pt")
    return flat_state(open_archive(path, "cpu"), path.name)
