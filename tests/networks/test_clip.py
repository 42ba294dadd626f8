"""The BiomedCLIP folder: read offline, strictly, and equal to what open_clip itself computes."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers.models.bert.configuration_bert import BertConfig

from mmedagent.networks.checkpoints import CheckpointError, load_state, save_fp16, sha256_file
from mmedagent.networks.clip import CONFIG_FILE, TEXT_PREFIX, build_network, load_clip, text_config
from mmedagent.networks.minilm import MINILM_SHA256, minilm_folder

HUB_NAME = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
OFFICIAL: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 160,
        },
        "text_cfg": {
            "hf_model_name": HUB_NAME,
            "hf_tokenizer_name": HUB_NAME,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        },
    },
    "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]},
}
BERT = BertConfig(vocab_size=30522, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=96)
TEXTS = ["chest X-ray", "this is a photo of an MRI of the brain, with many words on what can be seen in it", "CT"]

_network_is_blocked = False


def _refuse_connections(event: str, _: object) -> None:
    if _network_is_blocked and event in {"socket.connect", "socket.getaddrinfo"}:
        raise PermissionError(f"{event} while loading a checkpoint")


sys.addaudithook(_refuse_connections)


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    global _network_is_blocked
    _network_is_blocked = True
    yield
    _network_is_blocked = False


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, file for file like the published BiomedCLIP folder."""
    folder = tmp_path_factory.mktemp("official")
    (folder / CONFIG_FILE).write_text(json.dumps(OFFICIAL))
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(minilm_folder() / name, folder)
    torch.manual_seed(0)
    state = build_network(OFFICIAL, BERT).state_dict()
    state[f"{TEXT_PREFIX}embeddings.position_ids"] = torch.arange(512)[None]
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    return folder


def pin(folder: Path) -> str:
    return sha256_file(folder / "open_clip_pytorch_model.bin")


def pictures() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (90, 130), np.uint8),
        rng.integers(0, 256, (200, 170, 3), np.uint8),
    ]


def test_official_folder_computes_what_open_clip_computes(official: Path, tmp_path: Path) -> None:
    model = load_clip(official, pin(official))

    BERT.save_pretrained(tmp_path)
    text = {**OFFICIAL["model_cfg"]["text_cfg"], "hf_model_name": str(tmp_path), "hf_model_pretrained": False}
    oracle, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{official}", text_cfg=text)
    tokens = open_clip.get_tokenizer(f"local-dir:{official}")(TEXTS)
    oracle.eval()
    with torch.inference_mode():
        pixels = torch.stack([prepare(Image.fromarray(picture).convert("RGB")) for picture in pictures()])
        images = oracle.encode_image(pixels, normalize=True).numpy()
        texts = oracle.encode_text(tokens, normalize=True).numpy()

    assert tokens.shape == (3, 256)
    np.testing.assert_allclose(model.encode_images(pictures()), images, atol=1e-5)
    np.testing.assert_allclose(model.encode_texts(TEXTS), texts, atol=1e-5)
    assert model.logit_scale == pytest.approx(float(oracle.logit_scale.detach().exp()))
    assert model.checkpoint_sha256 == pin(official)
    assert model.preprocessing.startswith("RGB, shortest resize to 160, bicubic")


