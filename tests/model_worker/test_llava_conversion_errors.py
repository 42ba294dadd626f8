"""What cannot be converted is refused with a sentence that names it and one that says what to do; nothing is left."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmedagent.model_worker.llava.conversion import Conversion, Originals
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.prompts import SYSTEM
from support.original_llava import (
    COMMON,
    LLAVA_MED_1_0,
    LLAVA_MED_1_5,
    MMEDAGENT,
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
    write_weights,
)
from tiny_llava import edit_json, edit_tensors

WEIGHTS = "model.safetensors"
QUERY = "model.layers.1.self_attn.q_proj.weight"
FACTOR = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"
Change = Callable[[dict[str, Tensor]], object]


@pytest.fixture(scope="module")
def words() -> Words:
    return learn_words([SYSTEM], size=330)


@pytest.fixture
def model(words: Words, tmp_path: Path) -> Path:
    """LLaVA-Med 1.5 with its vision tower."""
    state = random_model(LLAVA_MED_1_5, words.size) | random_tower()
    write_model(tmp_path / "med", LLAVA_MED_1_5, state, words)
    return tmp_path / "med"


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    write_lora(tmp_path / "lora", LLAVA_MED_1_5, random_lora(LLAVA_MED_1_5), {}, form="safetensors")
    return tmp_path / "lora"


def refuse(sentence: str, *, folder: Path, **others: Path) -> None:
    """The conversion fails with these words, without a path, and leaves nothing behind."""
    before = sorted(folder.parent.iterdir())
    with pytest.raises(CheckpointError, match=sentence) as caught:
        Conversion(Originals(folder, **others)).write(folder.parent / "planner", "x", lambda _: None)
    assert str(folder.parent) not in caught.value.detail
    assert sorted(folder.parent.iterdir()) == before


def remove(name: str) -> Change:
    return lambda tensors: tensors.pop(name)


def put(name: str, tensor: Tensor) -> Change:
    return lambda tensors: tensors.update({name: tensor})


# The target


def test_what_exists_is_not_overwritten(model: Path, tmp_path: Path) -> None:
    conversion = Conversion(Originals(model))
    with pytest.raises(CheckpointError, match=r"med exists and is not an empty folder\. Give a new folder"):
        conversion.write(model, "x", lambda _: None)
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="file exists"):
        conversion.write(tmp_path / "file", "x", lambda _: None)
    (tmp_path / "empty").mkdir()
    assert conversion.write(tmp_path / "empty", "x", lambda _: None) > 0
    assert conversion.write(tmp_path / "new" / "planner", "x", lambda _: None) > 0


def test_a_folder_that_cannot_be_made_is_told(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"planner could not be written: File exists\. Make room"):
        Conversion(Originals(model)).write(tmp_path / "file" / "planner", "x", lambda _: None)


# The weights


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove(QUERY), rf"1 missing \({QUERY}\)\. Get the files again"),
        (remove("model.embed_tokens.weight"), r"1 missing \(model\.embed_tokens\.weight\)\. Get the files again"),
        (put("model.layers.2.mlp.up_proj.weight", torch.zeros(2, 2)), r"1 unexpected \(model\.layers\.2\.mlp"),
        (put("model.image_newline", torch.zeros(64)), r"1 unexpected \(model\.image_newline\)"),
        (put(QUERY, torch.zeros(64, 32)), r"1 misshapen .*q_proj\.weight \(64, 32\) instead of \(64, 64\)"),
        (put("lm_head.weight", torch.zeros(4, 64)), r"lm_head\.weight \(4, 64\) instead of"),
        (remove("model.mm_projector.2.bias"), r"1 missing \(model\.mm_projector\.2\.bias\)\. With --lora"),
        (
            remove("model.vision_tower.vision_tower.vision_model.post_layernorm.bias"),
            r"1 missing .*post_layernorm\.bias\)\. Give the folder of the CLIP .* as --vision-tower",
        ),
        (
            put(QUERY, torch.full((64, 64), torch.nan)),
            "q_proj.weight holds values that are not finite as torch.float32",
        ),
        (put("model.norm.weight", torch.ones(64, dtype=torch.int8)), "quantised. Convert the whole model"),
    ],
)
def test_every_tensor_has_its_place_and_every_place_its_tensor(change: Change, sentence: str, model: Path) -> None:
    edit_tensors(model / WEIGHTS, change)
    refuse(sentence, folder=model)


def test_values_beyond_the_format_of_the_language_model_are_refused(model: Path) -> None:
    state = load_file(model / WEIGHTS)
    half = {name: tensor.half() if "vision_tower" not in name else 1e6 * tensor for name, tensor in state.items()}
    save_file(half, model / WEIGHTS)
    refuse("not finite as torch.float16", folder=model)


def test_a_folder_without_weights_is_refused(model: Path) -> None:
    (model / WEIGHTS).unlink()
    refuse(r"med has no model\.safetensors or pytorch_model\.bin.* Get the whole folder", folder=model)


def test_damaged_and_incomplete_files_are_refused(model: Path) -> None:
    state = load_file(model / WEIGHTS)
    (model / WEIGHTS).write_bytes((model / WEIGHTS).read_bytes()[:-8])
    refuse(r"cut short .* Get the files again", folder=model)
    (model / WEIGHTS).unlink()
    write_weights(model, state, "bin", 3)
    (model / "pytorch_model-00002-of-00003.bin").unlink()
    refuse("pytorch_model-00002-of-00003.bin does not exist. Get the files again", folder=model)


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code in a checkpoint ran",))


def test_code_in_a_torch_archive_is_never_run(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / WEIGHTS).unlink()
    torch.save({"model.norm.weight": Payload()}, model / "pytorch_model.bin")
    refuse("not a readable torch archive of plain tensors", folder=model)
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"model.norm.weight": Payload()}, protocol=2))
    refuse("not a readable torch archive of plain tensors", folder=model)
    assert "ran" not in capsys.readouterr().out


# Vision tower and differences


def test_a_vision_tower_that_is_nowhere_is_asked_for(words: Words, tmp_path: Path) -> None:
    write_model(tmp_path / "med", LLAVA_MED_1_0, random_model(LLAVA_MED_1_0, words.size), words)
    refuse("Give the folder of openai/clip-vit-tiny-patch14-28 as --vision-tower", folder=tmp_path / "med")


def test_the_sizes_of_another_tower_inside_are_not_guessed(model: Path) -> None:
    edit_json(model / "config.json", mm_vision_tower="laion/CLIP-ViT-H-14-laion2B-s32B-b79K")
    refuse("Give the folder of laion/CLIP-ViT-H-14-laion2B-s32B-b79K as --vision-tower", folder=model)


@pytest.mark.parametrize(("name", "side"), [("openai/clip-vit-large-patch14", 224), ("/x/clip-vit-l-patch14-336", 336)])
def test_a_clip_for_images_of_another_size_is_refused(name: str, side: int, model: Path) -> None:
    edit_json(model / "config.json", mm_vision_tower=name)
    refuse(f"images of {side} pixels, and the CLIP takes 28. Give the folder of {name}", folder=model)


def test_a_vision_tower_that_is_none_or_another_is_refused(model: Path, tmp_path: Path) -> None:
    refuse("med/config.json describes no CLIP. Give the folder", folder=model, vision_tower=model)
    write_clip(tmp_path / "clip", random_tower(), form="safetensors")
    edit_tensors(tmp_path / "clip" / WEIGHTS, put("vision_model.head.weight", torch.zeros(2)))
    refuse(r"1 unexpected .*vision_model\.head\.weight", folder=model, vision_tower=tmp_path / "clip")
    edit_json(tmp_path / "clip" / "preprocessor_config.json", image_mean=[0.5])
    edit_tensors(tmp_path / "clip" / WEIGHTS, remove("vision_model.head.weight"))
    refuse("clip/preprocessor_config.json gives no image_mean", folder=model, vision_tower=tmp_path / "clip")


def without_projector(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if "mm_projector" not in name}


def test_differences_and_whole_models_are_told_apart(model: Path, words: Words, tmp_path: Path) -> None:
    whole = random_model(LLAVA_MED_1_0, words.size)
    tiny = {name: 0.001 * tensor for name, tensor in whole.items()}
    write_model(tmp_path / "delta", LLAVA_MED_1_0, tiny, words)
    write_model(tmp_path / "llama", {}, without_projector(whole), words)
    write_clip(tmp_path / "clip", random_tower())
    tower = tmp_path / "clip"
    refuse("delta holds the differences to another model.* as --base", folder=tmp_path / "delta", vision_tower=tower)
    refuse("whole model and no differences. Leave --base out", folder=model, base=tmp_path / "llama")
    refuse("delta holds the differences", folder=tmp_path / "delta", base=tmp_path / "delta")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove(QUERY), rf"1 missing \({QUERY}\)\. Give the model that they are differences to"),
        (put("model.extra", torch.zeros(2)), r"1 unexpected \(model\.extra\)"),
        (put(QUERY, torch.zeros(32, 64)), r"q_proj\.weight \(32, 64\) instead of \(64, 64\)"),
        (put("lm_head.weight", torch.zeros(999, 64)), r"lm_head\.weight \(999, 64\) instead of"),
    ],
)
def test_differences_to_another_model_are_refused(change: Change, sentence: str, words: Words, tmp_path: Path) -> None:
    whole = random_model(LLAVA_MED_1_0, words.size)
    write_model(tmp_path / "delta", LLAVA_MED_1_0, {name: 0.001 * tensor for name, tensor in whole.items()}, words)
    write_model(tmp_path / "llama", {}, without_projector(whole), words)
    edit_tensors(tmp_path / "llama" / WEIGHTS, change)
    refuse(sentence, folder=tmp_path / "delta", base=tmp_path / "llama")


# LoRA


def test_a_lora_folder_is_no_model(model: Path, lora: Path) -> None:
    refuse(r"lora is a LoRA folder\. Give the folder of the model .* and this one as --lora", folder=lora)
    (lora / "config.json").unlink()
    refuse(r"lora is a LoRA folder\. Give the folder of the model .* and this one as --lora", folder=lora)
    refuse(r"med has no adapter_config\.json\. Give a LoRA folder", folder=model, lora=model)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove(FACTOR), rf"1 missing \({FACTOR}\)\. Give the model that it was trained on"),
        (
            put(
                "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight", torch.zeros(8, 4)
            ),
            r"1 unexpected .*vision_tower",
        ),
        (put(f"{FACTOR[:-13]}lora_magnitude_vector", torch.zeros(8)), r"1 unexpected .*lora_magnitude_vector"),
        (put(FACTOR, torch.zeros(4, 64)), r"lora_A\.weight \(4, 64\) instead of \(8, 64\)"),
    ],
)
def test_every_factor_has_its_layer_and_every_layer_its_factors(
    change: Change, sentence: str, model: Path, lora: Path
) -> None:
    edit_tensors(lora / "adapter_model.safetensors", change)
    refuse(sentence, folder=model, lora=lora)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"r": 16}, "28 misshapen"),
        ({"target_modules": ["q_proj", "c_attn"]}, "The LoRA is on c_attn, which"),
        ({"target_modules": ".*proj"}, "target_modules: .* merge another kind"),
        ({"target_modules": ["q_proj"]}, "24 unexpected"),
        ({"peft_type": "IA3"}, "peft_type"),
        ({"bias": "all"}, "bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern"),
    ],
)
def test_other_kinds_of_lora_are_refused(changes: dict[str, object], sentence: str, model: Path, lora: Path) -> None:
    edit_json(lora / "adapter_config.json", **changes)
    refuse(sentence, folder=model, lora=lora)


def test_a_lora_without_its_files_is_refused(model: Path, lora: Path, words: Words, tmp_path: Path) -> None:
    (lora / "adapter_model.safetensors").unlink()
    refuse("lora has neither adapter_model.safetensors nor adapter_model.bin", folder=model, lora=lora)
    write_lora(tmp_path / "bare", MMEDAGENT, random_lora(MMEDAGENT), {})
    write_model(tmp_path / "one", LLAVA_MED_1_0, random_model(LLAVA_MED_1_0, words.size) | random_tower(), words)
    refuse(
        r"4 missing \(model\.mm_projector\.0\.bias.*2 unexpected .*has to hold its config\.json and non_lora",
        folder=tmp_path / "one",
        lora=tmp_path / "bare",
    )


def test_the_projector_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    wide = random_projector(LLAVA_MED_1_5 | {"hidden_size": 128})
    write_lora(tmp_path / "wide", LLAVA_MED_1_5, random_lora(LLAVA_MED_1_5), wide)
    refuse(r"4 misshapen .*mm_projector", folder=model, lora=tmp_path / "wide")


# Settings and tokenizer


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "llava_mpt"}, "med/config.json: model_type: .* can be converted"),
        ({"mm_projector_type": "mlp3x_gelu"}, "mm_projector_type"),
        ({"mm_patch_merge_type": "spatial_unpad"}, "mm_patch_merge_type"),
        ({"mm_vision_select_layer": None}, "mm_vision_select_layer"),
        ({"text_config": {}}, "in the format of transformers already"),
        ({"hidden_size": "wide"}, "describes no MistralConfig"),
        ({"num_hidden_layers": 3}, r"9 missing \(model\.layers\.2"),
    ],
)
def test_settings_that_transformers_does_not_compute_are_refused(
    changes: dict[str, object], sentence: str, model: Path
) -> None:
    edit_json(model / "config.json", **changes)
    refuse(sentence, folder=model)


def test_a_folder_without_settings_is_refused(model: Path) -> None:
    (model / "config.json").unlink()
    refuse("no readable med/config.json", folder=model)


def test_tokenizers_that_do_not_fit_are_refused(model: Path, words: Words, tmp_path: Path) -> None:
    (model / "added_tokens.json").write_text(json.dumps({"<a>": words.size + 1}))
    refuse("added_tokens.json does not go on from the", folder=model)
    (model / "added_tokens.json").write_text(json.dumps({"<a>": words.size, "<b>": words.size + 1}))
    refuse(f"The tokenizer has {words.size + 2} tokens and the model's vocabulary {words.size}", folder=model)
    (model / "added_tokens.json").unlink()
    (model / "tokenizer.model").write_bytes(learn_words([SYSTEM], size=300, kind="unigram").proto)
    refuse("tokenizer.model is not a byte-pair model like that of LLaMA", folder=model)
    (model / "tokenizer.model").write_bytes(b"nothing")
    refuse("tokenizer.model is not a readable SentencePiece model", folder=model)
    (model / "tokenizer.model").unlink()
    refuse("med has no tokenizer.model. Get it", folder=model)


def test_what_the_planner_does_otherwise_is_noted(words: Words, tmp_path: Path) -> None:
    write_model(tmp_path / "med", LLAVA_MED_1_0, random_model(LLAVA_MED_1_0, words.size) | random_tower(), words)
    pads, markers = Conversion(Originals(tmp_path / "med")).notes
    assert "pads them" in pads
    assert "<im_start>" in markers
    plain = COMMON | LLAVA_MED_1_5
    write_model(tmp_path / "plain", plain, random_model(plain, words.size) | random_tower(), words)
    assert Conversion(Originals(tmp_path / "plain")).notes == ()
