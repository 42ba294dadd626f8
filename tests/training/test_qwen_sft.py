"""Fine-tuning Qwen2.5-VL and Qwen3-VL: the tokens that are served, the layers that change, and the merged planner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.weights import attach_adapter, load_base, load_llava, load_processor
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.networks.families import Family
from mmedagent.protocol.prompts import CHATML, PromptStyle, render_prompt, render_reply
from mmedagent.serving.tool import PixelArray
from mmedagent.training.instructions.dialogues import row_of
from mmedagent.training.sft.adapter import optimizer_of, with_adapter
from mmedagent.training.sft.data import Collator, read_samples
from mmedagent.training.sft.settings import LoraSection, load_settings
from mmedagent.training.sft.tokens import IGNORED, Encoder
from support.sft_runs import ANSWER, ASKED, BRIGHT, DIALOGUES, FRAMES, looking_for, write_config
from tiny_llava import next_logits
from tiny_qwen_vl import END, FAMILIES, write_qwen

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

STYLE = PromptStyle(template=CHATML)
TALL: PixelArray = BRIGHT.T.copy()
RECIPE = {"epochs": 3, "batch_size": 3, "learning_rate": 4e-3, "projector_learning_rate": 4e-3}


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.title)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(scope="module")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has not begun; one of its images is tall, the other one wide."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("qwen")
    texts = [render_prompt(asked, has_image=True, style=STYLE) + render_reply(plan) for asked, _, plan in ASKED]
    write_qwen(made / "model", family, texts)
    (made / "images").mkdir()
    for name, frame in (FRAMES | {"bright.png": TALL}).items():
        Image.fromarray(frame).save(made / "images" / name)
    (made / "rows.json").write_text(json.dumps([row_of(dialogue) for dialogue in DIALOGUES], ensure_ascii=False))
    write_config(made, recipe=RECIPE, machine={"rows_at_once": 3})
    return made


@pytest.fixture(scope="module")
def trained(folder: Path) -> tuple[Path, str]:
    """The run's folder after `mmedagent train planner`, and what the command said."""
    result = CliRunner().invoke(app, ["train", "planner", str(folder / "run.toml")], catch_exceptions=False)
    assert result.exit_code == 0
    return folder / "run", result.stderr


def inputs_of(processor: Any) -> Any:
    images = [Image.fromarray(TALL).convert("RGB")]
    text = render_prompt(ASKED[0][0], has_image=True, style=STYLE)
    return processor(text=[text], images=images, return_tensors="pt")


def test_a_dialogue_is_what_is_served_and_only_replies_are_learnt(folder: Path) -> None:
    base = folder / "model" / "base"
    processor = load_processor(base)
    tokens = Encoder(processor, tools_in_prompt=False).encode(DIALOGUES[0], with_image=True, size=TALL.shape[:2])
    learnt = (tokens.labels != IGNORED).tolist()
    loaded = load_llava(folder / "model", read_manifest(folder / "model"), "cpu")
    writer = PlanWriter(loaded, read_manifest(folder / "model"), "test")
    inside = [False] * len(learnt)
    for (asked, _, _), plan in zip(ASKED[:2], (looking_for("liver"), ANSWER), strict=True):
        prompt = writer.encode(asked, TALL).ids
        assert tuple(tokens.ids[: len(prompt)].tolist()) == prompt
        end = len(prompt) + [*learnt[len(prompt) :], False].index(False)
        assert processor.tokenizer.decode(tokens.ids[len(prompt) : end]) == f"{render_reply(plan)}{END}"
        inside[len(prompt) : end] = [True] * (end - len(prompt))
    assert learnt == inside


def test_a_batch_of_images_of_several_shapes_is_what_the_processor_makes(folder: Path) -> None:
    settings = load_settings(folder / "run.toml")
    processor = load_processor(settings.base)
    samples = read_samples(settings, processor)
    batch = Collator(processor)(samples.found)
    frames = [Image.fromarray(frame).convert("RGB") for frame in (TALL, FRAMES["dark.png"])]
    expected = processor.image_processor(frames, return_tensors="pt")
    assert torch.equal(batch["pixel_values"], expected["pixel_values"])
    assert torch.equal(batch["image_grid_thw"], expected["image_grid_thw"])
    places = (expected["image_grid_thw"].prod(dim=1) // 4).tolist()
    assert batch["mm_token_type_ids"].sum(dim=1).tolist() == [*places, 0]
    assert (
        places[0]
        == Encoder(processor, tools_in_prompt=False)
        .encode(DIALOGUES[0], with_image=True, size=TALL.shape[:2])
        .ids.eq(processor.image_token_id)
        .sum()
    )


def test_a_few_updates_lower_the_loss_and_touch_language_model_and_projector_alone(
    trained: tuple[Path, str], family: Family
) -> None:
    losses = [float(line.rpartition(" ")[2]) for line in trained[1].splitlines() if line.startswith("update")]
    assert losses[-1] < losses[0] - 0.5
    names = load_file(trained[0] / "adapter" / "adapter_model.safetensors").keys()
    factors = {name for name in names if ".lora_" in name}
    assert all(".language_model." in name for name in factors)
    saved = {name.partition(".visual.")[2].split(".")[0] for name in names - factors}
    assert saved == ({"merger"} if family is FAMILIES[0] else {"merger", "deepstack_merger_list"})


def test_merged_exported_and_reloaded_the_logits_are_those_of_the_adapter_on_its_base(
    trained: tuple[Path, str], folder: Path
) -> None:
    base, run = folder / "model" / "base", trained[0]
    inputs = inputs_of(load_processor(base))
    plain = next_logits(load_base(base, torch.float32).eval(), inputs)
    unmerged = next_logits(attach_adapter(load_base(base, torch.float32), run / "adapter"), inputs)
    merged = load_llava(run / "planner", read_manifest(run / "planner"), "cpu")
    torch.testing.assert_close(next_logits(merged.model, inputs), unmerged, atol=1e-3, rtol=1e-4)
    assert not torch.allclose(plain, unmerged, atol=1e-2)
    PlanWriter(merged, read_manifest(run / "planner"), "test").check()


def test_the_projector_has_a_rate_of_its_own(folder: Path) -> None:
    settings = load_settings(folder / "run.toml")
    adapted = with_adapter(load_base(settings.base, torch.float32), LoraSection(r=2))
    factors, projector = optimizer_of(adapted, settings.recipe.model_copy(update={"learning_rate": 1e-3})).param_groups
    assert (factors["lr"], projector["lr"]) == (1e-3, 4e-3)
    inner = {id(one) for name, one in adapted.named_parameters() if ".visual." in name and one.requires_grad}
    assert inner == {id(one) for one in projector["params"]}
    assert len(inner) > 0
