"""The names and shapes of the tensors in a checkpoint, without its numbers.

A tensor of a layout is on the device "meta" and takes no memory, so that the strict loaders can be tried on a file of
any size. Of safetensors only the header is read. Of a torch archive only the list of its tensors is unpickled, with
`weights_only=True`, so that no code in the file is run; its numbers are mapped into memory and never touched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mmedagent.networks.checkpoints import TORCH_SUFFIXES, CheckpointError, misfit

META = "meta"
INDEX_SUFFIX = ".index.json"
MAX_INDEX_BYTES = 1 << 26


def read_layout(path: Path) -> dict[str, Tensor]:
    """The layout of a `.safetensors` file or of a flat torch archive.

    Raises:
        CheckpointError: the file is missing, cut short, damaged, of an unknown kind, or holds anything but tensors by
            name.
    """
    if path.suffix == ".safetensors":
        return _safetensors_layout(path)
    if path.suffix in TORCH_SUFFIXES:
        return flat_state(open_archive(path, META), path.name)
    raise CheckpointError(f"{path.name}: unknown checkpoint format {path.suffix!r}")


def read_sharded_layout(index: Path) -> dict[str, Tensor]:
    """The layout of a `model.safetensors`, or of all the files that a `model.safetensors.index.json` names.

    The same for torch archives, such as `pytorch_model.bin` and `pytorch_model.bin.index.json`.

    Raises:
        CheckpointError: a file is missing or damaged, or a file and the index do not name the same tensors.
    """
    if not index.name.endswith(INDEX_SUFFIX):
        return read_layout(index)
    places = _weight_map(index)
    layout: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        shard = read_layout(index.parent / name)
        listed = {key for key, place in places.items() if place == name}
        if shard.keys() != listed:
            missing, unexpected = sorted(listed - shard.keys()), sorted(shard.keys() - listed)
            raise CheckpointError(misfit(f"{index.name}, file {name}", missing, unexpected))
        layout |= shard
    return layout


def shard_files(index: Path) -> list[Path]:
    """The weight files behind a `model.safetensors`, a `pytorch_model.bin` or an index, in order of their names."""
    if not index.name.endswith(INDEX_SUFFIX):
        return [index]
    return [index.parent / name for name in sorted(set(_weight_map(index).values()))]


def open_archive(path: Path, device: str, allowed: Sequence[type] = ()) -> Any:
    """What a torch archive holds, with its tensors on a device and nothing but plain data beside them.

    Files of torch 1.6 or newer are mapped into memory rather than read.

    Args:
        path: the file.
        device: "meta" for names and shapes only.
        allowed: further classes that may occur in the file.

    Raises:
        CheckpointError: the file is missing, damaged or holds other objects.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint file {path.name} does not exist")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location=device, mmap=is_zipfile(path), weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, UnpicklingError) as error:
        raise CheckpointError(f"{path.name} is not a readable torch archive of plain tensors") from error


def flat_state(document: object, name: str) -> dict[str, Tensor]:
    """The tensors of a document that holds nothing else. Raises `CheckpointError` naming the file `name`."""
    if not isinstance(document, dict) or not all(isinstance(value, Tensor) for value in document.values()):
        raise CheckpointError(f"{name} does not hold a flat state of tensors")
    return {str(key): value for key, value in document.items()}


def _safetensors_layout(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"checkpoint file {path.name} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: torch.empty(file.get_slice(key).get_shape(), device=META) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} is cut short or not a safetensors file: {error}") from error


def _weight_map(index: Path) -> dict[str, str]:
    if not index.is_file() or index.stat().st_size > MAX_INDEX_BYTES:
        raise CheckpointError(f"{index.name} is missing or too large")
    try:
        places = json.loads(index.read_bytes())["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{index.name} has no weight_map") from error
    kind = Path(index.name.removesuffix(INDEX_SUFFIX)).suffix
    if not isinstance(places, dict) or not all(
        isinstance(name, str) and Path(name).name == name and Path(name).suffix == kind for name in places.values()
    ):
        raise CheckpointError(f"{index.name} names something else than {kind.removeprefix('.')} files beside it")
    return places
