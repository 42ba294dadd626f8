"""One run, one TOML file. Without more than paths it is MMedAgent's recipe (arXiv 2407.02483 and its `tuning.sh`)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.types import ShortText

ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraSection(_Section):
    """The adapter (LoRA, arXiv 2106.09685). `targets` are linear layers of the language model."""

    r: int = Field(default=128, ge=1, le=1_024)
    alpha: int = Field(default=256, ge=1, le=4_096)
    dropout: Rate = 0.05
    targets: tuple[ModuleName, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        max_length=32,
    )


class RecipeSection(_Section):
    """The optimisation. `batch_size` counts the dialogues of one update, on all devices together."""

    epochs: float = Field(default=15.0, gt=0, le=1_000, allow_inf_nan=False)
    batch_size: int = Field(default=48, ge=1, le=65_536)
    learning_rate: Rate = 2e-4
    projector_learning_rate: Rate = 2e-5
    warm_up: Rate = 0.03
    weight_decay: Rate = 0.0
    clip: float = Field(default=1.0, gt=0, le=1_000, allow_inf_nan=False)
    max_tokens: int = Field(default=2_048, ge=16, le=131_072)
    seed: int = Field(default=0, ge=0, lt=2**32)


class MachineSection(_Section):
    """What runs where. Nothing here changes what is learnt, except for the rounding of `precision`."""

    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    rows_at_once: int = Field(default=12, ge=1, le=4_096)
    recompute_activations: bool = False
    image_workers: int = Field(default=0, ge=0, le=64)
    save_every: int | None = Field(default=None, ge=1)
    keep: int = Field(default=2, ge=1, le=1_000)
    log_every: int = Field(default=10, ge=1)
    tensorboard: bool = False


class PlannerSection(_Section):
    """The planner that is made at the end, and what its `planner.json` says."""

    name: ShortText = "mmedagent"
    version: ShortText = "1.0.0"
    label: ShortText = ""
    max_new_tokens: int = Field(default=512, ge=1, le=8_192)
    tools_in_prompt: bool = False
    merge: bool = True


class TrainingSettings(_Section):
    """Everything about one run. Paths are relative to the file."""

    base: Path
    data: tuple[Path, ...] = Field(min_length=1, max_length=64)
    images: Path | None = None
    without_images: bool = False
    leave_out_bad_rows: bool = False
    output: Path
    lora: LoraSection = LoraSection()
    recipe: RecipeSection = RecipeSection()
    machine: MachineSection = MachineSection()
    planner: PlannerSection = PlannerSection()


def load_settings(path: Path, output: Path | None = None) -> TrainingSettings:
    """The settings in a TOML file, with paths as this process can open them; `output` goes before the file's own.

    Raises `InvalidRequestError` naming what is wrong.
    """
    if not path.is_file():
        raise InvalidRequestError(f"There is no file {path}. Give the path of a TOML file; docs/training.md shows one.")
    try:
        read = TrainingSettings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRequestError(f"{path.name} is not valid: {place}: {first['msg']}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path.name} is not valid: {error}.") from error
    folder = path.resolve().parent
    return read.model_copy(
        update={
            "base": folder / read.base,
            "data": tuple(folder / one for one in read.data),
            "images": folder / read.images if read.images is not None else None,
            "output": output.resolve() if output is not None else folder / read.output,
        }
    )
