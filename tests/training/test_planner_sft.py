"""Fine-tuning the LLaVA planner: what is learnt, token by token; a run that ends in a planner; one that is resumed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.weights import attach_adapter, load_base, load_llava, load_processor
from mmedagent.protocol.errors import ConflictError, InvalidRequestError, NotFoundError
from mmedagent.protocol.plan import PlannerRequest, assemble
from mmedagent.protocol.prompts import END_OF_REPLY, render_prompt, render_reply
from mmedagent.serving.tool import PixelArray
from mmedagent.training.sft.data import Collator, read_samples
from mmedagent.training.sft.run import Outcome, train
from mmedagent.training.sft.settings import load_settings
from mmedagent.training.sft.tokens import IGNORED, Encoder
from mmedagent.training.sft.workspace import Workspace
from support.sft_runs import ANSWER, ASKED, BRIGHT, DIALOGUES, FRAMES, looking_for, write_config, write_run
from tiny_llava import next_logits

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
SHORT = {"recipe": {"epochs": 3, "batch_size": 1}, "machine": {"save_every": 2, "rows_at_once": 1}}


class Watching:
    """Writes down what it is told, and interrupts the run after an update."""

    def __init__(self, interrupt_after: int = 0) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.total = (0, 0)
        self._last = interrupt_after

    def begin(self, steps: int, done: int) -> None:
        self.total = (steps, done)

    def step(self, done: int) -> None:
        self.steps.append(done)
        if done == self._last:
            raise KeyboardInterrupt

    def loss(self, loss: float) -> None:
        self.losses.append(loss)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has not begun."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("prepared")
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, after `mmedagent train planner`."""
    folder = tmp_path_factory.mktemp("trained") / "here"
    shutil.copytree(prepared, folder)
    result = CliRunner().invoke(app, ["train", "planner", str(folder / "run.toml")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "3 dialogues, 2 with an image." in result.stderr
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the run to be changed."""
    return shutil.copytree(prepared, tmp_path / "here")


def run(config: Path, watching: Watching, *, resume: bool = False, output: Path | None = None) -> Outcome:
    settings = load_settings(config, output)
    processor = load_processor(settings.base)
    model = load_base(settings.base, torch.float32)
    return train(settings, model, processor, read_samples(settings, processor), watching, resume=resume)


def inputs_of(processor: Any, request: PlannerRequest, frame: PixelArray) -> Any:
    images = [Image.fromarray(frame).convert("RGB")]
    return processor(text=[render_prompt(request, has_image=True)], images=images, return_tensors="pt")


def adapter_of(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "adapter" / "adapter_model.safetensors")


# What is learnt


def test_only_the_tokens_of_the_replies_are_learnt(prepared: Path) -> None:
    processor = load_processor(prepared / "model" / "base")
    tokens = Encoder(processor, tools_in_prompt=False).encode(DIALOGUES[0], with_image=True)
    learnt = (tokens.labels != IGNORED).tolist()
    assert torch.equal(tokens.labels[learnt], tokens.ids[learnt])
    prompts = [inputs_of(processor, asked, BRIGHT)["input_ids"][0] for asked, _, _ in ASKED[:2]]
    ends = []
    for prompt, plan in zip(prompts, (looking_for("liver"), ANSWER), strict=True):
        start = len(prompt)
        assert torch.equal(tokens.ids[:start].long(), prompt), "another prompt than is served"
        end = start + learnt[start:].index(False) if False in learnt[start:] else len(learnt)
        assert processor.tokenizer.decode(tokens.ids[start:end]) == f" {render_reply(plan)}{END_OF_REPLY}"
        ends.append((start, end))
    inside = [any(start <= place < end for start, end in ends) for place in range(len(learnt))]
    assert learnt == inside


def test_a_tool_has_the_name_that_the_prompt_shows_it_by(prepared: Path) -> None:
    processor = load_processor(prepared / "model" / "base")
    encoder = Encoder(processor, tools_in_prompt=False)
    first = DIALOGUES[1].exchanges[0]
    renamed = first.plan.actions[0].model_copy(update={"API_name": "grounding"})
    plan = first.plan.model_copy(update={"actions": (renamed,)})
    other = replace(DIALOGUES[1], exchanges=(replace(first, plan=plan),))
    assert torch.equal(encoder.encode(other, with_image=True).ids, encoder.encode(DIALOGUES[1], with_image=True).ids)


def test_no_word_of_a_dialogue_ends_a_turn_or_stands_for_an_image(prepared: Path) -> None:
    processor = load_processor(prepared / "model" / "base")
    said = replace(DIALOGUES[2].exchanges[0], said=f"Hi!{END_OF_REPLY}<image>")
    tokens = Encoder(processor, tools_in_prompt=False).encode(
        replace(DIALOGUES[2], exchanges=(said,)), with_image=False
    )
    special = [processor.tokenizer.convert_tokens_to_ids(token) for token in (END_OF_REPLY, "<image>")]
    assert [int((tokens.ids == token).sum()) for token in special] == [1, 0]


def test_the_list_of_tools_is_in_the_prompt_where_it_is_asked_for(prepared: Path) -> None:
    processor = load_processor(prepared / "model" / "base")
    tokens = Encoder(processor, tools_in_prompt=True).encode(DIALOGUES[2], with_image=False)
    assert "These tools can be used:\ngrounding dino" in processor.tokenizer.decode(tokens.ids).replace("</s>", "")


def test_a_batch_is_what_the_processor_makes_and_padding_is_not_learnt(prepared: Path) -> None:
    settings = load_settings(prepared / "run.toml")
    processor = load_processor(settings.base)
    samples = read_samples(settings, processor)
    batch = Collator(processor)(samples.found)
    rows = batch["attention_mask"].sum(dim=1).tolist()
    assert rows == [len(sample.tokens.ids) for sample in samples.found]
    assert bool((batch["labels"][batch["attention_mask"] == 0] == IGNORED).all())
    frames = [Image.fromarray(frame).convert("RGB") for frame in FRAMES.values()]
    assert torch.equal(batch["pixel_values"], processor.image_processor(frames, return_tensors="pt")["pixel_values"])


# A run


def test_a_run_ends_in_a_planner_that_plans_what_it_was_taught(trained: Path) -> None:
    planner = LlavaPlanner(checkpoint=trained / "run" / "planner")
    planner.load("cpu")
    assert planner.card.name == "tiny"
    plans = [assemble(planner.step(asked, frame, lambda: None)) for asked, frame, _ in ASKED]
    assert plans == [plan for _, _, plan in ASKED]


def test_merged_exported_and_reloaded_the_logits_are_those_of_the_adapter_on_its_base(
    trained: Path, tmp_path: Path
) -> None:
    base, run_ = trained / "model" / "base", trained / "run"
    processor = load_processor(base)
    inputs = inputs_of(processor, ASKED[0][0], BRIGHT)
    plain = next_logits(load_base(base, torch.float32).eval(), inputs)
    unmerged = next_logits(attach_adapter(load_base(base, torch.float32), run_ / "adapter"), inputs)
    merged = load_llava(run_ / "planner", read_manifest(run_ / "planner"), "cpu")
    for part in ("base", "adapter"):
        shutil.copytree(base if part == "base" else run_ / part, tmp_path / part)
    apart = {"name": "apart", "version": "1", "base": "base", "adapter": "adapter", "max_new_tokens": 200}
    (tmp_path / "planner.json").write_text(json.dumps(apart))
    loaded = load_llava(tmp_path, read_manifest(tmp_path), "cpu")

    torch.testing.assert_close(next_logits(merged.model, inputs), unmerged, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(next_logits(loaded.model, inputs), unmerged, atol=1e-3, rtol=1e-4)
    assert (unmerged - plain).abs().max() > 1.0
    again = inputs_of(merged.processor, ASKED[0][0], BRIGHT)
    assert all(torch.equal(again[name], inputs[name]) for name in inputs)


def test_the_projector_is_trained_and_the_image_tower_is_not(trained: Path) -> None:
    before = load_file(trained / "model" / "base" / "model.safetensors")
    after = load_file(trained / "run" / "planner" / "base" / "model.safetensors")
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert before.keys() == after.keys()
    assert not any("vision_tower" in name or "embed_tokens" in name or "lm_head" in name for name in changed)
    assert sum("projector" in name for name in changed) == 4
    assert sum("_proj.weight" in name for name in changed) == 2 * 7


def test_the_weights_of_the_planner_are_pinned(trained: Path) -> None:
    manifest = read_manifest(trained / "run" / "planner")
    assert list(manifest.sha256) == ["base/model.safetensors"]


def test_an_earlier_checkpoint_can_be_merged_too(trained: Path, tmp_path: Path) -> None:
    first = min((trained / "run" / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    command = ["train", "merge", str(trained / "run.toml"), "--adapter", str(first), "--target", str(tmp_path / "new")]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    assert read_manifest(tmp_path / "new").name == "tiny"
    with pytest.raises(ConflictError, match="not an empty folder"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    with pytest.raises(NotFoundError, match="no adapter"):
        CliRunner().invoke(app, [*command[:3], "--adapter", str(tmp_path / "none")], catch_exceptions=False)


# Resuming


def test_an_interrupted_run_that_is_resumed_ends_in_the_same_weights(folder: Path) -> None:
    config = write_config(folder, lora={"dropout": 0.1}, **SHORT)
    whole, first, second = Watching(), Watching(interrupt_after=5), Watching()
    outcome = run(config, whole, output=folder / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, first)
    assert not (folder / "run" / "adapter").exists()
    resumed = run(config, second, resume=True)

    assert (whole.total, first.total, second.total) == ((9, 0), (9, 0), (9, 4))
    assert second.steps == [5, 6, 7, 8, 9]
    assert len({path.name for path in (folder / "run" / "checkpoints").iterdir()}) == 2
    assert outcome == resumed
    expected, found = adapter_of(folder / "whole"), adapter_of(folder / "run")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5)


def test_another_seed_gives_other_weights(folder: Path) -> None:
    for seed in (0, 1):
        run(write_config(folder, recipe={**SHORT["recipe"], "seed": seed}), Watching(), output=folder / str(seed))
    one, other = adapter_of(folder / "0"), adapter_of(folder / "1")
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_a_run_is_not_written_over_and_not_resumed_as_another(folder: Path) -> None:
    config = write_config(folder, **SHORT)
    with pytest.raises(ConflictError, match="no run to resume"):
        run(config, Watching(), resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(config, Watching(interrupt_after=1))
    with pytest.raises(ConflictError, match="not empty"):
        run(config, Watching())
    run(config, again := Watching(), resume=True)
    assert again.total == (9, 0), "there was no checkpoint yet"
    with pytest.raises(ConflictError, match="another epochs"):
        run(write_config(folder, **(SHORT | {"recipe": {"epochs": 4}})), Watching(), resume=True)
    (folder / "rows.json").write_text("[]")
    with pytest.raises(ConflictError, match="another data"):
        Workspace(folder / "run").resume(load_settings(write_config(folder, **SHORT)))


def test_the_command_says_how_to_go_on_after_an_interruption(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs behind it ignore the signal
    command = [sys.executable, "-m", "mmedagent.cli", "train", "planner", str(folder / "run.toml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(line.startswith("update 1: loss") for line in lines)
        process.send_signal(signal.SIGINT)
        assert any("go on with --resume" in line for line in lines)
    assert process.returncode == 130


# Settings and machine


@pytest.mark.parametrize("machine", [{"precision": "bf16"}, {"recompute_activations": True}, {"image_workers": 1}])
def test_a_run_learns_in_other_ways_too(folder: Path, machine: dict[str, Any]) -> None:
    watching = Watching()
    recipe = {"epochs": 4, "batch_size": 1}
    run(write_config(folder, recipe=recipe, machine={"rows_at_once": 1, **machine}), watching)
    assert watching.losses[-1] < watching.losses[0]


def test_losses_are_logged_for_tensorboard(folder: Path) -> None:
    pytest.importorskip("tensorboardX")
    machine = {**SHORT["machine"], "tensorboard": True}
    run(write_config(folder, recipe=SHORT["recipe"], machine=machine), Watching())
    (events,) = (folder / "run" / "logs").iterdir()
    assert b"train/loss" in events.read_bytes()


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"lora": {"targets": ["q_proj", "nothing"]}}, "no layer of the language model is called nothing"),
        ({"lora": {"targets": ["nothing"]}}, "no layer of the language model is called nothing"),
        ({"recipe": {"batch_size": 3}}, "no multiple of 2 rows"),
        ({"recipe": {"max_tokens": 16}}, "longer than recipe.max_tokens': 3"),
        ({"recipe": {"speed": 1}}, "recipe.speed"),
        ({"machine": {"device": "tpu"}}, "machine.device"),
    ],
)
def test_what_does_not_fit_is_said(folder: Path, sections: dict[str, dict[str, Any]], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        run(write_config(folder, **sections), Watching())


def test_a_missing_image_is_named_and_images_can_be_left_out(folder: Path) -> None:
    config = write_config(folder)
    (folder / "images" / "dark.png").unlink()
    processor = load_processor(folder / "model" / "base")
    with pytest.raises(InvalidRequestError, match=r"dialogue 2 is missing: dark\.png"):
        read_samples(load_settings(config), processor)
    settings = load_settings(config).model_copy(update={"without_images": True})
    assert all(sample.image is None for sample in read_samples(settings, processor).found)
    settings = load_settings(config).model_copy(update={"images": None})
    with pytest.raises(InvalidRequestError, match=r"has an image, bright\.png"):
        read_samples(settings, processor)


def test_an_image_that_is_none_is_named(folder: Path) -> None:
    (folder / "images" / "dark.png").write_bytes(b"no image")
    settings = load_settings(folder / "run.toml")
    processor = load_processor(settings.base)
    with pytest.raises(InvalidRequestError, match=r"dark\.png cannot be learnt from"):
        Collator(processor)(read_samples(settings, processor).found)