def test_vectors_have_unit_length_and_the_order_of_the_input(official: Path) -> None:
    model = load_clip(official, pin(official))
    together = model.encode_texts(TEXTS)
    alone = np.concatenate([model.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(model.encode_images(pictures()), axis=1), 1, atol=1e-5)
    assert model.encode_images([]).shape == (0, 32)
    assert model.encode_texts([]).shape == (0, 32)


def test_text_tower_is_read_off_the_weights_unless_a_side_folder_describes_it(official: Path, tmp_path: Path) -> None:
    state = load_state(official / "open_clip_pytorch_model.bin", pin(official))
    inferred = text_config(official, state)
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
        assert getattr(inferred, name) == getattr(BERT, name)
    other = BertConfig(**{**BERT.to_dict(), "num_attention_heads": 2})
    other.save_pretrained(tmp_path / "text_config")
    assert text_config(tmp_path, state).num_attention_heads == 2


def test_torch_archive_is_read_only_when_pinned(official: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(official, tmp_path / "copy")
    with pytest.raises(CheckpointError, match="pinned sha256"):
        load_clip(folder)
    sidecar = folder / "open_clip_pytorch_model.bin.sha256"
    sidecar.write_text(f"{pin(folder)}  open_clip_pytorch_model.bin\n")
    assert load_clip(folder).checkpoint_sha256 == pin(folder)
    sidecar.write_text(f"{'0' * 64}  open_clip_pytorch_model.bin\n")
    with pytest.raises(CheckpointError, match="not the pinned file"):
        load_clip(folder)


def test_keys_are_strict(official: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(official, tmp_path / "copy")
    weights = folder / "open_clip_pytorch_model.bin"
    state = load_state(weights, pin(folder))
    torch.save({name: value for name, value in state.items() if name != "logit_scale"}, weights)
    with pytest.raises(CheckpointError, match="logit_scale"):
        load_clip(folder, pin(folder))
    torch.save({**state, "visual.extra": torch.zeros(1)}, weights)
    with pytest.raises(CheckpointError, match=r"visual\.extra"):
        load_clip(folder, pin(folder))


def test_a_vocabulary_alone_makes_the_same_tokens(official: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(official, tmp_path / "copy")
    (folder / "tokenizer.json").unlink()
    full, plain = load_clip(official, pin(official)), load_clip(folder, pin(folder))
    np.testing.assert_array_equal(full.encode_texts(TEXTS), plain.encode_texts(TEXTS))
    (folder / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match="no tokenizer"):
        load_clip(folder, pin(folder))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no model_cfg"),
        ({"model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": 2}, "text_cfg": {}}}, "timm vision tower"),
        ({**OFFICIAL, "text_base": {"sha256": "0" * 64}}, "text base"),
        (
            {"model_cfg": {**OFFICIAL["model_cfg"], "vision_cfg": {"timm_model_name": "no_such_net"}}},
            "no network that open_clip can build",
        ),
    ],
)
def test_unfit_configurations_are_named(official: Path, tmp_path: Path, config: object, message: str) -> None:
    folder = shutil.copytree(official, tmp_path / "copy")
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_clip(folder, pin(folder))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=CONFIG_FILE):
        load_clip(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(OFFICIAL))
    with pytest.raises(CheckpointError, match="no weights"):
        load_clip(tmp_path)


def test_weights_join_their_text_base_strictly(tmp_path: Path) -> None:
    text = {**OFFICIAL["model_cfg"]["text_cfg"], "hf_pooler_type": "mean_pooler", "hf_proj_type": "linear"}
    config = {
        "model_cfg": {**OFFICIAL["model_cfg"], "text_cfg": text},
        "preprocess_cfg": {"resize_mode": "squash"},
        "text_base": {"sha256": MINILM_SHA256},
    }
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    base = BertConfig(**json.loads((minilm_folder() / "config.json").read_text("utf-8")))
    own = {
        name: value
        for name, value in build_network(config, base).state_dict().items()
        if not name.startswith(TEXT_PREFIX)
    }
    save_fp16(own, tmp_path / "model.safetensors")

    model = load_clip(tmp_path)
    words = load_file(minilm_folder() / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(model.network.text.transformer.embeddings.word_embeddings.weight, words)
    assert model.encode_texts(["an image"]).shape == (1, 32)
    assert model.prepare(pictures()[0]).shape == (3, 160, 160)

    save_fp16({**own, f"{TEXT_PREFIX}embeddings.word_embeddings.weight": words[:1]}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="of its text base"):
        load_clip(tmp_path)
    save_fp16({name: value for name, value in own.items() if "proj" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"text\.proj"):
        load_clip(tmp_path)
