"""`mmedagent models list` and `verify`: what passes, what does not, and what they tell people to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mmedagent.cli.main import app
from mmedagent.cli.model_checks import DESCRIPTIONS, bytes_to_hash, check, models_of
from mmedagent.cli.paths import MODELS
from mmedagent.cli.profile import PLANNERS, TOOLS, backend_class, load_profile
from mmedagent.networks.checkpoints import sha256_file
from support.layout_files import sam_shapes, write_archive
from support.official_models import BIOMEDCLIP_BIN, GROUNDING, MEDSAM, pin, write_official, write_profile

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("official")
    write_official(models)
    write_profile(models)
    return models


@pytest.fixture
def models(intact: Path, tmp_path: Path) -> Path:
    """A copy without the planner, to be damaged."""
    for name in ("grounding", "medsam", "biomedclip"):
        shutil.copytree(intact / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def tools_only(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("profile")
    text = write_profile(folder).read_text()
    start, end = text.index("[planner]"), text.index("[tools.grounding]")
    (folder / "official.toml").write_text(f'{text[:start]}[planner]\nbackend = "scripted"\n\n{text[end:]}')
    return str(folder / "official.toml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)


def found(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What `verify --json` says of each model."""
    result = run("verify", "--json", *arguments)
    assert result.exit_code == code, result.output
    document = json.loads(result.stdout)
    assert document.get("ok") == (code == 0)
    return {one["model"]: one for one in document["models"]}


def test_whole_checkpoints_pass(intact: Path) -> None:
    checked = found("--profile", str(intact / "official.toml"))
    assert {name: (one["network"], one["tensors"]) for name, one in checked.items()} == {
        "planner": ("LLaVA with LoRA", 1134),
        "grounding": ("Grounding DINO, original", 940),
        "segmentation": ("SAM, ViT-B", 314),
        "classification": ("CLIP, vit_base_patch16_224", 352),
    }
    assert all(one["problem"] is None for one in checked.values())
    [file] = checked["segmentation"]["files"]
    assert file == {
        "file": MEDSAM,
        "bytes": (intact / "medsam" / MEDSAM).stat().st_size,
        "sha256": sha256_file(intact / "medsam" / MEDSAM),
        "pinned": True,
        "problem": None,
    }
    shards = [one["file"] for one in checked["planner"]["files"]]
    assert shards == [f"base/model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)] + [
        "adapter/adapter_model.safetensors"
    ]
    assert all(one["sha256"] is None for one in checked["planner"]["files"])


def test_the_table_has_a_row_for_every_file(models: Path, tools_only: str) -> None:
    result = run("verify", str(models), "--profile", tools_only)
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if "ok" in line]
    assert [row.split("│")[3].strip() for row in rows] == [GROUNDING, MEDSAM, BIOMEDCLIP_BIN]
    assert sha256_file(models / "medsam" / MEDSAM)[:12] in rows[1]


def without_a_key(models: Path) -> None:
    shapes = sam_shapes()
    del shapes["mask_decoder.iou_token.weight"]
    write_archive(models / "medsam" / MEDSAM, shapes)
    pin(models / "medsam", MEDSAM, "config.json")


def cut_short(models: Path) -> None:
    path = models / "medsam" / MEDSAM
    path.write_bytes(path.read_bytes()[:10_000])
    pin(models / "medsam", MEDSAM, "config.json")


def swapped(models: Path) -> None:
    path = models / "medsam" / MEDSAM
    path.write_bytes(path.read_bytes() + b"\0")


def absent(models: Path) -> None:
    shutil.rmtree(models / "medsam")


def without_weights(models: Path) -> None:
    (models / "medsam" / MEDSAM).unlink()


def without_settings(models: Path) -> None:
    (models / "medsam" / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            without_a_key,
            ("1 missing (mask_decoder.iou_token.weight)", "Get the file again where its authors publish it"),
        ),
        (cut_short, ("is not a readable torch archive", "Get the file again")),
        (swapped, ("is not the pinned file: its sha256 is", "correct its pin")),
        (absent, ("There is no folder", "docs/profiles.md says what belongs in the folder")),
        (without_weights, ("There is no file", "Put the checkpoint there")),
        (without_settings, ("has no config.json", "docs/profiles.md")),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    damage: Callable[[Path], None], words: tuple[str, str], models: Path, tools_only: str
) -> None:
    damage(models)
    checked = found(str(models), "--profile", tools_only, code=1)
    problem = checked["segmentation"]["problem"]
    assert all(part in problem for part in words), problem
    assert all(one["problem"] is None for name, one in checked.items() if name != "segmentation")
    assert checked["segmentation"]["tensors"] is None


