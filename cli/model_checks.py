"""What the checkpoints of a profile are, and whether they are whole, pinned and of the architecture they claim."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from mmedagent.cli.profile import (
    PLANNERS,
    TOOLS,
    PlannerEntry,
    Profile,
    ToolEntry,
    backend_class,
    backend_reference,
)
from mmedagent.protocol.errors import CheckpointError, MMedAgentError

if TYPE_CHECKING:
    from mmedagent.networks.architectures import Architecture, WeightFile

PLANNER = "planner"
SMALL_BYTES = 256 << 20
"""Up to this size a file is hashed without being pinned, and a checkpoint without a description is loaded."""

ARCHIVES = frozenset({".pth", ".pt", ".bin"})
DESCRIPTIONS = MappingProxyType(
    {
        "mmedagent.model_worker.llava:LlavaPlanner": "mmedagent.model_worker.llava.architecture:describe_llava",
        "mmedagent.tool_workers.grounding:GroundingTool": "mmedagent.networks.architectures:describe_grounding",
        "mmedagent.tool_workers.segmentation:SegmentationTool": "mmedagent.networks.architectures:describe_sam",
        "mmedagent.tool_workers.classification:ClassificationTool": "mmedagent.networks.architectures:describe_clip",
    }
)
"""Classes whose checkpoints may be too large to load for a look, and what describes a folder of theirs."""

INSTALL = "Install the package that brings it, or correct the profile."
GET_FOLDER = "Put the checkpoint there: docs/profiles.md says what belongs in the folder."
READ_DOCS = "docs/profiles.md says what belongs in the folder."
PIN = "If you trust the file, write its sha256, {digest}, where docs/profiles.md says that its pin goes."
GET_FILE = "Get the file again; or, if it is meant to be another one, correct its pin."
GET_FITTING = "Get the file again where its authors publish it, or correct the settings in its folder."


class FileCheck(BaseModel):
    """A file of a checkpoint. `sha256` is what it hashes to, None where it was not hashed."""

    model_config = ConfigDict(frozen=True)

    file: str
    bytes: int
    sha256: str | None
    pinned: bool
    problem: str | None = None


class ModelCheck(BaseModel):
    """What was found for the planner or a tool. `problem` says what is wrong and what to do; None is a pass."""

    model_config = ConfigDict(frozen=True)

    model: str
    backend: str
    folder: str | None
    network: str
    files: tuple[FileCheck, ...] = ()
    tensors: int | None = None
    problem: str | None = None


class Model(NamedTuple):
    """A planner or tool of a profile.

    Attributes:
        name: "planner", or the tool's.
        group: entry-point group of its class.
        backend: what the profile calls its class.
        reference: `module:Class`; None when nothing of that name is installed.
        folder: its checkpoint, if it has one.
    """

    name: str
    group: str
    backend: str
    reference: str | None
    folder: Path | None


class _Wrong(Exception):  # noqa: N818 - not for callers
    """What is wrong with a checkpoint, and what to do about it."""

    def __init__(self, detail: str, remedy: str) -> None:
        self.sentences = f"{detail.rstrip('.')}. {remedy}"
        super().__init__(self.sentences)


def models_of(profile: Profile) -> Iterator[Model]:
    """The planner and the tools, in the order of the profile."""
    entries: list[tuple[str, str, str, PlannerEntry | ToolEntry]]
    entries = [(PLANNER, PLANNERS, profile.planner.backend, profile.planner)]
    entries += [(name, TOOLS, entry.backend or name, entry) for name, entry in profile.tools.items()]
    for name, group, backend, entry in entries:
        yield Model(name, group, backend, backend_reference(group, backend), profile.checkpoint(entry))


def look(model: Model) -> ModelCheck:
    """What a model's folder says it holds, without reading large files."""
    try:
        described = _described(model)
    except _Wrong as error:
        return _nothing(model, error.sentences)
    if described is None:
        return _nothing(model)
    files = tuple(_seen(model, one) for one in described.files)
    return _nothing(model).model_copy(update={"network": described.network, "files": files})


def check(model: Model, advance: Callable[[int], None]) -> ModelCheck:
    """Hash the files of a model and compare names and shapes. `advance` is told of bytes as they are hashed."""
    try:
        described = _described(model)
    except _Wrong as error:
        return _nothing(model, error.sentences)
    if described is None:
        return _nothing(model)
    files = tuple(_hashed(model, one, advance) for one in described.files)
    found = _nothing(model).model_copy(update={"network": described.network, "files": files})
    problem = next((one.problem for one in files if one.problem is not None), None)
    if problem is not None:
        return found.model_copy(update={"problem": problem})
    try:
        return found.model_copy(update={"tensors": described.fit()})
    except (MMedAgentError, OSError) as error:
        return found.model_copy(update={"problem": _Wrong(str(error), GET_FITTING).sentences})


