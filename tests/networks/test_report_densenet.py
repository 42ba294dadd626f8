"""The classifier of ChatCAD: its checkpoint layout loads strictly, and images are prepared as by its own code."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mmedagent.networks.checkpoints import sha256_file
from mmedagent.networks.report_densenet import FINDINGS, SIDE, ChatCadClassifier, load_chatcad_classifier, prepare
from mmedagent.protocol.errors import CheckpointError


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Random tensors in the published layout, with the modules that its settings leave unused."""
    torch.manual_seed(0)
    state = dict(ChatCadClassifier().state_dict())
    for name, shape in {"fc1": (512, 1024), "fc2": (1024, 512)}.items():
        state[f"attention_map.channel_attention.{name}.weight"] = torch.zeros(shape)
        state[f"attention_map.channel_attention.{name}.bias"] = torch.zeros(shape[0])
    for name, outer in {"conv1": 128, "conv2": 128, "conv3": 1024}.items():
        state[f"attention_map.spatial_attention.{name}.weight"] = torch.zeros(outer, 1024, 1, 1)
        state[f"attention_map.spatial_attention.{name}.bias"] = torch.zeros(outer)
    state["attention_map.spatial_attention.gamma"] = torch.zeros(1)
    return state


def saved(state: dict[str, Tensor], folder: Path) -> tuple[Path, str]:
    path = folder / "JFchexpert.pth"
    torch.save(state, path)
    return path, sha256_file(path)


def test_the_layout_has_the_published_names(published: dict[str, Tensor]) -> None:
    assert published["backbone.features.denseblock3.denselayer24.conv2.weight"].shape == (32, 128, 3, 3)
    assert published["backbone.features.conv0.weight"].shape == (64, 3, 7, 7)
    assert published["backbone.classifier.weight"].shape == (1000, 1024)
    assert published["attention_map.pyramid_attention.gap_branch.1.conv.0.weight"].shape == (1024, 1024, 1, 1)
    assert published["attention_map.pyramid_attention.downsample1.conv.0.weight"].shape == (1, 1024, 7, 7)
    assert published["fc_4.weight"].shape == (1, 2048, 1, 1)
    assert published["bn_0.running_var"].shape == (2048,)


def test_a_pinned_archive_loads_and_answers(published: dict[str, Tensor], tmp_path: Path) -> None:
    network = load_chatcad_classifier(*saved(published, tmp_path))
    frame = np.random.default_rng(0).integers(0, 256, (70, 50), dtype=np.uint8)
    with torch.inference_mode():
        logits = network(torch.from_numpy(prepare(frame))[None])
    assert logits.shape == (1, len(FINDINGS))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("key", ["fc_2.bias", "attention_map.pyramid_attention.scale3.conv.0.bias", "another.weight"])
def test_what_is_missing_or_unknown_is_refused(published: dict[str, Tensor], tmp_path: Path, key: str) -> None:
    state = dict(published)
    if state.pop(key, None) is None:
        state[key] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=key):
        load_chatcad_classifier(*saved(state, tmp_path))


def test_an_archive_needs_its_pin(published: dict[str, Tensor], tmp_path: Path) -> None:
    path, _ = saved(published, tmp_path)
    with pytest.raises(CheckpointError, match="not the pinned file"):
        load_chatcad_classifier(path, "0" * 64)


@pytest.mark.parametrize("shape", [(300, 200), (100, 640), (1, 40), (1, 1), (600, 600)])
def test_images_are_prepared_as_by_opencv(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(40, 200, (8, 8), dtype=np.uint8)
    grey = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).reshape(shape)
    soft = cv2.GaussianBlur(cv2.equalizeHist(grey), (3, 3), 0).reshape(shape)
    ratio = SIDE / max(shape)
    size = (max(1, round(shape[1] * ratio)), max(1, round(shape[0] * ratio)))
    whole = np.full((SIDE, SIDE), 128, np.float32)
    whole[: size[1], : size[0]] = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR).reshape(size[::-1])
    difference = np.abs(prepare(grey) * 64 + 128 - whole)
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_a_colour_frame_is_made_grey() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (40, 40), dtype=np.uint8)
    np.testing.assert_array_equal(prepare(np.repeat(grey[..., None], 3, axis=2)), prepare(grey))
