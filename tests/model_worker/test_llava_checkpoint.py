"""Every way in which a LLaVA planner's checkpoint folder can be wrong is refused with a sentence that names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.checkpoint import read_manifest, verify_files
from mmedagent.networks.checkpoints import sha256_file
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.plan import ChatMessage, PlannerRequest
from tiny_llava import Lesson, edit_json, edit_tensors, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intact")
    question = PlannerRequest(messages=(ChatMessage(role="user", text="Where is it?"),), correlation_id="test")
    write_checkpoint(folder, [Lesson(question, None, "There.")])
    return folder


@pytest.fixture
def folder(intact: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(intact, tmp_path / "planner")
    return tmp_path / "planner"


def refuse(folder: Path, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        LlavaPlanner(checkpoint=folder).load("cpu")
    assert str(folder) not in caught.value.detail


def test_the_intact_folder_loads_and_the_card_tells_what_it_says(intact: Path) -> None:
    planner = LlavaPlanner(checkpoint=intact)
    planner.load("cpu")
    card = planner.card
    assert (card.name, card.version, card.backend) == ("tiny", "1.0.0", "llava")
    assert card.checkpoint_sha256 == verify_files(intact, read_manifest(intact))


def test_pinned_files_are_verified(folder: Path) -> None:
    name = "adapter/adapter_model.safetensors"
    edit_json(folder / "planner.json", sha256={name: sha256_file(folder / name)})
    before = verify_files(folder, read_manifest(folder))
    edit_tensors(folder / name, lambda tensors: tensors.update({key: -value for key, value in tensors.items()}))
    refuse(folder, "adapter_model.safetensors is not the file")
    edit_json(folder / "planner.json", sha256={})
    assert verify_files(folder, read_manifest(folder)) != before


@pytest.mark.parametrize("path", ["/base", "../base", "base/../../base", "C:\\base", "", "."])
def test_paths_out_of_the_folder_are_refused(folder: Path, path: str) -> None:
    edit_json(folder / "planner.json", base=path)
    refuse(folder, "planner.json is not valid: base")
    edit_json(folder / "planner.json", base="base", sha256={path: "0" * 64})
    refuse(folder, "planner.json is not valid: sha256")


def test_a_pinned_file_that_is_absent_is_refused(folder: Path) -> None:
    edit_json(folder / "planner.json", sha256={"base/other.safetensors": "0" * 64})
    refuse(folder, "no file base/other.safetensors")


def test_an_adapter_that_lacks_a_tensor_is_refused(folder: Path) -> None:
    edit_tensors(folder / "adapter" / "adapter_model.safetensors", lambda tensors: tensors.popitem())
    refuse(folder, "lacks 1 tensors")


def test_an_adapter_on_other_modules_than_it_says_is_refused(folder: Path) -> None:
    edit_json(folder / "adapter" / "adapter_config.json", target_modules=r".*language_model.*\.(q_proj|v_proj)")
    refuse(folder, "tensors without a place")


def test_an_adapter_whose_plain_names_also_mean_the_vision_tower_is_refused(folder: Path) -> None:
    edit_json(
        folder / "adapter" / "adapter_config.json",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )
    refuse(folder, r"lacks 12 tensors .*vision_tower")


def test_an_adapter_for_modules_that_do_not_exist_is_refused(folder: Path) -> None:
    edit_json(folder / "adapter" / "adapter_config.json", target_modules=["q_proj", "qkv_proj"])
    refuse(folder, "qkv_proj")


def test_an_adapter_of_another_rank_is_refused(folder: Path) -> None:
    edit_json(folder / "adapter" / "adapter_config.json", r=8)
    refuse(folder, "another shape")


def test_an_adapter_that_is_not_safetensors_is_refused(folder: Path) -> None:
    weights = folder / "adapter" / "adapter_model.safetensors"
    torch.save(load_file(weights), weights.with_name("adapter_model.bin"))
    weights.unlink()
    refuse(folder, "no readable adapter_model.safetensors")


def test_an_adapter_that_would_change_the_base_is_refused(folder: Path) -> None:
    edit_json(folder / "adapter" / "adapter_config.json", init_lora_weights="pissa")
    refuse(folder, "changes the base weights")


def test_adapter_values_that_are_not_finite_are_refused(folder: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        next(iter(tensors.values()))[0, 0] = torch.nan

    edit_tensors(folder / "adapter" / "adapter_model.safetensors", spoil)
    refuse(folder, "not finite")


def test_a_base_that_lacks_a_tensor_is_refused(folder: Path) -> None:
    edit_tensors(folder / "base" / "model.safetensors", lambda tensors: tensors.popitem())
    refuse(folder, "1 missing keys")


def test_a_base_with_a_tensor_too_many_is_refused(folder: Path) -> None:
    edit_tensors(folder / "base" / "model.safetensors", lambda tensors: tensors.update(stray=torch.zeros(1)))
    refuse(folder, "1 unexpected keys")


def test_a_base_in_the_original_format_or_not_safetensors_is_refused(folder: Path) -> None:
    weights = folder / "base" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    refuse(folder, "cannot be loaded")
    edit_json(folder / "base" / "config.json", model_type="llava_mistral")
    refuse(folder, "none of these formats of transformers: LlavaForConditionalGeneration")


@pytest.mark.parametrize(
    "changes",
    [
        {"do_pad": False},
        {"size": {"shortest_edge": 32}},
        {"do_pad": False, "image_processor_type": "CLIPImageProcessor"},
    ],
    ids=["no padding", "larger than the crop", "CLIP"],
)
def test_a_processor_that_crops_is_refused(folder: Path, changes: dict[str, object]) -> None:
    settings = json.loads((folder / "base" / "processor_config.json").read_text())
    edit_json(folder / "base" / "processor_config.json", image_processor={**settings["image_processor"], **changes})
    refuse(folder, "image border")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 2_000}, "leave no room"),
        ({"temperature": 1.0}, "temperature"),
        ({"adapter": "other"}, "no readable other/adapter_config.json"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(folder: Path, changes: dict[str, object], words: str) -> None:
    edit_json(folder / "planner.json", **changes)
    refuse(folder, words)


def test_a_folder_is_needed(tmp_path: Path) -> None:
    refuse(tmp_path, "no readable planner.json")
    with pytest.raises(CheckpointError, match="needs a checkpoint folder"):
        LlavaPlanner(checkpoint=None).load("cpu")
