"""Makes the checkpoint folder of a LLaVA-type planner from a base and the adapter that was trained on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import PeftModel

from mmedagent.networks.checkpoints import read_json, sha256_file
from mmedagent.protocol.errors import CheckpointError, ConflictError
from mmedagent.training.sft.settings import PlannerSection

BASE, MANIFEST, CONFIG = "base", "planner.json", "config.json"
WRITTEN = frozenset({CONFIG, "generation_config.json"})
COPIED_SUFFIXES = frozenset({".json", ".jinja", ".model", ".txt"})
"""Of the base's files that are not written anew: tokenizer and image processor stay what they are, to the byte."""

SHARD = "4GB"


def write_planner(adapted: PeftModel, base: Path, target: Path, planner: PlannerSection) -> None:
    """Merge an adapter into its base, and write model, processor and `planner.json`, which pins the weights.

    Args:
        adapted: the model of `base` with the adapter on it, in float32; it is changed.
        base: the folder that the model was loaded from. The weights are written in its number format.
        target: a new or empty folder, which is there when all of it is there.
        planner: what the `planner.json` says.

    Raises:
        ConflictError: there is something in the folder.
        CheckpointError: a merged value is not finite, or the folder cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConflictError(f"{target} is not an empty folder. Give another one, or delete it.")
    try:
        merged = adapted.merge_and_unload(safe_merge=True).to(_number_format(base))
    except ValueError as error:
        raise CheckpointError("The adapter holds values that are not finite; the training has diverged.") from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            folder = Path(scratch) / target.name
            _write(merged, base, folder, planner)
            folder.replace(target)
    except OSError as error:
        raise CheckpointError(f"{target} could not be written: {error.strerror}. Make room for it.") from error


def _number_format(base: Path) -> torch.dtype:
    settings = read_json(base / CONFIG)
    name = str(settings.get("dtype") or settings.get("torch_dtype") or "float32")
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise CheckpointError(f"The base's {CONFIG} names the number format {name}, which is none that can be written.")
    return found


def _write(merged: Any, base: Path, folder: Path, planner: PlannerSection) -> None:
    model = folder / BASE
    model.mkdir(parents=True)
    merged.save_pretrained(str(model), max_shard_size=SHARD)
    for file in base.iterdir():
        weights = file.name.endswith(".index.json")
        if file.is_file() and file.suffix in COPIED_SUFFIXES and file.name not in WRITTEN and not weights:
            shutil.copyfile(file, model / file.name)
    manifest = {
        "name": planner.name,
        "version": planner.version,
        "base": BASE,
        "max_new_tokens": planner.max_new_tokens,
        "tools_in_prompt": planner.tools_in_prompt,
        "label": planner.label,
        "sha256": {f"{BASE}/{path.name}": sha256_file(path) for path in sorted(model.glob("*.safetensors"))},
    }
    (folder / MANIFEST).write_text(f"{json.dumps(manifest, indent=2, ensure_ascii=False)}\n", "utf-8")
