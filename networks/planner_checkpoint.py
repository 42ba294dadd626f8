"""The compact planner's checkpoint folder: `config.json` and `model.safetensors` (LoRA factors, heads, and the heads
of added tools where there are any), and the image tower's `glance.json` and `glance.safetensors`, without which the
planner does not look at images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer
from torch import Tensor

from mmedagent.networks.checkpoints import CheckpointError, load_state, load_strict, save_fp16
from mmedagent.networks.glance import CONFIG as GLANCE_CONFIG
from mmedagent.networks.glance import LoadedGlance, load_glance
from mmedagent.networks.minilm import MINILM_SHA256, load_tokenizer
from mmedagent.networks.minilm_encoder import load_minilm_encoder
from mmedagent.networks.planner_added import AddedOutcome
from mmedagent.networks.planner_net import MAX_TOKENS, OUTCOMES, REFERS, TAGS, TASKS, AddedHeads, PlannerNet, merge_lora

WEIGHTS = "model.safetensors"


class LoraSettings(BaseModel):
    """Rank and scale of the low-rank update; the update is multiplied by alpha / r."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    r: int = Field(ge=1, le=384)
    alpha: float = Field(gt=0)

    @property
    def scaling(self) -> float:
        return self.alpha / self.r


class PlannerConfig(BaseModel):
    """What a checkpoint says about itself. `threshold` is the confidence below which the planner asks back.

    `added` are the outcomes of tools that were learnt later, in the order of their rows behind `outcomes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    label: str
    minilm_sha256: str
    outcomes: tuple[str, ...]
    tasks: tuple[str, ...]
    tags: tuple[str, ...]
    refers: tuple[str, ...]
    lora: LoraSettings
    temperature: float = Field(gt=0)
    threshold: float = Field(ge=0, le=1)
    added: tuple[AddedOutcome, ...] = Field(default=(), max_length=256)

    @property
    def added_tools(self) -> tuple[str, ...]:
        """The tools of `added`, each once."""
        return tuple(dict.fromkeys(one.tool for one in self.added))


@dataclass(frozen=True)
class LoadedPlanner:
    """A checkpoint in memory, in evaluation mode on the CPU; `glance` is None where there is no image tower."""

    config: PlannerConfig
    net: PlannerNet
    tokenizer: Tokenizer
    glance: LoadedGlance | None = None


def save_planner(folder: Path, config: PlannerConfig, net: PlannerNet, lora: dict[str, Tensor]) -> str:
    """Write the ask reader's files; returns the sha256 of its weights. `lora` has peft's names for the factors."""
    state = {f"lora.{key}": tensor for key, tensor in lora.items()}
    state |= {f"heads.{key}": tensor for key, tensor in net.heads.state_dict().items()}
    return _save(folder, config, state)


def _save(folder: Path, config: PlannerConfig, state: dict[str, Tensor]) -> str:
    sha256 = save_fp16(state, folder / WEIGHTS)
    (folder / "config.json").write_text(config.model_dump_json(indent=2, exclude_defaults=True) + "\n", "utf-8")
    return sha256


def save_added(folder: Path, start: Path, config: PlannerConfig, added: AddedHeads) -> str:
    """Write the ask reader of `start` with other heads of added tools; returns the sha256 of its weights."""
    state = load_state(start / WEIGHTS)
    state |= {f"added.{key}": tensor for key, tensor in added.state_dict().items()}
    return _save(folder, config, state)


def read_config(folder: Path) -> PlannerConfig:
    """Raises `CheckpointError` when it is missing, malformed, or of another network than this code builds."""
    try:
        config = PlannerConfig.model_validate_json((folder / "config.json").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise CheckpointError("config.json of the planner is missing or malformed") from error
    if (config.outcomes, config.tasks, config.tags, config.refers) != (OUTCOMES, TASKS, TAGS, REFERS):
        raise CheckpointError("the planner's checkpoint is of another version: its outcomes or tags differ")
    if config.minilm_sha256 != MINILM_SHA256:
        raise CheckpointError("the planner's checkpoint was trained on another MiniLM")
    return config


def load_planner(folder: Path, minilm: Path | None = None) -> LoadedPlanner:
    """Load a checkpoint folder over the installed MiniLM, with the LoRA update merged into its weights.

    Raises:
        CheckpointError: a file is missing, damaged or of another network.
    """
    config = read_config(folder)
    state = load_state(folder / WEIGHTS)
    try:
        encoder = load_minilm_encoder(minilm)
        tokenizer = load_tokenizer(minilm, max_tokens=MAX_TOKENS)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"MiniLM cannot be used: {error}") from error
    merge_lora(encoder, _section(state, "lora."), config.lora.scaling)
    net = PlannerNet(encoder)
    if config.added:
        added = AddedHeads(len(config.added), len(config.added_tools))
        load_strict(added, _section(state, "added."))
        net = PlannerNet(encoder, load_minilm_encoder(minilm), added)
    load_strict(net.heads, _section(state, "heads."))
    glance = load_glance(folder) if (folder / GLANCE_CONFIG).is_file() else None
    return LoadedPlanner(config, net.eval().requires_grad_(requires_grad=False), tokenizer, glance)


def _section(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
