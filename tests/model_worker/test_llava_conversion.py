"""A converted folder computes what the original computes: the same tokens from a text, the same scores from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlavaForConditionalGeneration

import support.llava_reference as reference
from mmedagent.model_worker.llava.architecture import describe_llava
from mmedagent.model_worker.llava.checkpoint import read_manifest, verify_files
from mmedagent.model_worker.llava.conversion import Conversion, Originals
from mmedagent.model_worker.llava.weights import load_llava, load_processor
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest
from mmedagent.protocol.prompts import SYSTEM, render_prompt, render_reply
from support.original_llava import (
    CLIP,
    LLAVA_MED_1_0,
    LLAVA_MED_1_0_TOKENS,
    LLAVA_MED_1_5,
    MMEDAGENT,
    Format,
    State,
    Words,
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

QUESTION = 'Where is the liver? 🩺 µm²\n\nInput box: [0.25, 0.5, 0.75, 1.0]  "two  spaces"'
DIALOGUE = (
    ChatMessage(role="user", text=QUESTION),
    ChatMessage(role="assistant", text="In the upper left."),
    ChatMessage(role="user", text="How large is it?"),
)
REQUEST = PlannerRequest(messages=DIALOGUE, correlation_id="test")
PROMPT = render_prompt(REQUEST, has_image=True)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 61, 3), dtype=np.uint8))


@dataclass(frozen=True)
class Case:
    """An original model: its settings, all tensors that it computes with, and its tokenizer."""

    config: Mapping[str, Any]
    state: State
    words: Words

    @property
    def state_of_tower(self) -> State:
        return {name: tensor for name, tensor in self.state.items() if name.startswith(reference.TOWER)}

    def scores(self, ids: list[int], pixels: Tensor) -> Tensor:
        return reference.logits(self.state, self.config, CLIP, ids, pixels)

    def ids(self, prompt: str = PROMPT) -> list[int]:
        legacy = self.words.settings.get("legacy", True) is not False
        return reference.token_ids(prompt, self.words.pieces, self.words.numbers, legacy=legacy)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def words() -> Words:
    return learn_words([PROMPT, QUESTION, render_reply(Plan(thoughts="I will look.", value="Here it is."))])


def case(config: Mapping[str, Any], words: Words, *, seed: int = 0) -> Case:
    return Case(config, random_model(config, words.size, seed=seed) | random_tower(seed=seed), words)


def convert(originals: Originals, target: Path) -> Path:
    advanced: list[int] = []
    conversion = Conversion(originals)
    assert conversion.write(target, "tiny", advanced.append) > 0
    assert sum(advanced) >= conversion.size
    verify_files(target, read_manifest(target))
    return target


def require_equal(folder: Path, original: Case) -> None:
    """The same tokens, the same scores through transformers and peft, and through the loader of this project."""
    processor = load_processor(folder / "base")
    inputs = processor(text=[PROMPT], images=[PICTURE], return_tensors="pt")
    image = processor.image_token_id
    patches = (CLIP["image_size"] // CLIP["patch_size"]) ** 2
    patches += original.config.get("mm_vision_select_feature") == "cls_patch"
    expected_ids = [
        one for number in original.ids() for one in ([image] * patches if number == reference.IMAGE else [number])
    ]
    assert inputs["input_ids"][0].tolist() == expected_ids

    expected = original.scores(original.ids(), inputs["pixel_values"][0])
    assert expected.std() > 0.3
    manifest = read_manifest(folder)
    plain = LlavaForConditionalGeneration.from_pretrained(folder / "base", dtype=torch.float32, local_files_only=True)
    if manifest.adapter is not None:
        plain = PeftModel.from_pretrained(plain, folder / manifest.adapter)
    loaded = load_llava(folder, manifest, "cpu").model
    for network in (plain.eval(), loaded):
        with torch.inference_mode():
            found = network(**inputs).logits[0]
        torch.testing.assert_close(found[:, : original.words.size], expected, atol=2e-5, rtol=1e-5)
        assert (found[:, original.words.size :].amax(dim=1) < expected.amax(dim=1)).all()


def write_llava_med_1_0(folder: Path, original: Case) -> None:
    """The model in `original` and its CLIP in `clip`, in half of the files' ways."""
    state = {name: tensor for name, tensor in original.state.items() if not name.startswith(reference.TOWER)}
    write_model(folder / "original", original.config, state, original.words, form="bin", shards=2)
    write_clip(folder / "clip", original.state_of_tower)


# Whole models