def bytes_to_hash(model: Model) -> int:
    """How many bytes `check` will read to hash them."""
    try:
        described = _described(model)
    except _Wrong:
        return 0
    return sum(one.path.stat().st_size for one in described.files if _is_hashed(one)) if described else 0


def _nothing(model: Model, problem: str | None = None) -> ModelCheck:
    folder = str(model.folder) if model.folder is not None else None
    return ModelCheck(
        model=model.name, backend=model.reference or model.backend, folder=folder, network="-", problem=problem
    )


def _described(model: Model) -> Architecture | None:
    """What the model's folder says it holds; None for a model without one."""
    if model.reference is None:
        raise _Wrong(f"Nothing is installed under the name {model.backend}", INSTALL)
    if model.folder is None:
        return None
    if not model.folder.is_dir():
        raise _Wrong(f"There is no folder {model.folder}", GET_FOLDER)
    try:
        if model.reference not in DESCRIPTIONS:
            return _whatever_loads(model, model.folder)
        described: Architecture = backend_class("", DESCRIPTIONS[model.reference])(model.folder)
    except MMedAgentError as error:
        raise _Wrong(error.detail, READ_DOCS) from error
    return described


def _whatever_loads(model: Model, folder: Path) -> Architecture:
    """For classes without a description: a small checkpoint is loaded, which is as strict as can be."""
    from mmedagent.networks.architectures import Architecture, WeightFile
    from mmedagent.networks.layouts import read_layout

    weights = sorted(path for path in folder.rglob("*") if path.suffix in {".safetensors", *ARCHIVES})

    def fit() -> int:
        if sum(path.stat().st_size for path in weights) > SMALL_BYTES:
            raise CheckpointError(f"The checkpoint of {model.backend} can only be checked by loading it")
        backend: Any = backend_class(model.group, model.backend)(checkpoint=folder)
        backend.load("cpu")
        return sum(len(read_layout(path)) for path in weights if path.suffix == ".safetensors")

    return Architecture("loaded as it is", tuple(WeightFile(path, None) for path in weights), fit)


def _seen(model: Model, file: WeightFile) -> FileCheck:
    path, pin = file
    size = path.stat().st_size if path.is_file() else 0
    digest = pin or (_hash(path) if path.is_file() and size <= SMALL_BYTES else None)
    return FileCheck(file=_name(model, path), bytes=size, sha256=digest, pinned=pin is not None)


def _hashed(model: Model, file: WeightFile, advance: Callable[[int], None]) -> FileCheck:
    path, pin = file
    found = FileCheck(file=_name(model, path), bytes=0, sha256=None, pinned=pin is not None)
    if not path.is_file():
        return found.model_copy(update={"problem": _Wrong(f"There is no file {path}", GET_FOLDER).sentences})
    digest: str | None = _hash(path, advance) if _is_hashed(file) else None
    wrong: _Wrong | None = None
    if pin is not None and digest != pin:
        wrong = _Wrong(f"{path.name} is not the pinned file: its sha256 is {digest}, the pin is {pin}", GET_FILE)
    elif pin is None and model.reference in DESCRIPTIONS and path.suffix in ARCHIVES:
        wrong = _Wrong(f"{path.name} is a torch archive, which is read only with a pin", PIN.format(digest=digest))
    problem = wrong.sentences if wrong is not None else None
    return found.model_copy(update={"bytes": path.stat().st_size, "sha256": digest, "problem": problem})


def _name(model: Model, path: Path) -> str:
    """The file by its place in the model's folder, since several folders of one may have files of the same name."""
    if model.folder is None or not path.is_relative_to(model.folder):
        return path.name
    return path.relative_to(model.folder).as_posix()


def _is_hashed(file: WeightFile) -> bool:
    if not file.path.is_file():
        return False
    return file.sha256 is not None or file.path.suffix in ARCHIVES or file.path.stat().st_size <= SMALL_BYTES


def _hash(path: Path, advance: Callable[[int], None] | None = None) -> str:
    from mmedagent.networks.checkpoints import sha256_file  # torch takes seconds to import

    return sha256_file(path, advance)
