"""A LoRA folder of the original LLaVA code, as MMedAgent's training writes it, turned into one of peft."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from peft import LoraConfig
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from mmedagent.model_worker.llava.checkpoint import read_settings
from mmedagent.model_worker.llava.conversion.settings import first_problem
from mmedagent.model_worker.llava.conversion.sources import open_weights
from mmedagent.model_worker.llava.weights import ADAPTER_SETTINGS, ADAPTER_WEIGHTS
from mmedagent.networks.checkpoints import misfit
from mmedagent.networks.shards import save_tensors
from mmedagent.protocol.errors import CheckpointError

PREFIX, NEW_PREFIX = "base_model.model.model.", "base_model.model.model.language_model."
_LAYERS = "model.language_model.layers."
_ARCHIVE = "adapter_model.bin"


class OriginalLora(BaseModel):
    """`adapter_config.json`, as far as names and shapes of the factors do not tell what is computed from them.

    Ways that LLaVA's training never takes are refused.
    """

    model_config = ConfigDict(frozen=True)

    peft_type: Literal["LORA"]
    r: int = Field(ge=1)
    lora_alpha: int | float = Field(gt=0)
    lora_dropout: float = 0.0
    target_modules: tuple[str, ...] = Field(min_length=1)
    use_rslora: bool = False
    bias: Literal["none"] = "none"
    fan_in_fan_out: Literal[False] = False
    init_lora_weights: bool | Literal["gaussian"] = True
    alpha_pattern: Annotated[dict[str, float], Field(max_length=0)] | None = None


class LoraFolder:
    """The factors of a LoRA, W + alpha / r · B · A, on linear layers of the language model (arXiv 2106.09685).

    Raises `CheckpointError` for settings or factors that do not fit the language model, in either direction.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors` or `.bin`.
        layout: names to tensors of the whole network as transformers has them in memory.
    """

    def __init__(self, folder: Path, layout: dict[str, Tensor]) -> None:
        self._config = _read_config(folder)
        path = next((folder / name for name in (ADAPTER_WEIGHTS, _ARCHIVE) if (folder / name).is_file()), None)
        if path is None:
            raise CheckpointError(
                f"{folder.name} has neither {ADAPTER_WEIGHTS} nor {_ARCHIVE}. Get the whole folder again."
            )
        self._files = open_weights(path)
        self._modules = _modules(layout, self._config.target_modules)
        self._names = {name.replace(".default.weight", ".weight"): name for name in self._files.layout}
        _require_fit(self._expected(layout), {name: self._files.layout[old] for name, old in self._names.items()})

    def write(self, folder: Path) -> Path:
        """Write the adapter as peft reads it, in the number format that it has. Returns the file of the factors."""
        factors = {
            f"{NEW_PREFIX}{name.removeprefix(PREFIX)}": self._files.read(old).clone().contiguous()
            for name, old in self._names.items()
        }
        kinds = "|".join(sorted({re.escape(module.partition(".")[2]) for module in self._modules}))
        config = LoraConfig(
            r=self._config.r,
            lora_alpha=self._config.lora_alpha,
            lora_dropout=self._config.lora_dropout,
            target_modules=rf"{re.escape(_LAYERS)}\d+\.({kinds})",
            use_rslora=self._config.use_rslora,
            task_type="CAUSAL_LM",
            inference_mode=True,
        )
        folder.mkdir()
        config.save_pretrained(str(folder))
        save_tensors(factors, folder / ADAPTER_WEIGHTS)
        return folder / ADAPTER_WEIGHTS

    def _expected(self, layout: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
        rank = self._config.r
        shapes: dict[str, tuple[int, ...]] = {}
        for module in self._modules:
            outputs, inputs = layout[f"{_LAYERS}{module}.weight"].shape
            shapes[f"{PREFIX}layers.{module}.lora_A.weight"] = (rank, inputs)
            shapes[f"{PREFIX}layers.{module}.lora_B.weight"] = (outputs, rank)
        return shapes


def _read_config(folder: Path) -> OriginalLora:
    if not (folder / ADAPTER_SETTINGS).is_file():
        raise CheckpointError(
            f"{folder.name} has no {ADAPTER_SETTINGS}. Give a LoRA folder of the original code as --lora."
        )
    try:
        return OriginalLora.model_validate(read_settings(folder / ADAPTER_SETTINGS))
    except ValidationError as error:
        raise CheckpointError(
            f"{folder.name}/{ADAPTER_SETTINGS}: {first_problem(error)}. Only a plain LoRA on a list of "
            "linear layers can be converted; merge another kind into its model with its own code first."
        ) from error


def _modules(layout: dict[str, Tensor], targets: tuple[str, ...]) -> list[str]:
    """The linear layers that the adapter is on, such as `0.self_attn.q_proj`."""
    matrices = [name for name, tensor in layout.items() if name.startswith(_LAYERS) and len(tensor.shape) == 2]
    linear = [name.removeprefix(_LAYERS).removesuffix(".weight") for name in matrices]
    unknown = sorted(set(targets) - {name.rpartition(".")[2] for name in linear})
    if unknown:
        raise CheckpointError(
            f"The LoRA is on {unknown[0]}, which the language model does not have. Give the model it was trained on."
        )
    return [name for name in linear if name.rpartition(".")[2] in targets]


def _require_fit(expected: dict[str, tuple[int, ...]], found: dict[str, Tensor]) -> None:
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    if missing or unexpected or misshapen:
        raise CheckpointError(
            f"{misfit('the LoRA on this model', missing, unexpected, misshapen)}. "
            "Give the model that it was trained on, and the whole folder that the training wrote."
        )