@pytest.mark.parametrize(("form", "shards"), [("safetensors", 1), ("safetensors", 3), ("bin", 1), ("bin", 3)])
@pytest.mark.parametrize("config", [LLAVA_MED_1_5, MMEDAGENT], ids=["LLaVA-Med 1.5", "MMedAgent, merged"])
def test_models_with_their_vision_tower_among_the_weights(
    config: dict[str, Any], form: Format, shards: int, words: Words, tmp_path: Path
) -> None:
    original = case(config, words)
    write_model(tmp_path / "original", original.config, original.state, words, form=form, shards=shards)
    require_equal(convert(Originals(tmp_path / "original"), tmp_path / "planner"), original)


def test_llava_med_1_0_with_a_clip_of_its_own(words: Words, tmp_path: Path) -> None:
    original = case(LLAVA_MED_1_0, replace(words, added=LLAVA_MED_1_0_TOKENS, settings={"pad_token": "[PAD]"}))
    write_llava_med_1_0(tmp_path, original)
    target = convert(Originals(tmp_path / "original", vision_tower=tmp_path / "clip"), tmp_path / "planner")

    require_equal(target, original)
    images = load_processor(target / "base").image_processor
    assert (*images.image_mean, *images.image_std) == (0.4, 0.5, 0.6, 0.2, 0.25, 0.3)


def test_the_differences_that_llava_med_1_0_was_published_as(words: Words, tmp_path: Path) -> None:
    original = case(LLAVA_MED_1_0, replace(words, added=LLAVA_MED_1_0_TOKENS))
    llama = {name: tensor for name, tensor in random_model(LLAVA_MED_1_0, 400, seed=5).items() if "mm_proj" not in name}
    differences = {name: tensor.clone() for name, tensor in original.state.items() if "vision_tower" not in name}
    for name, tensor in llama.items():
        tensor[...] = original.state[name][: len(tensor)] + 0.01 * tensor
        differences[name][: len(tensor)] -= tensor
    write_model(tmp_path / "original", original.config, differences, original.words, form="bin", shards=2)
    write_model(tmp_path / "llama", {}, llama, words, form="safetensors", shards=3)
    write_clip(tmp_path / "clip", original.state_of_tower)
    target = convert(
        Originals(tmp_path / "original", base=tmp_path / "llama", vision_tower=tmp_path / "clip"), tmp_path / "planner"
    )
    require_equal(target, original)


@pytest.mark.parametrize("changes", [{"mm_vision_select_feature": "cls_patch"}, {"mm_vision_select_layer": -3}])
def test_other_choices_of_image_features(changes: dict[str, object], words: Words, tmp_path: Path) -> None:
    original = case({**LLAVA_MED_1_5, **changes}, words)
    write_model(tmp_path / "original", original.config, original.state, words)
    require_equal(convert(Originals(tmp_path / "original"), tmp_path / "planner"), original)


def test_a_clip_that_is_given_takes_the_place_of_the_one_inside(words: Words, tmp_path: Path) -> None:
    original = case(LLAVA_MED_1_5, words)
    write_model(tmp_path / "original", original.config, original.state | random_tower(seed=9), words)
    write_clip(tmp_path / "clip", original.state_of_tower, form="safetensors")
    target = convert(Originals(tmp_path / "original", vision_tower=tmp_path / "clip"), tmp_path / "planner")
    require_equal(target, original)


