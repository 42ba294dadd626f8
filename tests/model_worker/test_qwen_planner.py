"""Planners of Qwen2.5-VL and Qwen3-VL: the same engine and the same tokens as transformers itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.architecture import describe_llava
from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.engine import Engine
from mmedagent.model_worker.llava.network import LlavaNetwork, Prompt
from mmedagent.model_worker.llava.prefix import BLOCK
from mmedagent.model_worker.llava.weights import LoadedLlava, load_base
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.networks.families import Family, family_named
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.plan import ChatMessage, PlannerRequest, assemble
from mmedagent.protocol.prompts import CHATML, PromptStyle, render_prompt
from mmedagent.serving.tool import PixelArray
from tiny_llava import TARGETS, edit_json, edit_tensors, load_in_double
from tiny_qwen_vl import FAMILIES, write_qwen

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

TOKENS = 24
STYLE = PromptStyle(template=CHATML)
SHAPES = ((40, 120), (96, 64), (30, 30), None)
NEVER = 10**6


class Greedy:
    """Chooses the best token so many times, then stops."""

    def __init__(self) -> None:
        self._left = TOKENS

    def choose(self, scores: torch.Tensor) -> int:
        self._left -= 1
        return NEVER if self._left < 0 else int(scores.argmax())


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.title)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(scope="module")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("qwen")
    write_qwen(made, family, [render_prompt(ask(0), has_image=True, style=STYLE)])
    return made


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedLlava:
    return load_in_double(folder)


@pytest.fixture
def writer(loaded: LoadedLlava, folder: Path) -> PlanWriter:
    return PlanWriter(loaded, read_manifest(folder), "checkpoint")


def ask(number: int, adapter: str | None = None) -> PlannerRequest:
    said = "Where is the liver, please, and how large is it? " * (1 + number)
    messages = (ChatMessage(role="user", text=said),)
    return PlannerRequest(messages=messages, adapter=adapter, correlation_id="test")


def frame(shape: tuple[int, int] | None) -> PixelArray | None:
    return None if shape is None else np.random.default_rng(shape[0]).integers(0, 255, (*shape, 3), dtype=np.uint8)


def inputs_of(loaded: LoadedLlava, request: PlannerRequest, shown: PixelArray | None) -> Any:
    images = None if shown is None else [Image.fromarray(shown)]
    text = render_prompt(request, has_image=shown is not None, style=STYLE)
    return loaded.processor(text=[text], images=images, return_tensors="pt")


def generated(loaded: LoadedLlava, request: PlannerRequest, shown: PixelArray | None) -> list[int]:
    """What transformers writes by itself."""
    inputs = inputs_of(loaded, request, shown)
    whole = loaded.model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False, eos_token_id=NEVER)
    return [int(token) for token in whole[0, inputs["input_ids"].shape[1] :]]


def written(engine: Engine, prompt: Prompt) -> list[int]:
    return list(engine.write(prompt, Greedy(), lambda: None))


def test_the_prompt_is_what_the_chat_template_of_qwen_writes(loaded: LoadedLlava) -> None:
    said = "Where is it?"
    prompt = render_prompt(
        PlannerRequest(messages=(ChatMessage(role="user", text=said),), correlation_id="test"),
        has_image=True,
        style=STYLE,
    )
    system, question = prompt.split("<|im_end|>\n", 1)
    assert system.startswith("<|im_start|>system\nA chat between")
    assert question == (
        f"<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{said}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_turns_written_together_are_what_transformers_writes_alone(loaded: LoadedLlava, writer: PlanWriter) -> None:
    asked = [(ask(number), frame(shape)) for number, shape in enumerate(SHAPES)]
    expected = [generated(loaded, *one) for one in asked]
    engine = Engine(LlavaNetwork(loaded.model, "test", 2**20), frozenset({NEVER}), len(asked))
    prompts = [writer.encode(*one) for one in asked]
    for _ in range(2):
        with ThreadPoolExecutor(len(asked)) as pool:
            assert list(pool.map(lambda prompt: written(engine, prompt), prompts)) == expected
    assert len({str(one) for one in expected}) == len(expected)


def test_what_was_read_is_read_once_and_scores_the_same(loaded: LoadedLlava, writer: PlanWriter) -> None:
    shown = frame((96, 64))
    writer.network.read(writer.encode(ask(12), shown))
    later = writer.encode(ask(13), shown)
    alone = LlavaNetwork(loaded.model, "test", 0).read(later)
    assert writer.network.begin(later).reused >= 2 * BLOCK
    assert torch.equal(writer.network.read(later), alone)
    assert writer.network.begin(writer.encode(ask(13), frame((40, 120)))).reused == 0
    with torch.inference_mode():
        whole = loaded.model(**inputs_of(loaded, ask(13), shown), logits_to_keep=1).logits[0, -1].float()
    torch.testing.assert_close(alone, whole, atol=1e-5, rtol=1e-5)


def test_images_of_equal_patches_and_another_shape_are_told_apart(writer: PlanWriter) -> None:
    ids = writer.encode(ask(0), frame((40, 120))).ids
    pixels = torch.zeros(16, 4)
    wide, tall = (Prompt(ids, pixels, grid) for grid in ((1, 2, 8), (1, 8, 2)))
    assert wide.image_key != tall.image_key


def test_adapters_by_name_work_alike(folder: Path, family: Family, tmp_path: Path) -> None:
    base = folder / "base"
    (tmp_path / "base").symlink_to(base)
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        config = LoraConfig(r=8, target_modules=TARGETS, init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(load_base(base, torch.float32), config).save_pretrained(str(tmp_path / name))
    (tmp_path / "planner.json").write_bytes((folder / "planner.json").read_bytes())
    edit_json(tmp_path / "planner.json", adapters={"one": "one", "two": "two"})
    made = load_in_double(tmp_path)
    writer = PlanWriter(made, read_manifest(tmp_path), "checkpoint")
    engine = Engine(LlavaNetwork(made.model, "test", 2**20, made.adapters), frozenset({NEVER}), 4)
    prompts = [writer.encode(ask(0, name), frame((40, 120))) for name in (None, "one", "two")]
    alone = [written(engine, prompt) for prompt in prompts]
    plain = load_in_double(folder)
    assert alone[0] == generated(plain, ask(0), frame((40, 120)))
    assert len({str(one) for one in alone}) == 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda prompt: written(engine, prompt), prompts)) == alone


def test_random_weights_write_nothing_but_plans(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(folder / "base")
    (tmp_path / "planner.json").write_bytes((folder / "planner.json").read_bytes())
    edit_json(tmp_path / "planner.json", constrained=True, max_new_tokens=96)
    planner = LlavaPlanner(checkpoint=tmp_path)
    planner.load("cpu")
    request = ask(0).model_copy(update={"tools": built_in_cards()})
    assert assemble(planner.step(request, frame((40, 120)), lambda: None)).value


def test_a_folder_fits_if_and_only_if_it_loads(folder: Path, family: Family, tmp_path: Path) -> None:
    described = describe_llava(folder)
    assert described.network == family.title
    assert described.fit() > 0
    for file in (folder / "base").iterdir():
        (tmp_path / "base").mkdir(exist_ok=True)
        (tmp_path / "base" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "planner.json").write_bytes((folder / "planner.json").read_bytes())
    edit_tensors(tmp_path / "base" / "model.safetensors", lambda tensors: tensors.pop(max(tensors)))
    with pytest.raises(CheckpointError, match="1 missing"):
        describe_llava(tmp_path).fit()
    with pytest.raises(CheckpointError, match="1 missing"):
        LlavaPlanner(checkpoint=tmp_path).load("cpu")


def test_other_families_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="LlavaForConditionalGeneration, Qwen2_5_VLForConditionalGeneration"):
        family_named("qwen2_vl")
