"""Profiles: which planner and which tools run, from which checkpoint folders."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmedagent.cli.paths import MODELS, PROFILES
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.types import ShortText, ToolName
from mmedagent.protocol.workers import Concurrency
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.tool import Batching, Precision

TOOLS, PLANNERS = "mmedagent.tools", "mmedagent.planners"


class PlannerEntry(BaseModel):
    """`backend` is a name of the entry-point group `mmedagent.planners`, or `module:Class`.

    Without `device` it is that of the process. `endpoint` is for a backend whose model runs elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: ShortText = "compact"
    checkpoint: Path | None = None
    concurrency: Concurrency = 2
    device: ShortText | None = None
    endpoint: Endpoint | None = None


class ToolEntry(BaseModel):
    """`backend` is `module:Class`; without it the tool's name is looked up in the group `mmedagent.tools`.

    Without `device` it is that of the process, without `batch_size` the tool's own batching.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: ShortText | None = None
    checkpoint: Path | None = None
    concurrency: Concurrency = 1
    device: ShortText | None = None
    precision: Precision = "fp32"
    compile: bool = False
    batch_size: Annotated[int, Field(ge=1, le=256)] | None = None
    batch_wait_ms: Annotated[float, Field(ge=0, le=1_000)] = 0.0

    @property
    def batching(self) -> Batching | None:
        """What the profile says about batches, if it does."""
        return Batching(self.batch_size, self.batch_wait_ms / 1_000) if self.batch_size is not None else None


class Profile(BaseModel):
    """A planner and tools. `label` is attached to every result; `folder` is where relative checkpoints start.

    `models_variable` names the environment variable that holds `folder`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: ShortText = ""
    models_variable: Annotated[str, Field(pattern=r"^MMEDAGENT_[A-Z_]{1,40}$")] | None = None
    planner: PlannerEntry
    tools: Annotated[dict[ToolName, ToolEntry], Field(max_length=64)]
    folder: Path

    def checkpoint(self, entry: PlannerEntry | ToolEntry) -> Path | None:
        return self.folder / entry.checkpoint if entry.checkpoint is not None else None


def load_profile(name: str, models: Path | None = None) -> Profile:
    """A built-in profile by name, or one from a TOML file, whose checkpoints are relative to that file.

    `models` is another folder for the checkpoints, and comes before the environment variable that the profile names.
    Raises `InvalidRequestError` naming what is wrong.
    """
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in PROFILES.glob("*.toml")))
        raise InvalidRequestError(f"There is no profile {name}. Built in: {known}; or give the path of a .toml file.")
    folder = MODELS if path.parent == PROFILES else path.resolve().parent
    try:
        profile = Profile(**tomllib.loads(path.read_text("utf-8")), folder=folder)
    except ValidationError as error:
        raise InvalidRequestError(f"The profile {name} is not valid: {first_of(error)}.") from error
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise InvalidRequestError(f"The profile {name} is not valid: {error}.") from error
    given = models or _models_of(profile, name)
    return profile.model_copy(update={"folder": given.resolve()}) if given is not None else profile


def _models_of(profile: Profile, name: str) -> Path | None:
    if profile.models_variable is None:
        return None
    value = os.environ.get(profile.models_variable)
    if not value:
        raise InvalidRequestError(
            f"The profile {name} reads its models from a folder of yours: set {profile.models_variable} to its path."
        )
    return Path(value)


def first_of(error: ValidationError) -> str:
    """The first thing that is wrong, in one line: where it is, and why."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def require_installed(profile: Profile) -> None:
    """Raises `InvalidRequestError` for a backend that is not installed. Imports none of them."""
    _entry_point(PLANNERS, profile.planner.backend)
    for name, entry in profile.tools.items():
        _entry_point(TOOLS, entry.backend or name)


def backend_reference(group: str, name: str) -> str | None:
    """`module:Class` behind an entry-point name, without importing it; None when nothing of that name is installed."""
    try:
        return _entry_point(group, name).value
    except InvalidRequestError:
        return None


def backend_class(group: str, name: str) -> Any:
    """The class behind an entry-point name or `module:Class`. Raises `InvalidRequestError`."""
    try:
        return _entry_point(group, name).load()
    except (ImportError, AttributeError) as error:
        raise InvalidRequestError(f"The backend {name} cannot be loaded: {error}.") from error


def _entry_point(group: str, name: str) -> EntryPoint:
    if ":" in name:
        return EntryPoint(name, name, group)
    found = {point.name: point for point in entry_points(group=group)}
    if name not in found:
        raise InvalidRequestError(f"Nothing is installed under the name {name}; there is: {', '.join(sorted(found))}.")
    return found[name]
