"""The adapter of a run: LoRA on the language model, and the projector, which is trained as a whole."""

from __future__ import annotations

import re
import warnings
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from mmedagent.networks.families import family_named
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.training.sft.settings import LoraSection, RecipeSection

PROJECTOR = ".modules_to_save."
"""Part of the name that peft gives every parameter of the projector's trained copy, and no other."""


def with_adapter(model: Any, lora: LoraSection) -> PeftModel:
    """The model with a fresh adapter, in float32, on its language model, and a trained copy of its projector.

    The image tower is left as it is, as in MMedAgent. Raises `InvalidRequestError` for targets that are not there.
    """
    names = "|".join(lora.targets)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf".*language_model.*\.({names})",
        modules_to_save=_projector(model),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 still reads a model attribute that transformers 5.23 has renamed.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise InvalidRequestError(f"lora.targets: no layer of the language model is called {names}.") from error
    found = {name.rpartition(".")[2] for name in adapted.base_model.targeted_module_names}
    if absent := sorted(set(lora.targets) - found):
        raise InvalidRequestError(f"lora.targets: no layer of the language model is called {absent[0]}.")
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def _projector(model: Any) -> list[str]:
    """The names of the modules between image tower and language model."""
    pattern = re.compile(family_named(model.config.model_type).projector)
    return [name.removeprefix("model.") for name, _ in model.named_modules() if pattern.fullmatch(name)]


def optimizer_of(adapted: PeftModel, recipe: RecipeSection) -> torch.optim.AdamW:
    """AdamW with a learning rate for the LoRA factors and another, lower one for the projector."""
    trained = [(name, one) for name, one in adapted.named_parameters() if one.requires_grad]
    projector = [one for name, one in trained if PROJECTOR in name]
    factors = [one for name, one in trained if PROJECTOR not in name]
    groups = [
        {"params": factors, "lr": recipe.learning_rate},
        {"params": projector, "lr": recipe.projector_learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
