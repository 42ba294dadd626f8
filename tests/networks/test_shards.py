"""Weights in several files, read and written without ever holding more than one file's worth."""

from __future__ import annotations

import json
import resource
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmedagent.networks.checkpoints import CheckpointError
from mmedagent.networks.layouts import read_sharded_layout
from mmedagent.networks.shards import Piece, StoredTensors, find_weights
from mmedagent.networks.shards import write_shards as write
from support.layout_files import write_shards as write_holes

MIB = 1 << 20


def piece(number: int) -> Piece:
    return Piece(f"t{number}", 4 * number, partial(torch.full, (number,), float(number)))


def test_files_are_bounded_and_their_index_names_everything(tmp_path: Path) -> None:
    advanced: list[int] = []
    files = write(tmp_path, [piece(number) for number in range(1, 9)], advanced.append, limit=40)
    assert [path.name for path in files] == [f"model-0000{place}-of-00005.safetensors" for place in range(1, 6)]
    assert advanced == [4 * number for number in range(1, 9)]
    assert [sum(4 * len(one) for one in load_file(path).values()) for path in files] == [40, 20, 24, 28, 32]
    index = tmp_path / "model.safetensors.index.json"
    assert json.loads(index.read_text())["metadata"] == {"total_size": 144}
    shapes = {name: tuple(tensor.shape) for name, tensor in read_sharded_layout(index).items()}
    assert shapes == {f"t{number}": (number,) for number in range(1, 9)}
    assert find_weights(tmp_path) == index
    stored = StoredTensors(index)
    for number in (8, 1, 5, 2):
        assert torch.equal(stored.read(f"t{number}"), torch.full((number,), float(number)))


def test_little_goes_into_one_file_without_an_index(tmp_path: Path) -> None:
    assert write(tmp_path, [piece(3)]) == [tmp_path / "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_tensor_that_is_in_an_archive_twice_is_written_twice(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    torch.save({"embed": tied, "head": tied, "turned": tied.T}, tmp_path / "pytorch_model.bin")
    found = find_weights(tmp_path)
    assert found == tmp_path / "pytorch_model.bin"
    stored = StoredTensors(found)
    write(tmp_path, [Piece(name, 24, partial(stored.read, name)) for name in stored.layout])
    written = load_file(tmp_path / "model.safetensors")
    assert torch.equal(written["head"], tied)
    assert torch.equal(written["turned"], tied.T)


def test_a_model_is_copied_in_the_memory_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    write_holes(tmp_path / "from", {f"t{number}": (4096, 4096) for number in range(12)}, shards=6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stored = StoredTensors(tmp_path / "from" / "model.safetensors.index.json")
    pieces = [Piece(name, 32 * MIB, partial(stored.read, name)) for name in stored.layout]
    files = write(tmp_path / "to", pieces, limit=64 * MIB)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert sum(path.stat().st_size for path in files) > 384 * MIB
    assert grown < 250 * MIB


def test_an_index_of_archives_names_archives(tmp_path: Path) -> None:
    torch.save({"t": torch.zeros(2)}, tmp_path / "a.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"t": "a.bin"}}))
    assert list(StoredTensors(index).layout) == ["t"]
    index.write_text(json.dumps({"weight_map": {"t": "a.safetensors"}}))
    with pytest.raises(CheckpointError, match="something else than bin files"):
        StoredTensors(index)


def test_a_folder_without_weights_has_none(tmp_path: Path) -> None:
    assert find_weights(tmp_path) is None