def test_an_archive_without_a_pin_is_told_how_to_get_one(models: Path, tools_only: str) -> None:
    (models / "biomedclip" / f"{BIOMEDCLIP_BIN}.sha256").unlink()
    result = run("verify", str(models), "--profile", tools_only)
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    digest = sha256_file(models / "biomedclip" / BIOMEDCLIP_BIN)
    assert last.startswith(
        f"classification: {BIOMEDCLIP_BIN} is a torch archive, which is read only with a pin. If you"
    )
    assert digest in last


def test_the_original_layout_of_llava_is_told_in_words(models: Path) -> None:
    (models / "llava").mkdir()
    (models / "llava" / "config.json").write_text(json.dumps({"model_type": "llava_mistral"}))
    checked = found(str(models), "--profile", str(write_profile(models)), code=1)
    assert "original LLaVA code. It has to be converted" in checked["planner"]["problem"]


def test_progress_ends_where_it_was_said_to_end(models: Path, tools_only: str) -> None:
    for model in models_of(load_profile(tools_only, models)):
        read: list[int] = []
        check(model, read.append)
        assert sum(read) == bytes_to_hash(model)
        assert (sum(read) > 0) == (model.folder is not None)


def test_the_embedded_models_pass_and_are_listed() -> None:
    checked = found()
    profile = load_profile("embedded")
    assert set(checked) == {"planner", *profile.tools}
    assert all(one["problem"] is None and one["tensors"] for one in checked.values() if one["folder"])

    listed = json.loads(run("list", "--json").stdout)
    assert listed["label"] == profile.label
    assert [one["model"] for one in listed["models"]] == list(checked)
    for one in listed["models"]:
        for file in one["files"]:
            assert file["sha256"] == sha256_file(Path(one["folder"]) / file["file"])


def test_the_list_shows_class_label_and_card() -> None:
    result = run("list")
    assert result.exit_code == 0
    [row] = [line for line in result.stdout.splitlines() if line.startswith("│ segmentation")]
    cells = [cell.strip() for cell in row.split("│")[1:-1]]
    assert cells[:4] == ["segmentation", "SegmentationTool", "segmentation", "model.safetensors"]
    assert cells[6] == "segmentation/README.md"
    assert (MODELS / cells[6]).is_file()
    assert f"label: {load_profile('embedded').label}" in result.stdout


def test_large_files_are_not_read_for_the_list(intact: Path) -> None:
    result = run("list", "--json", "--profile", str(intact / "official.toml"))
    planner, *_ = json.loads(result.stdout)["models"]
    assert [file["sha256"] for file in planner["files"]] == [None, None, None, None]
    assert sum(file["bytes"] for file in planner["files"]) > 14e9


def test_the_published_profile_reads_a_folder_that_is_given(tmp_path: Path) -> None:
    profile = load_profile("mmedagent", tmp_path)
    assert profile.checkpoint(profile.tools["segmentation"]) == tmp_path / "medsam"
    assert profile.checkpoint(profile.planner) == tmp_path / "llava"
    assert profile.label == ""


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[planner]\nbackend = "scripted"\n[tools.telepathy]\ncheckpoint = "x"\n')
    checked = found("--profile", str(tmp_path / "p.toml"), code=1)
    assert checked["telepathy"]["problem"].startswith("Nothing is installed under the name telepathy. Install")


def test_a_class_without_a_description_is_loaded(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "retrieval", tmp_path / "retrieval")
    (tmp_path / "p.toml").write_text('[planner]\nbackend = "scripted"\n[tools.retrieval]\ncheckpoint = "retrieval"\n')
    assert found("--profile", str(tmp_path / "p.toml"))["retrieval"]["tensors"] == 1
    index = tmp_path / "retrieval" / "index.safetensors"
    index.write_bytes(index.read_bytes()[:-2])
    problem = found("--profile", str(tmp_path / "p.toml"), code=1)["retrieval"]["problem"]
    assert "index.safetensors cannot be read" in problem


def test_described_classes_are_those_of_the_installation() -> None:
    for reference in DESCRIPTIONS:
        assert backend_class(TOOLS, reference) is not None
    profile = load_profile("mmedagent", Path())
    references = {model.name: model.reference for model in models_of(profile)}
    assert references["planner"] in DESCRIPTIONS
    assert references["segmentation"] in DESCRIPTIONS
    assert backend_class(PLANNERS, "llava") is backend_class(PLANNERS, str(references["planner"]))
