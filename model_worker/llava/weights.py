"""Loads the base model and the LoRA adapter, strictly: every key of every file must have its place, and the reverse."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from mmedagent.model_worker.llava.adapters import Adapters, peft_names, require_separable
from mmedagent.model_worker.llava.checkpoint import PlannerManifest, read_settings
from mmedagent.networks import checkpoints
from mmedagent.networks.families import family_named
from mmedagent.protocol.errors import CheckpointError

ReadState = Callable[[Path], dict[str, Tensor]]
ADAPTER_SETTINGS, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NOT_FINITE = "The planner's adapter holds values that are not finite."
PLAIN_STARTS = (True, False, "gaussian")
"""Ways to start an adapter (`init_lora_weights`) that leave the base weights as they are."""


@dataclass(frozen=True)
class LoadedLlava:
    """A LLaVA-type model, ready for inference, and the processor of its base folder.

    A single adapter is merged into the model. With more, the model is a `PeftModel` that carries all of them.
    """

    model: Any
    processor: Any
    adapters: Adapters


def load_llava(folder: Path, manifest: PlannerManifest, device: str) -> LoadedLlava:
    """Load what the manifest names: float32 on a CPU, half precision elsewhere. Raises `CheckpointError`."""
    disable_progress_bar()
    base = folder / manifest.base
    processor = load_processor(base)
    model = load_base(base, dtype_for(device))
    if manifest.adapters:
        model = attach_adapters(model, folder, manifest)
    elif manifest.adapter is not None:
        adapted = attach_adapter(model, folder / manifest.adapter)
        try:
            model = adapted.merge_and_unload(safe_merge=True)
        except ValueError as error:
            raise CheckpointError(NOT_FINITE) from error
    ready = model.to(device).eval().requires_grad_(requires_grad=False)
    return LoadedLlava(ready, processor, Adapters(ready, peft_names(manifest)))


def dtype_for(device: str) -> torch.dtype:
    """The number format that a device computes well in."""
    kind = torch.device(device).type
    if kind == "cpu":
        return torch.float32
    return torch.bfloat16 if kind == "cuda" and torch.cuda.is_bf16_supported() else torch.float16


def load_base(folder: Path, dtype: torch.dtype) -> Any:
    """The model of a folder, of one of the families, from safetensors only and without a network."""
    family = family_named(read_settings(folder / "config.json").get("model_type"))
    if (folder / ADAPTER_SETTINGS).exists():
        raise CheckpointError("The planner's base folder holds an adapter; keep the adapter in a folder of its own.")
    try:
        model, report = family.model.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError("The planner's base model cannot be loaded from its folder.") from error
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[problem]:
            keys = sorted(map(str, report[problem]))
            raise CheckpointError(f"The planner's base has {len(keys)} {problem.replace('_', ' ')}, such as {keys[0]}.")
    return model


def load_processor(folder: Path) -> Any:
    """The tokenizer and image processor of a folder. Raises `CheckpointError` for one that would cut the image."""
    family = family_named(read_settings(folder / "config.json").get("model_type"))
    read_settings(folder / "tokenizer_config.json")
    try:
        processor = family.processor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError("The planner's processor cannot be loaded from its base folder.") from error
    if _loses_border(processor.image_processor):
        raise CheckpointError("The planner's image processor crops; it must not, or the image border would be lost.")
    return processor


def _loses_border(image_processor: Any) -> bool:
    """Whether the outermost columns of a wide image, or rows of a tall one, leave no trace in the pixel values."""
    wide = Image.new("RGB", (64, 32))
    edged = wide.copy()
    for left in (0, 62):
        edged.paste("white", (left, 0, left + 2, 32))
    turns = ((wide, edged), (wide.transpose(Image.Transpose.ROTATE_90), edged.transpose(Image.Transpose.ROTATE_90)))
    for plain, marked in turns:
        before, after = (image_processor(image, return_tensors="pt")["pixel_values"] for image in (plain, marked))
        if torch.equal(before, after):
            return True
    return False


def attach_adapters(
    model: Any, folder: Path, manifest: PlannerManifest, read: ReadState = checkpoints.load_state
) -> PeftModel:
    """The model with all adapters of a planner's folder side by side, unmerged. Raises `CheckpointError`."""
    names = peft_names(manifest)
    for name, place in manifest.adapter_folders().items():
        model = attach_adapter(model, folder / place, read, names[name])
        require_separable(model, names[name], place)
    return model


def attach_adapter(
    model: Any, folder: Path, read: ReadState = checkpoints.load_state, name: str = "default"
) -> PeftModel:
    """The model with the LoRA adapter of a folder on it, unmerged. `read` gives the tensors of a file.

    The model may carry other adapters already; `name` is the adapter's in peft. The tensors in the file must be exactly
    those that the adapter's own settings ask for: peft itself only warns when some are missing, and leaves those layers
    as they were. Raises `CheckpointError`.
    """
    config = _adapter_config(folder)
    state = _adapter_state(folder / ADAPTER_WEIGHTS, read)
    adapted = _with_fresh_adapter(model, config, name)
    _require_targets(config.target_modules, adapted.base_model.targeted_module_names)
    own = get_peft_model_state_dict(adapted, adapter_name=name)
    _require_equal_keys(own, state)
    fitting = {key: state[key].to(tensor.dtype) for key, tensor in own.items()}
    set_peft_model_state_dict(adapted, fitting, adapter_name=name)
    return adapted.eval()


def _adapter_config(folder: Path) -> LoraConfig:
    settings = read_settings(folder / ADAPTER_SETTINGS)
    if settings.get("peft_type") != "LORA":
        raise CheckpointError("The planner's adapter is not a LoRA adapter.")
    if settings.get("init_lora_weights", True) not in PLAIN_STARTS:
        raise CheckpointError("The planner's adapter changes the base weights when it is attached; convert it first.")
    try:
        config = LoraConfig.from_pretrained(str(folder))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The planner's {ADAPTER_SETTINGS} is not valid.") from error
    config.inference_mode = True
    config.base_model_name_or_path = None  # planner.json says which base it belongs to
    return config


def _with_fresh_adapter(model: Any, config: LoraConfig, name: str) -> PeftModel:
    try:
        with warnings.catch_warnings():
            # peft 0.21 still reads a model attribute that transformers 5.23 has renamed.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            if not isinstance(model, PeftModel):
                return get_peft_model(model, config, adapter_name=name, autocast_adapter_dtype=False)
            model.add_adapter(name, config, autocast_adapter_dtype=False)
            return model
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError("The planner's adapter does not fit the base model.") from error


def _adapter_state(path: Path, read: ReadState) -> dict[str, Tensor]:
    try:
        return read(path)
    except checkpoints.CheckpointError as error:
        raise CheckpointError(f"The planner's adapter has no readable {ADAPTER_WEIGHTS}.") from error


def _require_targets(asked: object, adapted: list[str]) -> None:
    if not isinstance(asked, (set, list, tuple)):
        return
    for name in sorted(asked):
        if not any(module == name or module.endswith(f".{name}") for module in adapted):
            raise CheckpointError(f"The planner's adapter names {name}, which the base model does not have.")


def _require_equal_keys(own: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing:
        raise CheckpointError(f"The planner's adapter lacks {len(missing)} tensors that it asks for: {missing[0]}.")
    if unexpected:
        raise CheckpointError(f"The planner's adapter has {len(unexpected)} tensors without a place: {unexpected[0]}.")
    for key, tensor in own.items():
        if state[key].shape != tensor.shape:
            raise CheckpointError(f"The planner's adapter has a tensor of another shape than the base model's: {key}.")
