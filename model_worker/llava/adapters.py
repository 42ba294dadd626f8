"""LoRA adapters side by side on one base: each turn is read and written with its own, and switching loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils.other import AuxiliaryTrainingWrapper

from mmedagent.model_worker.llava.checkpoint import PlannerManifest
from mmedagent.protocol.errors import CheckpointError, NotFoundError

BASE = "__base__"
"""What peft calls a row without an adapter."""

READS_AND_WRITES = ("language_model", "lm_head")
"""The modules that tokens go through, by their places in `LlavaForConditionalGeneration`; the others look at images."""

TOGETHER_ONLY = ("use_dora", "layer_replication", "trainable_token_indices", "target_parameters")
"""Settings of an adapter with which peft cannot compute it beside another one."""


def peft_names(manifest: PlannerManifest) -> dict[str | None, str]:
    """What the adapters of a folder are called inside peft, where a name may hold no dot and be part of no other."""
    return {name: f"adapter{number:02}" for number, name in enumerate(manifest.adapter_folders())}


def require_separable(model: PeftModel, name: str, place: str) -> None:
    """Raises `CheckpointError` for an adapter that would touch rows other than its own, or holds a number that is none.

    `name` is the adapter's in peft and `place` its folder.
    """
    config = model.peft_config[name]
    refused = [key for key in TOGETHER_ONLY if getattr(config, key, None)]
    refused += ["bias"] if config.bias != "none" else []
    saved = [where for where, _ in _parts(model, name, AuxiliaryTrainingWrapper) if _is_for_text(where)]
    refused += [f"modules_to_save ({saved[0]})"] if saved else []
    if refused:
        raise CheckpointError(f"The adapter {place} cannot serve beside others: it uses {refused[0]}. Merge it.")
    factors = [tensor for key, tensor in model.named_parameters() if f".{name}." in key and not tensor.is_meta]
    if not all(bool(torch.isfinite(tensor).all()) for tensor in factors):
        raise CheckpointError(f"The adapter {place} holds values that are not finite.")


class Adapters:
    """The adapters that a model carries, by the names that requests use; None is the planner's default.

    A model with none, or with one that is merged, is used as it is. For one thread at a time.
    """

    def __init__(self, model: Any, names: Mapping[str | None, str]) -> None:
        self._model: PeftModel | None = model if isinstance(model, PeftModel) else None
        self._names = dict(names) if self._model is not None else {}
        self._eyes = {name: self._looks_by_itself(inner) for name, inner in self._names.items()}
        self._active = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Those that a request may ask for."""
        return tuple(name for name in self._names if name is not None)

    def eyes(self, name: str | None) -> str:
        """Adapters with the same eyes make the same features of an image."""
        return self._inner(name) if self._eyes.get(name) else ""

    def identity(self, name: str | None) -> str:
        """Tells adapters apart in the keys of what is remembered."""
        return self._inner(name)

    def select(self, names: Sequence[str | None]) -> dict[str, list[str]]:
        """Have the model compute so many rows, each with its adapter, until the next selection.

        Gives what the model is to be called with, beside its inputs. Raises `NotFoundError`.
        """
        inner = [self._inner(name) for name in names]
        if self._model is None:
            return {}
        one, *others = set(inner)
        if not others:
            self._activate(one)
            return {}
        if self._active == BASE:
            self._activate(next(iter(self._names.values())))
        return {"adapter_names": inner}

    def _activate(self, inner: str) -> None:
        if self._model is None or inner == self._active:
            return
        if inner == BASE:
            self._model.base_model.disable_adapter_layers()
        else:
            if self._active == BASE:
                self._model.base_model.enable_adapter_layers()
            self._model.set_adapter(inner, inference_mode=True)
        self._active = inner

    def _inner(self, name: str | None) -> str:
        if name is not None and name not in self._names:
            raise NotFoundError(f"The planner has no adapter {name}.")
        return self._names.get(name, BASE)

    def _looks_by_itself(self, inner: str) -> bool:
        """Whether an adapter changes anything that an image goes through."""
        kinds = (LoraLayer, AuxiliaryTrainingWrapper)
        return any(not _is_for_text(where) for where, _ in _parts(self._model, inner, kinds))


def _parts(model: Any, inner: str, kinds: Any) -> Iterator[tuple[str, Any]]:
    """The modules of these kinds that hold something of an adapter, with their places."""
    for where, module in model.named_modules():
        if isinstance(module, kinds) and any(f".{inner}." in f".{key}." for key in module.state_dict()):
            yield where, module


def _is_for_text(where: str) -> bool:
    return any(part in where.split(".") for part in READS_AND_WRITES)
