"""`mmedagent models verify` as people run it: on folders of full size, in a process with little memory."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from support.official_models import MEDSAM, write_official
from system.launch import run_command

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

LEAST_MEMORY_OF_7B_GIB = 13


def test_official_folders_are_checked_without_memory_for_them(tmp_path: Path) -> None:
    write_official(tmp_path / "models")
    (tmp_path / "models" / "medsam" / MEDSAM).unlink()
    ended = run_command("models", "verify", "models", "--profile", "mmedagent", "--json", folder=tmp_path)
    peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20

    assert ended.returncode == 1, ended.stderr
    document = json.loads(ended.stdout)
    found = {one["model"]: one for one in document["models"]}
    assert document["folder"] == str(tmp_path / "models")
    for model in ("planner", "classification"):
        assert (found[model]["problem"], found[model]["tensors"] > 0) == (None, True)
    assert f"medsam/{MEDSAM}. Put the checkpoint there" in found["segmentation"]["problem"]
    assert sum(file["bytes"] for file in found["planner"]["files"]) > LEAST_MEMORY_OF_7B_GIB * 2**30
    assert peak_gib < LEAST_MEMORY_OF_7B_GIB / 3


def test_the_folder_may_come_from_the_environment(tmp_path: Path) -> None:
    without = run_command("models", "list", "--profile", "mmedagent", folder=tmp_path)
    assert without.returncode == 1
    assert "set MMEDAGENT_MODELS to its path" in without.stderr
    (tmp_path / "mine").mkdir()
    given = {"MMEDAGENT_MODELS": "mine"}
    listed = run_command("models", "list", "--json", "--profile", "mmedagent", folder=tmp_path, environment=given)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["folder"] == str(tmp_path / "mine")
