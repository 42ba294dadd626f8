"""Where the tensors of an original LLaVA are: in the model's folder, in a LoRA folder, and in the folder of a CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPVisionConfig

from mmedagent.model_worker.llava.conversion.names import (
    EMBEDDINGS,
    HEAD,
    LAST_NORM,
    PROJECTOR,
    TOWER,
    canonical,
    is_left_out,
)
from mmedagent.model_worker.llava.weights import ADAPTER_SETTINGS
from mmedagent.networks.checkpoints import misfit
from mmedagent.networks.shards import StoredTensors, find_weights
from mmedagent.protocol.errors import CheckpointError

NON_LORA = "non_lora_trainables.bin"
_OTHER_BASE = "Give the model that they are differences to as --base."
_CLIP_HEAD_WIDTH = 64
_DIFFERENCE = 0.05
"""Mean size of the last normalisation's weights, below which they are differences; those of a model are about 1."""


@dataclass(frozen=True)
class Source:
    """A tensor in a file, and the tensor that it is a difference to, whose first rows it may have more than."""

    files: StoredTensors
    name: str
    base: Source | None = None

    @property
    def shape(self) -> torch.Size:
        return self.files.layout[self.name].shape

    def read(self) -> Tensor:
        """The tensor, in the number format of its file."""
        tensor = self.files.read(self.name)
        if self.base is None:
            return tensor
        whole = tensor.float().clone()
        added = self.base.read().float()
        whole[: len(added)] += added
        return whole.to(tensor.dtype)


Sources = dict[str, Source]


def read_model(folder: Path) -> Sources:
    """The tensors of a folder by their original names. Raises `CheckpointError` when it has no weights."""
    weights = find_weights(folder)
    if weights is None and (folder / ADAPTER_SETTINGS).is_file():
        raise CheckpointError(
            f"{folder.name} is a LoRA folder. Give the folder of the model it was trained on, and this one as --lora."
        )
    if weights is None:
        raise CheckpointError(
            f"{folder.name} has no model.safetensors or pytorch_model.bin, nor an index of several. "
            "Get the whole folder from where its authors publish it."
        )
    return _named(open_weights(weights))


def read_non_lora(folder: Path) -> Sources:
    """What a LoRA folder holds beside its factors: whole tensors that were trained too, such as the projector."""
    path = folder / NON_LORA
    return _named(open_weights(path)) if path.is_file() else {}


def open_weights(path: Path) -> StoredTensors:
    """The tensors behind a weight file or an index. Raises `CheckpointError` with what to do about a damaged one."""
    try:
        return StoredTensors(path)
    except CheckpointError as error:
        folder = path.parent.name
        raise CheckpointError(
            f"{folder}: {error.detail.rstrip('.')}. Get the files again, all from one place."
        ) from error


def added_to_base(differences: Sources, folder: Path) -> Sources:
    """The tensors of a model of which only the differences to a LLaMA are published.

    The LLaMA has neither projector nor vision tower, and its vocabulary may be smaller.
    """
    if not _are_differences(differences):
        raise CheckpointError("The folder to convert holds a whole model and no differences. Leave --base out.")
    base = read_model(folder)
    require_whole(base, folder)
    shared = {name for name in differences if not name.startswith((PROJECTOR, TOWER))}
    if shared != base.keys():
        missing, unexpected = sorted(shared - base.keys()), sorted(base.keys() - shared)
        raise CheckpointError(f"{misfit('the differences', missing, unexpected)}. {_OTHER_BASE}")
    return differences | {name: _added(differences[name], source) for name, source in base.items()}


def require_whole(sources: Sources, folder: Path) -> None:
    """Raises `CheckpointError` when a folder holds differences to another model, as LLaVA-Med 1.0 was published."""
    if _are_differences(sources):
        raise CheckpointError(
            f"{folder.name} holds the differences to another model. Give the folder of that model, a LLaMA in the "
            "format of transformers, as --base."
        )


def with_trained(sources: Sources, trained: Sources) -> Sources:
    """The model's tensors with those that were trained beside a LoRA in their place; a projector is replaced whole."""
    replaced = any(name.startswith(PROJECTOR) for name in trained)
    kept = {name: source for name, source in sources.items() if not (replaced and name.startswith(PROJECTOR))}
    return kept | trained


def tower_inside(sources: Mapping[str, Source]) -> CLIPVisionConfig | None:
    """The sizes of the CLIP among a model's tensors, which its settings do not tell; None without one.

    Heads of 64 and the other settings are those of every CLIP that OpenAI published (arXiv 2103.00020).
    """
    shapes = {name.removeprefix(TOWER): source.shape for name, source in sources.items() if name.startswith(TOWER)}
    try:
        width, channels, patch, _ = shapes["embeddings.patch_embedding.weight"]
        places = shapes["embeddings.position_embedding.weight"][0]
        inner = shapes["encoder.layers.0.mlp.fc1.weight"][0]
    except (KeyError, ValueError):
        return None
    layers = {name.split(".")[2] for name in shapes if name.startswith("encoder.layers.")}
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=len(layers),
        num_attention_heads=max(1, width // _CLIP_HEAD_WIDTH),
        num_channels=channels,
        image_size=round((places - 1) ** 0.5) * patch,
        patch_size=patch,
    )


def _named(files: StoredTensors) -> Sources:
    found: Sources = {}
    for name in files.layout:
        known = canonical(name.removeprefix("base_model.model."))
        if not is_left_out(name):
            found[known] = Source(files, name)
    return found


def _added(difference: Source, base: Source) -> Source:
    mine, others = difference.shape, base.shape
    longer = base.name in {EMBEDDINGS, HEAD} and mine[0] >= others[0] and mine[1:] == others[1:]
    if mine != others and not longer:
        misshapen = f"{base.name} {tuple(others)} instead of {tuple(mine)}"
        raise CheckpointError(f"{misfit('the differences', misshapen=[misshapen])}. {_OTHER_BASE}")
    return Source(difference.files, difference.name, base)


def _are_differences(sources: Sources) -> bool:
    return LAST_NORM in sources and bool(sources[LAST_NORM].read().float().abs().mean() < _DIFFERENCE)
