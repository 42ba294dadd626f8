"""Published checkpoints at full size are checked by names and shapes alone, and every kind of damage is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GroundingDinoConfig

from mmedagent.networks.architectures import Architecture, describe_clip, describe_grounding, describe_sam
from mmedagent.networks.checkpoints import CheckpointError
from mmedagent.networks.layouts import read_layout, read_sharded_layout, shard_files
from support.layout_files import (
    clip_shapes,
    grounding_shapes,
    grounding_shapes_on_disk,
    sam_shapes,
    write_archive,
    write_clip_settings,
    write_json,
    write_safetensors,
    write_shards,
)

Shapes = dict[str, tuple[int, ...]]
Writer = Callable[[Path, Shapes], Architecture]
PIN = "0" * 64


def medsam(folder: Path, shapes: Shapes) -> Architecture:
    write_archive(folder / "medsam_vit_b.pth", shapes)
    write_json(folder / "config.json", weights="medsam_vit_b.pth", sha256=PIN)
    return describe_sam(folder)


def biomedclip(folder: Path, shapes: Shapes) -> Architecture:
    write_clip_settings(folder)
    write_archive(folder / "open_clip_pytorch_model.bin", shapes)
    (folder / "open_clip_pytorch_model.bin.sha256").write_text(f"{PIN}  open_clip_pytorch_model.bin\n")
    return describe_clip(folder)


def biomedclip_safetensors(folder: Path, shapes: Shapes) -> Architecture:
    write_clip_settings(folder)
    write_safetensors(folder / "open_clip_model.safetensors", shapes)
    return describe_clip(folder)


def grounding(folder: Path, shapes: Shapes) -> Architecture:
    write_archive(folder / "slim.pth", shapes, under="model", prefix="module.")
    write_json(folder / "grounding.json", weights="slim.pth", sha256=PIN)
    return describe_grounding(folder)


def grounding_hugging_face(folder: Path, shapes: Shapes) -> Architecture:
    GroundingDinoConfig().save_pretrained(folder)
    write_safetensors(folder / "model.safetensors", shapes)
    return describe_grounding(folder)


LAYOUTS: dict[str, tuple[Writer, Callable[[], Shapes], str, int]] = {
    "MedSAM": (medsam, sam_shapes, "image_encoder.blocks.11.attn.rel_pos_h", 93_735_472),
    "BiomedCLIP": (biomedclip, clip_shapes, "visual.trunk.blocks.3.attn.qkv.weight", 195_902_721),
    "BiomedCLIP safetensors": (biomedclip_safetensors, clip_shapes, "text.proj.2.weight", 195_902_721),
    "Grounding DINO": (grounding, grounding_shapes, "transformer.encoder.text_layers.5.norm2.bias", 172_249_090),
    "Grounding DINO on disk": (
        grounding_hugging_face,
        grounding_shapes_on_disk,
        "model.encoder.layers.5.text_enhancer_layer.layer_norm_after.bias",
        172_249_090,
    ),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> tuple[Writer, Shapes, str, int]:
    writer, shapes, tensor, parameters = LAYOUTS[request.param]
    return writer, shapes(), tensor, parameters


def test_a_whole_file_fits(layout: tuple[Writer, Shapes, str, int], tmp_path: Path) -> None:
    writer, shapes, _, parameters = layout
    described = writer(tmp_path, shapes)
    assert described.fit() == len(shapes)
    [file] = described.files
    assert file.sha256 in (PIN, None)
    numbers = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert parameters <= numbers < 1.02 * parameters


@pytest.mark.parametrize("damage", ["missing", "extra", "reshaped", "cut short"])
def test_a_damaged_file_does_not(layout: tuple[Writer, Shapes, str, int], damage: str, tmp_path: Path) -> None:
    writer, shapes, tensor, _ = layout
    changed = {
        "missing": {name: shape for name, shape in shapes.items() if name != tensor},
        "extra": {**shapes, "stray.weight": (3,)},
        "reshaped": {**shapes, tensor: (7, *shapes[tensor][1:])},
        "cut short": shapes,
    }[damage]
    described = writer(tmp_path, changed)
    if damage == "cut short":
        path = described.files[0].path
        with path.open("rb+") as file:
            file.truncate(path.stat().st_size - 1000)
    words = {
        "missing": r"1 missing \(",
        "extra": r"1 unexpected \(stray\.weight\)",
        "reshaped": r"(1 misshapen|does not hold query)",
        "cut short": r"(cut short|not a readable)",
    }
    with pytest.raises(CheckpointError, match=words[damage]) as caught:
        described.fit()
    assert str(tmp_path) not in caught.value.detail
    if damage == "missing":
        assert tensor.rpartition(".")[0].rpartition(".")[2] in caught.value.detail


def test_the_numbers_are_not_read(tmp_path: Path) -> None:
    """The file is larger than any of its tensors' places on the disk: 1.4 GB of which almost nothing is stored."""
    shapes = {**sam_shapes(), "pixel_mean": (3, 1, 1)}
    big = {name: (*shape, 8) for name, shape in shapes.items()}
    write_safetensors(tmp_path / "model.safetensors", big)
    status = (tmp_path / "model.safetensors").stat()
    assert status.st_size > 1e9
    assert status.st_blocks * 512 < 1e6
    assert read_layout(tmp_path / "model.safetensors").keys() == big.keys()
    assert (tmp_path / "model.safetensors").stat().st_blocks * 512 < 1e6


def test_shards_and_their_index_must_agree(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    write_shards(tmp_path, {f"layer.{number}": (number, 2) for number in range(7)}, shards=3)
    assert {name: tuple(one.shape) for name, one in read_sharded_layout(index).items()}["layer.6"] == (6, 2)
    assert [path.name[-24:-12] for path in shard_files(index)] == ["001-of-00003", "002-of-00003", "003-of-00003"]
    places = json.loads(index.read_text())
    first, second = (path.name for path in shard_files(index)[:2])
    index.write_text(json.dumps({"weight_map": {**places["weight_map"], "layer.0": second}}))
    with pytest.raises(CheckpointError, match=rf"file {first}: 1 unexpected \(layer\.0\)"):
        read_sharded_layout(index)
    index.write_text(json.dumps(places))
    (tmp_path / second).unlink()
    with pytest.raises(CheckpointError, match=rf"{second} does not exist"):
        read_sharded_layout(index)


@pytest.mark.parametrize("place", ["../a.safetensors", "a.bin", 1])
def test_an_index_that_names_something_else_is_refused(place: object, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": place}}))
    with pytest.raises(CheckpointError, match="something else than safetensors"):
        read_sharded_layout(index)
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="has no weight_map"):
        read_sharded_layout(index)


def test_a_text_tower_without_its_tokenizer_does_not_fit(tmp_path: Path) -> None:
    described = biomedclip(tmp_path, clip_shapes())
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match="no tokenizer in the folder"):
        described.fit()


def test_a_folder_without_settings_is_refused(tmp_path: Path) -> None:
    describers: tuple[Callable[[Path], Any], ...] = (describe_sam, describe_clip, describe_grounding)
    for describe in describers:
        with pytest.raises(CheckpointError, match=r"config\.json"):
            describe(tmp_path)
