"""Folders of Grounding DINO in the Hugging Face layout: the names on disk, strictly, with and without a tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmedagent.networks.checkpoints import CheckpointError, save_fp16, sha256_file
from mmedagent.networks.grounding import caption_of, load_grounding
from mmedagent.networks.grounding_folder import build_network, own_state, read_tokenizer
from mmedagent.networks.minilm import MINILM_SHA256, load_minilm, minilm_folder
from support.original_grounding import ARCHITECTURE, PROMPTS, original_state, picture, write_original

WORDS = ("An enlarged Left liver-lobe", "effusion (pleural)")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model as `save_pretrained` writes it, without the norm that the official folder does not have either."""
    original = load_grounding(write_original(tmp_path_factory.mktemp("original"), {"model": original_state()}))
    folder = tmp_path_factory.mktemp("published")
    original.network.save_pretrained(folder)
    edit(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".layernorm." in name])
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(published, tmp_path / "folder"))


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def outputs(folder: Path) -> Tensor:
    detector = load_grounding(folder)
    ids = caption_of(detector.tokenizer, PROMPTS).ids
    with torch.inference_mode():
        found = detector.network(pixel_values=picture(), input_ids=ids)
    return torch.cat([found.logits[0, :, : ids.shape[1]], found.pred_boxes[0]], dim=1)


def test_the_names_on_disk_are_not_those_in_memory_and_load_all_the_same(published: Path, tmp_path: Path) -> None:
    names = load_file(published / "model.safetensors").keys()
    assert "model.backbone.conv_encoder.model.encoder.layers.0.blocks.0.attention.self.query.weight" in names
    expected = outputs(write_original(tmp_path / "original", {"model": original_state()}))
    assert torch.equal(outputs(published), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("model.level_embed"), r"1 missing \(model\.level_embed\)"),
        (lambda tensors: tensors.update(stray=torch.zeros(2)), r"1 unexpected \(stray\)"),
        (
            lambda tensors: tensors.update({"model.enc_output.bias": torch.zeros(3)}),
            r"1 misshapen \(model\.enc_output\.bias \(3,\) instead of \(256,\)\)",
        ),
    ],
    ids=["missing", "unexpected", "misshapen"],
)
def test_weights_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Tensor]], object], words: str, folder: Path
) -> None:
    edit(folder, change)
    with pytest.raises(CheckpointError, match=words):
        load_grounding(folder)


def test_another_model_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "detr"}))
    with pytest.raises(CheckpointError, match="does not describe a Grounding DINO"):
        load_grounding(folder)


def test_a_pin_in_the_config_is_kept(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    pinned = {**config, "weights_sha256": sha256_file(folder / "model.safetensors")}
    (folder / "config.json").write_text(json.dumps(pinned))
    assert load_grounding(folder).sha256 == pinned["weights_sha256"]
    (folder / "config.json").write_text(json.dumps({**pinned, "weights_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="not the pinned file"):
        load_grounding(folder)


def test_how_boxes_are_thinned_out_stands_in_the_config(folder: Path) -> None:
    assert load_grounding(folder).nms_iou == 0.8
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "nms_iou": 0.5}))
    assert load_grounding(folder).nms_iou == 0.5
    (folder / "config.json").write_text(json.dumps({**config, "nms_iou": 5}))
    with pytest.raises(CheckpointError, match="number from 0 to 1"):
        load_grounding(folder)


@pytest.mark.parametrize("values", [{"size": 256}, {"size": {"height": "tall"}}, {"image_mean": [0.5]}])
def test_a_preparation_that_makes_no_sense_is_refused(values: dict[str, object], folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="does not say how pixels are prepared"):
        load_grounding(folder)


def test_a_text_backbone_that_is_minilm_is_not_in_the_file(tmp_path: Path) -> None:
    text = {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
    config = {**ARCHITECTURE, "model_type": "grounding-dino", "text_config": {**text, "intermediate_size": 1536}}
    network = build_network(config)
    save_fp16(own_state(network.state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**config, "text_base": {"sha256": MINILM_SHA256}}))
    loaded = load_grounding(tmp_path).network.model.text_backbone.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in load_minilm().state_dict().items())
    (tmp_path / "config.json").write_text(json.dumps({**config, "text_base": {"sha256": "0" * 64}}))
    with pytest.raises(CheckpointError, match="is not MiniLM"):
        load_grounding(tmp_path)


def test_queries_may_start_as_proposals(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(folder, lambda tensors: tensors.pop("model.query_position_embeddings.weight"))
    (folder / "config.json").write_text(json.dumps({**config, "embedding_init_target": False}))
    found = outputs(folder)
    assert bool(found.isfinite().any(dim=1).all())
    assert found.shape == outputs(folder).shape


def test_a_vocabulary_alone_makes_the_same_tokens(tmp_path: Path) -> None:
    expected = caption_of(read_tokenizer(tmp_path), WORDS)
    for name in ("vocab.txt", "tokenizer.json"):
        own = tmp_path / name.split(".")[0]
        own.mkdir()
        shutil.copy(minilm_folder() / name, own)
        assert torch.equal(caption_of(read_tokenizer(own), WORDS).ids, expected.ids)


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n.\n?\n")
    with pytest.raises(CheckpointError, match="BERT base uncased"):
        read_tokenizer(tmp_path)
