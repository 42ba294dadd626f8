"""`mmedagent models convert`: the folder it makes passes `models verify`, and mistakes are told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mmedagent.cli.main import app, main
from mmedagent.protocol.prompts import SYSTEM
from support.original_llava import (
    LLAVA_MED_1_0,
    MMEDAGENT,
    learn_words,
    random_lora,
    random_model,
    random_projector,
    random_tower,
    write_clip,
    write_lora,
    write_model,
)

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What MMedAgent's planner is made of: LLaVA-Med 1.0, its LoRA and a CLIP."""
    words = learn_words([SYSTEM], size=330)
    write_model(tmp_path / "llava_med", LLAVA_MED_1_0, random_model(LLAVA_MED_1_0, words.size), words)
    write_lora(tmp_path / "lora", MMEDAGENT, random_lora(MMEDAGENT), random_projector(MMEDAGENT))
    write_clip(tmp_path / "clip", random_tower())
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)


def test_a_converted_folder_passes(folder: Path) -> None:
    options = ["--lora", str(folder / "lora"), "--vision-tower", str(folder / "clip"), "--name", "mmedagent-7b"]
    result = run("convert", str(folder / "llava_med"), str(folder / "planner"), *options)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{folder / 'planner'}: 108 tensors.")
    assert result.stderr == ""
    assert json.loads((folder / "planner" / "planner.json").read_text())["name"] == "mmedagent-7b"

    (folder / "p.toml").write_text('tools = {}\n[planner]\nbackend = "llava"\ncheckpoint = "planner"\n')
    verified = run("verify", "--json", "--profile", str(folder / "p.toml"))
    assert verified.exit_code == 0, verified.stdout
    [planner] = json.loads(verified.stdout)["models"]
    assert (planner["network"], planner["tensors"]) == ("LLaVA with LoRA", 108)
    assert [(file["file"], file["pinned"]) for file in planner["files"]] == [
        ("base/model.safetensors", True),
        ("adapter/adapter_model.safetensors", True),
    ]


def test_notes_go_with_it(folder: Path) -> None:
    source, target, tower = (str(folder / name) for name in ("llava_med", "planner", "clip"))
    result = run("convert", source, target, "--vision-tower", tower)
    assert [line[:34] for line in result.stderr.splitlines()] == [
        "Note: The model was trained on ima",
        "Note: The model was trained with <",
    ]
    assert json.loads((folder / "planner" / "planner.json").read_text())["name"] == "planner"


def test_a_mistake_is_one_sentence_and_exit_code_1(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["mmedagent", "models", "convert", str(folder / "llava_med"), str(folder / "lora")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert "lora exists and is not an empty folder. Give a new folder, or delete this one." in capsys.readouterr().err
