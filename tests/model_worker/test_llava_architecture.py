"""A LLaVA planner's folder is checked without its numbers: at the size of LLaVA-Med, and with every kind of damage."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.architecture import describe_llava
from mmedagent.networks.checkpoints import sha256_file
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.plan import ChatMessage, PlannerRequest
from support.llava_files import write_llava_med
from tiny_llava import Lesson, edit_json, edit_tensors, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

BASE, ADAPTER = "base/model.safetensors", "adapter/adapter_model.safetensors"
HEAD = "language_model.lm_head.weight"
FACTOR = "base_model.model.model.language_model.layers.0.mlp.down_proj.lora_A.weight"


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intact")
    question = PlannerRequest(messages=(ChatMessage(role="user", text="Where is it?"),), correlation_id="test")
    write_checkpoint(folder, [Lesson(question, None, "There.")])
    return folder


@pytest.fixture
def folder(intact: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(intact, tmp_path / "planner"))


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.pop(name)


def test_seven_billion_parameters_and_the_adapter_of_mmedagent_fit(tmp_path: Path) -> None:
    write_llava_med(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    described = describe_llava(tmp_path)
    tensors = described.fit()
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    assert described.network == "LLaVA with LoRA"
    assert sum(file.path.stat().st_size for file in described.files) > 14e9
    assert tensors == 686 + 448
    assert grown_mib < 1_000


def test_a_folder_fits_if_and_only_if_it_loads(intact: Path) -> None:
    LlavaPlanner(checkpoint=intact).load("cpu")
    described = describe_llava(intact)
    assert described.fit() > 0
    assert [file.path.relative_to(intact).as_posix() for file in described.files] == [BASE, ADAPTER]


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (BASE, without(HEAD), r"1 missing \(lm_head\.weight\)"),
        (BASE, lambda tensors: tensors.update(stray=torch.zeros(2)), r"1 unexpected \(stray\)"),
        (BASE, lambda tensors: tensors.update({HEAD: torch.zeros(3, 4)}), r"lm_head\.weight \(3, 4\) instead of"),
        (ADAPTER, without(FACTOR), r"lacks 1 tensors that it asks for: .*down_proj\.lora_A"),
        (ADAPTER, lambda tensors: tensors.update(stray=torch.zeros(2)), r"1 tensors without a place: stray"),
        (ADAPTER, lambda tensors: tensors.update({FACTOR: torch.zeros(8, 4)}), "another shape than the base model's"),
    ],
    ids=["base lacks", "base has more", "base differs", "adapter lacks", "adapter has more", "adapter differs"],
)
def test_a_damaged_file_does_neither(
    file: str, change: Callable[[dict[str, Tensor]], object], words: str, folder: Path
) -> None:
    edit_tensors(folder / file, change)
    with pytest.raises(CheckpointError, match=words):
        describe_llava(folder).fit()
    with pytest.raises(CheckpointError):
        LlavaPlanner(checkpoint=folder).load("cpu")


def test_pinned_files_are_named_with_their_pins(folder: Path) -> None:
    settings = "base/config.json"
    edit_json(folder / "planner.json", sha256={name: sha256_file(folder / name) for name in (ADAPTER, settings)})
    pins = {file.path.relative_to(folder).as_posix(): file.sha256 for file in describe_llava(folder).files}
    assert pins == {BASE: None, ADAPTER: sha256_file(folder / ADAPTER), settings: sha256_file(folder / settings)}


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "llava_mistral", "architectures": ["LlavaMistralForCausalLM"]},
        {"model_type": "llava", "mm_vision_tower": "openai/clip-vit-large-patch14-336"},
    ],
    ids=["LLaVA-Med 1.5", "LLaVA-Med 1.0"],
)
def test_the_layout_of_the_original_code_is_told_in_words(settings: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"original LLaVA code\. It has to be converted"):
        describe_llava(tmp_path)


def test_so_is_an_adapter_of_the_original_code(folder: Path) -> None:
    (folder / "adapter" / "non_lora_trainables.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="The folder adapter is in the layout of the original LLaVA code"):
        describe_llava(folder)


def test_weights_in_another_format_are_refused(folder: Path) -> None:
    (folder / BASE).rename(folder / "base" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        describe_llava(folder)
