"""The families of vision-language models that a LLaVA-type planner can be made of."""

from mmedagent.networks.families.family import Family
from mmedagent.networks.families.llava import LLAVA
from mmedagent.networks.families.qwen import QWEN_2_5, QWEN_3
from mmedagent.protocol.errors import CheckpointError

FAMILIES: tuple[Family, ...] = (LLAVA, QWEN_2_5, QWEN_3)

__all__ = ["FAMILIES", "LLAVA", "QWEN_2_5", "QWEN_3", "Family", "family_named", "family_of"]


def family_named(model_type: object) -> Family:
    """The family of a `config.json` with that `model_type`. Raises `CheckpointError` for another."""
    for family in FAMILIES:
        if family.config.model_type == model_type:
            return family
    known = ", ".join(family.model.__name__ for family in FAMILIES)
    raise CheckpointError(f"The planner's base is in none of these formats of transformers: {known}.")


def family_of(processor: object) -> Family:
    """The family of a processor. Raises `CheckpointError` for another."""
    for family in FAMILIES:
        if type(processor) is family.processor:
            return family
    raise CheckpointError("The planner's processor is of none of the families that are known.")
