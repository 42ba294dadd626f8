"""Checkpoint files: safetensors and pinned torch archives in, fp16 out, strict keys and shapes."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from mmedagent.networks.checkpoints import CheckpointError, load_state, load_strict, save_fp16, sha256_file


def small_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def test_fp16_round_trip_restores_the_network(tmp_path: Path) -> None:
    source, target = small_network(0).eval(), small_network(1).eval()
    digest = save_fp16(source, tmp_path / "model.safetensors")

    state = load_state(tmp_path / "model.safetensors", digest)
    load_strict(target, state)

    assert state["0.weight"].dtype == torch.float16
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert next(target.parameters()).dtype == torch.float32
    pixels = torch.randn(3, 4)
    torch.testing.assert_close(target(pixels), source(pixels), atol=2e-3, rtol=2e-3)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    digest = save_fp16(small_network(0), path)
    save_fp16(small_network(1), path)
    with pytest.raises(CheckpointError, match="not the pinned file"):
        load_state(path, digest)


def test_torch_archive_needs_a_pinned_hash(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(small_network(0).state_dict(), path)
    with pytest.raises(CheckpointError, match="pinned sha256"):
        load_state(path)
    assert load_state(path, sha256_file(path))["0.weight"].shape == (8, 4)


def test_code_in_a_torch_archive_is_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class MakesAFolder:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(witness),)

    path = tmp_path / "model.pth"
    torch.save({"weight": MakesAFolder()}, path)
    with pytest.raises(CheckpointError, match="plain tensors"):
        load_state(path, sha256_file(path))
    assert not witness.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=name):
        load_state(path, sha256_file(path))


def test_missing_file_and_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_state(tmp_path / "model.safetensors")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match="unknown checkpoint format"):
        load_state(tmp_path / "model.onnx")


def test_strict_loading_names_missing_unexpected_and_misshapen_keys() -> None:
    network = small_network(0)
    state = dict(network.state_dict())
    state["head.weight"] = state.pop("2.weight")
    with pytest.raises(CheckpointError, match=r"1 missing \(2\.weight\); 1 unexpected \(head\.weight\)"):
        load_strict(network, state)
    with pytest.raises(CheckpointError, match=r"0\.bias \(3,\) instead of \(8,\)"):
        load_strict(network, {**network.state_dict(), "0.bias": torch.zeros(3)})


def test_values_beyond_fp16_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="fp16"):
        save_fp16({"weight": torch.tensor([1e6])}, tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
