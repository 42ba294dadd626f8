"""Adapters by name: every turn is read and written with its own, beside turns of others, and nothing is mixed up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.architecture import describe_llava
from mmedagent.model_worker.llava.checkpoint import read_manifest, verify_files
from mmedagent.model_worker.llava.network import LlavaNetwork, Prompt
from mmedagent.model_worker.llava.stream import PlanSplitter
from mmedagent.model_worker.llava.weights import LoadedLlava, attach_adapter, load_base
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.protocol.errors import CheckpointError, NotFoundError
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest, StepDone, assemble
from mmedagent.serving.tool import PixelArray
from tiny_llava import TARGETS, Lesson, edit_json, edit_tensors, load_in_double, next_logits, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

FRAME: PixelArray = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
NAMES = (None, "chest", "eye.v2", "looking")
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planner with a default adapter and three more, of which `looking` changes the projector as well."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("adapters")
    write_checkpoint(made, [Lesson(ask("Where is it?"), FRAME, "I will look for it.")], constrained=True)
    for seed, name in enumerate(("adapter", "chest", "eye", "looking")):
        write_adapter(made, name, seed, modules_to_save=["multi_modal_projector"] if name == "looking" else None)
    named = {"chest": "chest", "eye.v2": "eye", "looking": "looking"}
    edit_json(made / "planner.json", adapters=named, max_new_tokens=96)
    return made


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "planner"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedLlava:
    return load_in_double(folder)


@pytest.fixture
def writer(loaded: LoadedLlava, folder: Path) -> PlanWriter:
    return PlanWriter(loaded, read_manifest(folder), "checkpoint")


def write_adapter(folder: Path, name: str, seed: int, **settings: Any) -> None:
    """A random adapter that changes what the base writes."""
    torch.manual_seed(seed)
    wanted: dict[str, Any] = {"r": 8 + 8 * seed, "lora_alpha": 32, "target_modules": TARGETS, "task_type": "CAUSAL_LM"}
    config = LoraConfig(**(wanted | settings))
    adapted = get_peft_model(load_base(folder / "base", torch.float32), config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter.data, std=0.1)
    adapted.save_pretrained(str(folder / name))


def ask(text: str, adapter: str | None = None) -> PlannerRequest:
    return PlannerRequest(messages=(ChatMessage(role="user", text=text),), adapter=adapter, correlation_id="test")


def carry_on() -> None:
    """Nobody cancels."""


def plan(writer: PlanWriter, name: str | None, number: int = 0) -> Plan:
    request = ask(f"Where is it, in picture {number}?", name)
    return assemble(writer.write(request, FRAME, PlanSplitter(), carry_on))


def as_dict(prompt: Prompt) -> dict[str, Tensor]:
    assert prompt.pixels is not None
    return {"input_ids": torch.tensor([prompt.ids]), "pixel_values": prompt.pixels.double()}


# Each its own


def test_every_adapter_computes_what_it_computes_alone_on_the_base(
    folder: Path, loaded: LoadedLlava, writer: PlanWriter
) -> None:
    places = dict(zip(NAMES, ("adapter", "chest", "eye", "looking"), strict=True))
    found = []
    for name, place in places.items():
        prompt = writer.encode(ask("Where is it?", name), FRAME)
        alone = attach_adapter(load_base(folder / "base", torch.float32), folder / place).double()
        found.append(writer.network.read(prompt))
        torch.testing.assert_close(found[-1], next_logits(alone, as_dict(prompt)), atol=1e-5, rtol=1e-5)
    assert not any(torch.equal(one, other) for place, one in enumerate(found) for other in found[:place])


def test_turns_with_different_adapters_write_together_what_each_writes_alone(
    loaded: LoadedLlava, writer: PlanWriter
) -> None:
    asked = [*((name, 0) for name in NAMES), ("chest", 1)]
    alone = [plan(writer, *one) for one in asked]
    mixed: list[int] = []
    hook = loaded.model.lm_head.register_forward_hook(lambda _, inputs, __: mixed.append(len(inputs[0])))
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: plan(writer, *one), asked))
    hook.remove()
    assert together == alone
    assert max(mixed) == len(asked)
    assert len({str(one) for one in alone[: len(NAMES)]}) == len(NAMES)


def test_without_a_default_adapter_the_base_itself_answers_beside_the_others(copied: Path) -> None:
    edit_json(copied / "planner.json", adapter=None)
    made = load_in_double(copied)
    writer = PlanWriter(made, read_manifest(copied), "checkpoint")
    prompt = writer.encode(ask("Where is it?"), FRAME)
    base = load_base(copied / "base", torch.float32).double()
    for name in ("chest", None, "looking", None):
        writer.network.read(writer.encode(ask("Where is it?", name), FRAME))
        fresh = LlavaNetwork(made.model, "fresh", 0, made.adapters)
        torch.testing.assert_close(fresh.read(prompt), next_logits(base, as_dict(prompt)), atol=1e-5, rtol=1e-5)
    alone = [plan(writer, name) for name in (None, "chest")]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda name: plan(writer, name), (None, "chest"))) == alone


# What is remembered


def test_adapters_share_no_keys_and_values(writer: PlanWriter) -> None:
    prompts = {name: writer.encode(ask("Where is it? " * 20, name), FRAME) for name in NAMES}
    for prompt in prompts.values():
        assert writer.network.begin(prompt).reused == 0
        writer.network.read(prompt)
        assert writer.network.begin(prompt).reused > 0


def test_adapters_that_leave_the_image_alone_share_its_features(loaded: LoadedLlava, writer: PlanWriter) -> None:
    looks: list[int] = []
    hook = loaded.model.get_base_model().model.vision_tower.register_forward_hook(lambda *_: looks.append(1))
    counts: list[int] = []
    for name in (None, "chest", "eye.v2", "looking", "looking", "chest"):
        writer.network.read(writer.encode(ask(f"Where is it, {name}, {len(counts)}?", name), FRAME))
        counts.append(len(looks))
    hook.remove()
    assert counts == [1, 1, 1, 2, 2, 2]


def test_switching_reads_no_file(copied: Path) -> None:
    planner = LlavaPlanner(checkpoint=copied)
    planner.load("cpu")
    shutil.rmtree(copied)
    asked = (ask("Where is it?", name) for name in ("chest", None, "looking", "chest"))
    first, *_, last = [assemble(planner.step(one, FRAME, carry_on)) for one in asked]
    assert first == last


# The planner and its folder


def test_the_card_lists_the_adapters_and_a_step_says_which_one_made_it(folder: Path) -> None:
    planner = LlavaPlanner(checkpoint=folder)
    planner.load("cpu")
    assert planner.card.adapters == ("chest", "eye.v2", "looking")
    assert list(planner.card.models()) == ["tiny", "tiny:chest", "tiny:eye.v2", "tiny:looking"]
    *_, done = planner.step(ask("Where is it?", "chest"), FRAME, carry_on)
    assert done == StepDone(planner="tiny:chest", checkpoint_sha256=verify_files(folder, read_manifest(folder)))
    with pytest.raises(NotFoundError, match="no adapter heart"):
        list(planner.step(ask("Where is it?", "heart"), FRAME, carry_on))


def test_all_adapters_are_verified_and_counted(copied: Path) -> None:
    described = describe_llava(copied)
    names = [file.path.relative_to(copied).as_posix() for file in described.files]
    assert names == ["base/model.safetensors", *(f"{one}/{WEIGHTS}" for one in ("adapter", "chest", "eye", "looking"))]
    before = (described.fit(), verify_files(copied, read_manifest(copied)))
    edit_tensors(copied / "eye" / WEIGHTS, lambda tensors: tensors.update({key: -one for key, one in tensors.items()}))
    after = (describe_llava(copied).fit(), verify_files(copied, read_manifest(copied)))
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.popitem(), "lacks 1 tensors"),
        (lambda tensors: tensors.update(stray=torch.zeros(1)), "1 tensors without a place"),
        (lambda tensors: next(iter(tensors.values())).fill_(torch.nan), "eye holds values that are not finite"),
    ],
    ids=["lacks", "has more", "not finite"],
)
def test_a_damaged_one_of_many_is_refused(
    change: Callable[[dict[str, Tensor]], object], words: str, copied: Path
) -> None:
    edit_tensors(copied / "eye" / WEIGHTS, change)
    with pytest.raises(CheckpointError, match=words):
        LlavaPlanner(checkpoint=copied).load("cpu")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save .*lm_head"),
    ],
)
def test_an_adapter_that_would_touch_rows_of_others_is_refused(
    settings: dict[str, Any], words: str, copied: Path
) -> None:
    write_adapter(copied, "chest", 5, **settings)
    with pytest.raises(CheckpointError, match=f"adapter chest cannot serve beside others: it uses {words}"):
        LlavaPlanner(checkpoint=copied).load("cpu")


@pytest.mark.parametrize(
    ("adapters", "words"),
    [
        ({"a:b": "chest"}, "adapters"),
        ({"": "chest"}, "adapters"),
        ({"chest": "../chest"}, "a path inside"),
        ({f"one{number}": "chest" for number in range(33)}, "adapters"),
        ({"heart": "heart"}, "no readable heart/adapter_config.json"),
    ],
    ids=["name with colon", "no name", "path out of the folder", "too many", "no folder"],
)
def test_a_list_that_makes_no_sense_is_refused(adapters: dict[str, str], words: str, copied: Path) -> None:
    edit_json(copied / "planner.json", adapters=adapters)
    assert json.loads((copied / "planner.json").read_text())["adapters"] == adapters
    with pytest.raises(CheckpointError, match=words):
        LlavaPlanner(checkpoint=copied).load("cpu")
