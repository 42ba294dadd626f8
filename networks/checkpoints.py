"""Read, check and write checkpoint files.

safetensors is the native format. A torch archive (`.pth`, `.pt`, `.bin`) is read only when its sha256 is pinned by the
caller, and then only with `weights_only=True`, so that no code in the file is ever run.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmedagent.protocol.errors import CheckpointError

__all__ = ["CheckpointError", "load_state", "load_strict", "misfit", "require_hash", "save_fp16", "sha256_file"]

TORCH_SUFFIXES = frozenset({".pth", ".pt", ".bin"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN_KEYS = 5


def sha256_file(path: Path, advance: Callable[[int], None] | None = None) -> str:
    """The sha256 of a file as 64 lower-case hex digits, read in 1 MiB pieces; `advance` is told of the bytes of each.

    Raises:
        CheckpointError: there is no such file.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint file {path.name} does not exist")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            if advance is not None:
                advance(len(piece))
    return digest.hexdigest()


def require_hash(path: Path, sha256: str) -> None:
    """Raises `CheckpointError` when the file is missing or is not the one with this sha256."""
    if not _SHA256.fullmatch(sha256):
        raise CheckpointError(f"the sha256 pinned for {path.name} is not 64 lower-case hex digits")
    found = sha256_file(path)
    if found != sha256:
        raise CheckpointError(f"{path.name} is not the pinned file: sha256 {found}, expected {sha256}")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `CheckpointError` when the file is missing or holds something else."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is missing or not JSON") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is not a JSON object")
    return content


def load_state(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a flat `name -> tensor` state from a `.safetensors` or a pinned torch archive.

    Args:
        path: the file.
        sha256: 64 hex digits that the file must hash to; required for torch archives.

    Raises:
        CheckpointError: the file is missing, damaged, of an unknown kind, not the pinned one, or holds anything but
            tensors by name.
    """
    if sha256 is not None:
        require_hash(path, sha256)
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix in TORCH_SUFFIXES:
        if sha256 is None:
            raise CheckpointError(f"{path.name} is a torch archive: it is read only with a pinned sha256")
        return _load_torch_archive(path)
    raise CheckpointError(f"{path.name}: unknown checkpoint format {path.suffix!r}")


def load_strict(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy a state into a module; every key and every shape must match.

    Tensors (fp16 in shipped files) are cast to the data type of the module's own, and moved to their device.

    Raises:
        CheckpointError: keys are missing or unexpected, or a shape differs; the message names them.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    if missing or unexpected:
        raise CheckpointError(misfit(type(module).__name__, missing, unexpected))
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if state[key].shape != tensor.shape
    ]
    if misshapen:
        raise CheckpointError(misfit(type(module).__name__, misshapen=misshapen))
    module.load_state_dict({key: state[key].to(tensor) for key, tensor in own.items()}, strict=True)


def misfit(
    network: str, missing: Sequence[str] = (), unexpected: Sequence[str] = (), misshapen: Sequence[str] = ()
) -> str:
    """One sentence that counts and names the tensors for which a checkpoint does not fit a network."""
    kinds = [
        ("missing", missing),
        ("unexpected", unexpected),
        ("misshapen", misshapen),
    ]
    counted = "; ".join(_listed(what, keys) for what, keys in kinds if keys)
    return f"checkpoint does not fit {network}: {counted}"


def save_fp16(source: nn.Module | Mapping[str, Tensor], path: Path) -> str:
    """Write a module's or mapping's tensors as safetensors with floating-point tensors in fp16; returns the sha256.

    The file is replaced in one step, so that a reader never sees half of it.

    Raises:
        CheckpointError: a value is outside the range of fp16 or is not finite.
    """
    state = source.state_dict() if isinstance(source, nn.Module) else source
    half: dict[str, Tensor] = {}
    for key, tensor in state.items():
        value = tensor.detach().cpu()
        if value.is_floating_point():
            value = value.to(torch.float16)
            if not bool(torch.isfinite(value).all()):
                raise CheckpointError(f"{key} holds values that fp16 cannot represent")
        half[key] = value.contiguous().clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    save_file(half, partial)
    partial.chmod(0o644)
    partial.replace(path)
    return sha256_file(path)


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"checkpoint file {path.name} does not exist")
    try:
        state: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} is not a safetensors file: {error}") from error
    return state


def _load_torch_archive(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, UnpicklingError) as error:
        raise CheckpointError(f"{path.name} is not a readable torch archive of plain tensors") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name} does not hold a flat state of tensors")
    return {str(key): value for key, value in state.items()}


def _listed(what: str, keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:_SHOWN_KEYS])
    more = f", and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"{len(keys)} {what} ({shown}{more})"
