"""The checkpoint folder of a LLaVA-type planner: `planner.json`, a folder with a base model, others with adapters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from mmedagent.networks.checkpoints import sha256_file
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.types import JsonObject, Sha256, ShortText, WireType
from mmedagent.protocol.workers import MAX_ADAPTERS

MANIFEST = "planner.json"
MAX_JSON_BYTES = 1 << 20
IDENTIFYING_SUFFIXES = frozenset({".safetensors", ".json", ".model", ".txt", ".jinja"})


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ":" in path or ".." in parts:
        raise ValueError("a path inside the checkpoint folder is needed")
    return path


RelativePath = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_inside)]
AdapterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class PlannerManifest(WireType):
    """`planner.json`. Paths are relative to its folder; every file in `sha256` is checked before anything is loaded.

    `base` holds a model with its processor, `adapter` a peft LoRA adapter. `adapters` are more of them, for requests
    that ask for one by its name; `adapter` serves the others. `tools_in_prompt` is for planners that were trained
    with the list of tools in the prompt, which MMedAgent's was not. `constrained` keeps every reply within the
    grammar of plans, and `verbatim` names in it to the user's words and numbers in an answer to those that are there,
    for a small model that would garble them. Up to `max_batch` replies are written at once; `cache_mb` MiB hold what
    was read of earlier prompts and images. `label` goes with every answer, for example that the weights are for
    demonstration only.
    """

    name: ShortText
    version: ShortText
    base: RelativePath
    adapter: RelativePath | None = None
    adapters: dict[AdapterName, RelativePath] = Field(default_factory=dict, max_length=MAX_ADAPTERS)
    max_new_tokens: int = Field(ge=1, le=8_192)
    tools_in_prompt: bool = False
    constrained: bool = True
    verbatim: bool = False
    max_batch: int = Field(default=8, ge=1, le=256)
    cache_mb: int = Field(default=512, ge=0, le=1_048_576)
    label: ShortText = ""
    sha256: dict[RelativePath, Sha256] = Field(default_factory=dict, max_length=1_000)

    def adapter_folders(self) -> dict[str | None, str]:
        """The folder of every adapter by its name; None is the name of the default one."""
        folders: dict[str | None, str] = {} if self.adapter is None else {None: self.adapter}
        folders.update(self.adapters)
        return folders


def read_manifest(folder: Path) -> PlannerManifest:
    """The folder's `planner.json`. Raises `CheckpointError` when it is missing or says something else than it may."""
    path = folder / MANIFEST
    if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"The planner's checkpoint has no readable {MANIFEST}.")
    try:
        return PlannerManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{MANIFEST} is not valid: {place}: {first['msg']}.") from error


def verify_files(folder: Path, manifest: PlannerManifest) -> str:
    """Check the files that the manifest pins, and give one sha256 for all files that make the planner what it is.

    It is the digest of the lines `<sha256>  <relative path>`, sorted by path, of the manifest and of the weights,
    settings and vocabularies in its folders. Raises `CheckpointError` for a missing or altered file.
    """
    parts = [folder / part for part in (manifest.base, *manifest.adapter_folders().values())]
    files = {
        path.relative_to(folder).as_posix()
        for part in parts
        for path in part.rglob("*")
        if path.suffix in IDENTIFYING_SUFFIXES and path.is_file()
    }
    absent = sorted(name for name in manifest.sha256 if not (folder / name).is_file())
    if absent:
        raise CheckpointError(f"The planner's checkpoint has no file {absent[0]}.")
    found = {name: sha256_file(folder / name) for name in files | manifest.sha256.keys() | {MANIFEST}}
    altered = sorted(name for name, digest in manifest.sha256.items() if found[name] != digest)
    if altered:
        raise CheckpointError(f"{altered[0]} is not the file that {MANIFEST} names: its sha256 differs.")
    listing = "".join(f"{found[name]}  {name}\n" for name in sorted(found))
    return hashlib.sha256(listing.encode()).hexdigest()


def read_settings(path: Path) -> JsonObject:
    """A JSON object of a model folder, such as `config.json`. Raises `CheckpointError`."""
    if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"The planner's checkpoint has no readable {path.parent.name}/{path.name}.")
    try:
        settings = json.loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{path.name} is not JSON.") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path.name} is not a JSON object.")
    return settings
