"""Whether a planner's folder holds what it says, without loading a model of several billion parameters."""

from __future__ import annotations

from pathlib import Path

import torch

from mmedagent.model_worker.llava.checkpoint import MANIFEST, PlannerManifest, read_manifest, read_settings
from mmedagent.model_worker.llava.weights import ADAPTER_WEIGHTS, attach_adapter, attach_adapters
from mmedagent.networks.architectures import Architecture, WeightFile
from mmedagent.networks.families import Family, family_named
from mmedagent.networks.layouts import META, read_layout, read_sharded_layout, shard_files
from mmedagent.networks.pretrained import fit_pretrained
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.types import JsonObject

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
ORIGINAL_KEYS = ("mm_vision_tower", "mm_projector_type")
ORIGINAL_ADAPTER = "non_lora_trainables.bin"


def describe_llava(folder: Path) -> Architecture:
    """A folder that `LlavaPlanner` reads: `planner.json`, a base and usually a LoRA adapter.

    Raises:
        CheckpointError: a file is missing or malformed, or the model is in the layout of the original LLaVA code, which
            has to be converted first.
    """
    if not (folder / MANIFEST).is_file():
        _refuse_original(folder)
    manifest = read_manifest(folder)
    _refuse_original(folder / manifest.base)
    for adapter in manifest.adapter_folders().values():
        _refuse_original(folder / adapter)
    settings = read_settings(folder / manifest.base / CONFIG)
    family = family_named(settings.get("model_type"))
    return Architecture(
        f"{family.title} with LoRA" if manifest.adapter_folders() else family.title,
        _files(folder, manifest),
        lambda: _fit(folder, manifest, family, settings),
    )


def _files(folder: Path, manifest: PlannerManifest) -> tuple[WeightFile, ...]:
    weights = shard_files(_base_weights(folder / manifest.base))
    weights += [folder / adapter / ADAPTER_WEIGHTS for adapter in manifest.adapter_folders().values()]
    names = dict.fromkeys([path.relative_to(folder).as_posix() for path in weights])
    return tuple(WeightFile(folder / name, manifest.sha256.get(name)) for name in names | manifest.sha256)


def _fit(folder: Path, manifest: PlannerManifest, family: Family, settings: JsonObject) -> int:
    layout = read_sharded_layout(_base_weights(folder / manifest.base))
    try:
        config = family.config.from_dict(dict(settings))
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"The base's {CONFIG} describes no {family.title} that transformers can build."
        ) from error
    model = fit_pretrained(family.model, config, layout, META)
    adapters = [folder / adapter for adapter in manifest.adapter_folders().values()]
    if not adapters:
        return len(layout)
    # As when it is loaded from its folder; otherwise peft asks a hub whether the vocabulary has grown.
    model.name_or_path = str(folder / manifest.base)
    with torch.device(META):
        if manifest.adapters:
            attach_adapters(model, folder, manifest, read_layout)
        else:
            attach_adapter(model, adapters[0], read_layout)
    return len(layout) + sum(len(read_layout(adapter / ADAPTER_WEIGHTS)) for adapter in adapters)


def _base_weights(base: Path) -> Path:
    found = [base / name for name in (INDEX, WEIGHTS) if (base / name).is_file()]
    if not found:
        raise CheckpointError(f"The planner's base has neither {WEIGHTS} nor {INDEX}; other formats are not read.")
    return found[0]


def _refuse_original(folder: Path) -> None:
    """Say in words what the folders of LLaVA-Med and MMedAgent, as they are published, would need."""
    settings = read_settings(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    kind = str(settings.get("model_type", ""))
    original = kind.startswith("llava_") or any(key in settings for key in ORIGINAL_KEYS)
    if original or (folder / ORIGINAL_ADAPTER).is_file():
        raise CheckpointError(
            f"The folder {folder.name} is in the layout of the original LLaVA code. It has to be converted to the "
            "LlavaForConditionalGeneration format first: mmedagent models convert."
        )