def test_numbers_keep_the_format_of_the_language_model(words: Words, tmp_path: Path) -> None:
    original = case(LLAVA_MED_1_5, words)
    half = {name: tensor.to(torch.bfloat16) for name, tensor in original.state.items()}
    write_model(tmp_path / "original", original.config, half | random_tower(), words)
    target = convert(Originals(tmp_path / "original"), tmp_path / "planner")
    kept = load_file(target / "base" / "model.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.bfloat16}
    rounded = replace(original, state={name: tensor.bfloat16().float() for name, tensor in original.state.items()})
    require_equal(target, rounded)


# LoRA


@pytest.mark.parametrize("form", ["bin", "safetensors"])
def test_mmedagent_a_lora_and_a_new_projector_on_llava_med_1_0(form: Format, words: Words, tmp_path: Path) -> None:
    base = case(LLAVA_MED_1_0, replace(words, added=LLAVA_MED_1_0_TOKENS))
    write_llava_med_1_0(tmp_path, base)
    projector, factors = random_projector(MMEDAGENT, seed=7), random_lora(MMEDAGENT)
    write_lora(tmp_path / "lora", MMEDAGENT, factors, projector, form=form)
    target = convert(
        Originals(tmp_path / "original", lora=tmp_path / "lora", vision_tower=tmp_path / "clip"), tmp_path / "planner"
    )
    tuned = Case(MMEDAGENT, reference.with_lora(base.state | projector, factors, 2.0), base.words)
    require_equal(target, tuned)
    assert describe_llava(target).network == "LLaVA with LoRA"


def test_a_lora_without_settings_or_projector_of_its_own_goes_on_the_model_as_it_is(
    words: Words, tmp_path: Path
) -> None:
    base = case(LLAVA_MED_1_5, words)
    write_model(tmp_path / "original", base.config, base.state, words)
    factors = {
        f"{name[:-7]}.default.weight": factor for name, factor in random_lora(LLAVA_MED_1_5).items() if ".mlp." in name
    }
    targets = ["gate_proj", "up_proj", "down_proj"]
    write_lora(tmp_path / "lora", None, factors, {}, target_modules=targets, use_rslora=True)
    target = convert(Originals(tmp_path / "original", lora=tmp_path / "lora"), tmp_path / "planner")
    plain = {name.replace(".default", ""): factor for name, factor in factors.items()}
    require_equal(target, replace(base, state=reference.with_lora(base.state, plain, 16 / 8**0.5)))


def test_whole_tensors_that_were_trained_beside_a_lora_replace_those_of_the_model(words: Words, tmp_path: Path) -> None:
    base = case(LLAVA_MED_1_5, words)
    write_model(tmp_path / "original", base.config, base.state, words)
    trained = {name: random_model(LLAVA_MED_1_5, words.size, seed=4)[name] for name in ("lm_head.weight",)}
    factors = random_lora(LLAVA_MED_1_5)
    write_lora(tmp_path / "lora", LLAVA_MED_1_5, factors, trained)
    target = convert(Originals(tmp_path / "original", lora=tmp_path / "lora"), tmp_path / "planner")
    require_equal(target, replace(base, state=reference.with_lora(base.state | trained, factors, 2.0)))


# Texts and images


def test_a_tokenizer_that_is_not_legacy(words: Words, tmp_path: Path) -> None:
    modern = replace(words, settings={"legacy": False, "add_bos_token": True, "pad_token": {"content": "<unk>"}})
    assert case(LLAVA_MED_1_5, modern).ids() != case(LLAVA_MED_1_5, words).ids()
    original = case(LLAVA_MED_1_5, modern)
    write_model(tmp_path / "original", original.config, original.state, modern)
    require_equal(convert(Originals(tmp_path / "original"), tmp_path / "planner"), original)


def test_tokens_listed_in_the_settings_of_the_tokenizer(words: Words, tmp_path: Path) -> None:
    size = words.pieces.get_piece_size()
    listed = {"0": {"content": "<unk>"}, str(size): {"content": "<a>"}, str(size + 1): {"content": "<b>"}}
    settings = replace(words, settings={"added_tokens_decoder": listed})
    original = case(LLAVA_MED_1_5, replace(words, added=("<a>", "<b>")))
    write_model(tmp_path / "original", original.config, original.state, settings)
    target = convert(Originals(tmp_path / "original"), tmp_path / "planner")
    tokenizer = load_processor(target / "base").tokenizer
    assert tokenizer.convert_tokens_to_ids(["<a>", "<b>", "<image>", "</s>"]) == [size, size + 1, size + 2, 2]
    require_equal(target, original)


def test_texts_survive_the_tokenizer(words: Words, tmp_path: Path) -> None:
    original = case(LLAVA_MED_1_5, words)
    write_model(tmp_path / "original", original.config, original.state, words)
    tokenizer = load_processor(convert(Originals(tmp_path / "original"), tmp_path / "planner") / "base").tokenizer
    for text in (QUESTION, "groß, 日本 🩻\n\n  x", render_reply(Plan(thoughts="t", value="v"))):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert tokenizer.pad_token_id == words.pieces.unk_id()


def test_images_are_padded_and_sized_as_the_original_does_to_a_grey_level(words: Words, tmp_path: Path) -> None:
    original = case(LLAVA_MED_1_5, words)
    write_model(tmp_path / "original", original.config, original.state, words)
    images = load_processor(convert(Originals(tmp_path / "original"), tmp_path / "planner") / "base").image_processor
    for size in ((61, 40), (40, 61), (50, 50)):
        picture = PICTURE.resize(size)
        [pixels] = images(picture, return_tensors="pt")["pixel_values"]
        level = 1 / 255 / min(reference.CLIP_STD)
        torch.testing.assert_close(pixels, reference.pixel_values(picture, 28), atol=1.01 * level, rtol=0)


def test_the_prompt_is_the_template_that_mmedagent_was_trained_with() -> None:
    """vicuna_v1 of the original conversation.py: roles, separators, system prompt, and `<image>` up front."""
    opening = (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions."
    )
    turns = [f"<image>\n{QUESTION}", render_reply(Plan(thoughts="", value=DIALOGUE[1].text)), DIALOGUE[2].text, None]
    expected = f"{opening} "
    for place, turn in enumerate(turns):
        role, separator = ("USER", " ") if place % 2 == 0 else ("ASSISTANT", "</s>")
        expected += f"{role}: {turn}{separator}" if turn is not None else f"{role}:"
    assert expected == PROMPT
    assert opening == SYSTEM
