"""Original Grounding DINO checkpoints: the official names, what the original code computes, and every refusal."""

from __future__ import annotations

import argparse
import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmedagent.networks.checkpoints import CheckpointError
from mmedagent.networks.grounding import GroundingDino, caption_of, load_grounding
from mmedagent.networks.grounding_folder import GroundingFolder, build_network, fit_network, read_folder
from mmedagent.networks.grounding_original import UNREAD_NORM, convert, source_of
from mmedagent.networks.grounding_original import original_state as read
from support.original_grounding import (
    ARCHITECTURE,
    ORACLE,
    PROMPTS,
    official_shapes,
    original_shapes,
    original_state,
    picture,
    write_original,
)

QKV = "backbone.0.layers.2.blocks.1.attn.qkv.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return original_state()


@pytest.fixture(scope="module")
def detector(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> GroundingDino:
    return load_grounding(write_original(tmp_path_factory.mktemp("original"), {"model": state}))


def test_it_computes_what_the_original_code_computes(detector: GroundingDino) -> None:
    """The expected numbers are those of groundingdino-py 0.4.0, see `make_grounding_oracle`."""
    expected: dict[str, Any] = json.loads(ORACLE.read_text())
    caption = caption_of(detector.tokenizer, PROMPTS)
    with torch.inference_mode():
        found = detector.network(pixel_values=picture(), input_ids=caption.ids)

    assert caption.ids[0].tolist() == expected["input_ids"]
    logits, boxes = torch.tensor(expected["logits"]), torch.tensor(expected["boxes"])
    assert logits.std() > 1
    assert (boxes.std(dim=0) > 1e-3).all()
    torch.testing.assert_close(found.logits[0, :, : logits.shape[1]], logits, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found.pred_boxes[0], boxes, atol=1e-5, rtol=1e-4)


def test_the_official_names_and_shapes_are_those_of_the_network() -> None:
    official = official_shapes()
    tables = {name for name in official if name.endswith(".relative_position_index")}
    pooler = {name for name in official if name.startswith("bert.pooler.")}
    assert len(official) == 938
    assert original_shapes({}) == {name: official[name] for name in official.keys() - tables - pooler}


def test_every_tensor_has_a_source_of_its_own() -> None:
    with torch.device("meta"):
        names = [
            name for name in build_network({"model_type": "grounding-dino"}).state_dict() if name not in UNREAD_NORM
        ]
    assert len({source_of(name) for name in names}) == len(names) == 1044


def test_the_official_file_fits_on_the_meta_device() -> None:
    """With what it holds beside the network: tables, the pooler and a training aid."""
    with torch.device("meta"):
        network = build_network({"model_type": "grounding-dino"}).to("meta")
        file = {name: torch.empty(shape) for name, shape in official_shapes().items()}
        file |= {"label_enc.weight": torch.empty(2001, 256), "bert.embeddings.position_ids": torch.empty(1, 512)}
    converted = convert(file, network)
    own = network.state_dict()
    assert {name: tensor.shape for name, tensor in converted.items()} == {name: own[name].shape for name in own}


@pytest.mark.parametrize("wrapping", ["flat", "module", "namespace", "ordered"])
def test_the_ways_in_which_such_files_are_saved(
    wrapping: str, state: dict[str, Tensor], detector: GroundingDino, tmp_path: Path
) -> None:
    documents: dict[str, object] = {
        "flat": state,
        "module": {"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 5},
        "namespace": {"model": state, "args": argparse.Namespace(lr=1e-4, backbone="swin_T_224_1k")},
        "ordered": {"model": OrderedDict(state)},
    }
    loaded = load_grounding(write_original(tmp_path / "folder", documents[wrapping]))
    own = detector.network.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in loaded.network.state_dict().items())


def test_the_archives_of_old_torch_versions_are_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = write_original(tmp_path, {"model": state})
    torch.save({"model": state}, folder / "old.pth", _use_new_zipfile_serialization=False)
    assert read(folder / "old.pth", "meta").keys() == read(folder / "tiny.pth", "cpu").keys() == state.keys()


def test_it_detects_after_the_published_preparation(detector: GroundingDino) -> None:
    assert str(detector.preprocessing).startswith("RGB, bilinear resize to shortest side 800, at most 1333")
    small = replace(detector.preprocessing, shortest=64, longest=96)
    image = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    reader = GroundingDino(detector.network, detector.tokenizer, small, detector.sha256)
    [found] = reader.detect([image], [list(PROMPTS)], [0.0])
    assert len(found.boxes) > 0
    assert set(found.phrases) <= set(PROMPTS)
    assert not any(parameter.requires_grad for parameter in detector.network.parameters())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"transformer.level_embed": None}, r"1 missing \(transformer.level_embed\)"),
        ({"transformer.query_scale.weight": torch.zeros(2)}, r"1 unexpected \(transformer.query_scale.weight\)"),
        ({"feat_map.weight": torch.zeros(256, 47)}, r"text_projection.weight \(256, 47\) instead of \(256, 48\)"),
        ({QKV: torch.zeros(95, 32)}, rf"{QKV} \(95, 32\) does not hold query, key and value"),
        ({QKV: torch.zeros(93, 32)}, r"q_proj.weight \(31, 32\) instead of \(32, 32\)"),
        ({"bbox_embed.1.layers.2.bias": torch.ones(4)}, "do not share one box head: bbox_embed.1.layers.2.bias"),
    ],
    ids=["missing", "unexpected", "misshapen", "not in three", "in wrong thirds", "two heads"],
)
def test_a_state_that_does_not_fit_is_refused(
    damage: dict[str, Tensor | None], words: str, state: dict[str, Tensor]
) -> None:
    damaged = {name: value for name, value in {**state, **damage}.items() if value is not None}
    config = {**ARCHITECTURE, "model_type": "grounding-dino"}
    with pytest.raises(CheckpointError, match=words):
        fit_network(GroundingFolder(config, Path("tiny.pth"), None, original=True), damaged)


def test_another_file_than_the_pinned_one_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = write_original(tmp_path, {"model": state})
    (folder / "tiny.pth").write_bytes((folder / "tiny.pth").read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match="is not the pinned file"):
        load_grounding(folder)


@pytest.mark.parametrize(
    "document",
    [
        {"weights": "tiny.pth"},
        {"weights": "../tiny.pth", "sha256": "0" * 64},
        {"weights": "a", "sha256": "b", "architecture": 1},
    ],
)
def test_a_malformed_grounding_json_is_refused(document: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "grounding.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"grounding\.json"):
        load_grounding(tmp_path)


def test_a_file_with_other_objects_is_refused_unread(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = write_original(tmp_path, {"model": state, "hook": pytest.raises})
    with pytest.raises(CheckpointError, match="not a readable torch archive of plain tensors"):
        load_grounding(folder)


def test_a_file_that_is_cut_short_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = write_original(tmp_path, {"model": state})
    whole = (folder / "tiny.pth").read_bytes()
    (folder / "tiny.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="not a readable torch archive"):
        read(folder / "tiny.pth", "meta")


def test_the_default_architecture_does_not_fit_a_small_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    described = read_folder(write_original(tmp_path, {"model": state}, architecture=None))
    with pytest.raises(CheckpointError, match=r"\d+ missing \(backbone\.0\.layers\.0\.blocks\.1\."):
        fit_network(described, state, "meta")
