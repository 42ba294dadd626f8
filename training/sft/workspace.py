"""The folder of a run, and whether a run may begin or go on in it.

OUTPUT/
  run.json       what is learnt from what: settings, sha256 of the data, versions of the libraries
  checkpoints/   adapter, optimiser, schedule and random numbers, to go on from
  logs/          for TensorBoard
  adapter/       the adapter at the end, in peft's format
  planner/       the merged model with its planner.json
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmedagent.networks.checkpoints import read_json, sha256_file
from mmedagent.protocol.errors import ConflictError
from mmedagent.training.sft.settings import TrainingSettings

RECORD = "run.json"
LIBRARIES = ("torch", "transformers", "peft")
COMPLETE = "trainer_state.json"
"""The file of a checkpoint that is written last."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class Workspace:
    """The folder that a run writes into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.logs = folder / "logs"
        self.adapter = folder / "adapter"
        self.planner = folder / "planner"

    def require_empty(self) -> None:
        """Raises `ConflictError` where a run would write over something."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ConflictError(
                f"{self.folder} is not empty. Go on with --resume, or give another folder with --output."
            )

    def begin(self, settings: TrainingSettings) -> None:
        """Write down what is going to be learnt. Raises `ConflictError` where there is something already."""
        self.require_empty()
        self.folder.mkdir(parents=True, exist_ok=True)
        record = json.dumps(_record(settings), indent=2, ensure_ascii=False)
        (self.folder / RECORD).write_text(f"{record}\n", "utf-8")

    def resume(self, settings: TrainingSettings) -> Path | None:
        """The last checkpoint, which is whole; None where a run ended before its first.

        Raises `ConflictError` where no run has begun, or one that learnt something else.
        """
        if not (self.folder / RECORD).is_file():
            raise ConflictError(f"There is no run to resume in {self.folder}. Leave --resume out to begin one.")
        if different := _first_difference(read_json(self.folder / RECORD), _record(settings)):
            raise ConflictError(
                f"The run in {self.folder} was begun with another {different}. Set it back, or begin in another folder."
            )
        whole = [
            path.parent for path in self.checkpoints.glob(f"*/{COMPLETE}") if _CHECKPOINT.fullmatch(path.parent.name)
        ]
        return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _record(settings: TrainingSettings) -> dict[str, Any]:
    """What has to be the same for a run to go on; libraries are written down and may change."""
    return {
        "lora": settings.lora.model_dump(mode="json"),
        "recipe": settings.recipe.model_dump(mode="json"),
        "data": [sha256_file(path) if path.is_file() else "" for path in settings.data],
        "prompt": {
            "tools_in_prompt": settings.planner.tools_in_prompt,
            "without_images": settings.without_images,
            "leave_out_bad_rows": settings.leave_out_bad_rows,
        },
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for section in ("lora", "recipe", "prompt"):
        for name, value in now[section].items():
            if before.get(section, {}).get(name) != value:
                return str(name)
    return "" if before.get("data") == now["data"] else "data"
