"""SAM: the official file format, parity with segment_anything, MedSAM's preparation, prompts and errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from mmedagent.networks.checkpoints import load_strict, save_fp16, sha256_file
from mmedagent.networks.sam import MedSam, SamConfig, build_sam, load_sam, prepare
from mmedagent.networks.sam_guess import first_guess
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError

TINY = SamConfig(64, 8, 32, 2, 2, 4, (1,), 32, 64)
BOXES = np.array([[0.1, 0.2, 0.7, 0.8], [0.5, 0.5, 0.9, 1.0], [0, 0, 1, 1]] * 3, np.float32)


def random_state(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = build_sam(TINY).state_dict()
    return {key: value + 0.05 * torch.randn(value.shape) for key, value in state.items()}


def write_folder(folder: Path, weights: str, sha256: str, architecture: dict[str, Any] | None) -> Path:
    document: dict[str, Any] = {"weights": weights, "sha256": sha256}
    if architecture is not None:
        document["architecture"] = architecture
    (folder / "config.json").write_text(json.dumps(document))
    return folder


def official_folder(folder: Path) -> Path:
    """A checkpoint as MedSAM is published: a `.pth` of `sam.state_dict()`."""
    torch.save(random_state(0), folder / "medsam_tiny.pth")
    return write_folder(folder, "medsam_tiny.pth", sha256_file(folder / "medsam_tiny.pth"), TINY.to_json())


def picture(height: int = 50, width: int = 80) -> np.ndarray:
    return np.random.default_rng(1).integers(20, 200, (height, width), dtype=np.uint8)


@pytest.fixture
def network(tmp_path: Path) -> MedSam:
    return load_sam(official_folder(tmp_path))


def test_official_pth_gives_the_output_of_segment_anything(network: MedSam) -> None:
    oracle = build_sam(TINY)
    oracle.load_state_dict(random_state(0))
    pixels = picture()
    record = {
        "image": prepare(pixels, 64)[0],
        "boxes": torch.from_numpy(BOXES) * 64,
        "original_size": (64, 64),
    }
    expected = oracle([record], multimask_output=False)[0]

    embedding = network.embed(pixels)
    logits, scores = network.logits(embedding, boxes=BOXES)
    masks, _ = network.segment(embedding, (64, 64), boxes=BOXES)

    torch.testing.assert_close(logits, expected["low_res_logits"][:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scores, expected["iou_predictions"][:, 0], atol=1e-5, rtol=1e-4)
    assert (masks == expected["masks"][:, 0].numpy()).mean() > 0.9999


def test_the_published_vit_b_layout_fits_without_a_missing_or_unexpected_key() -> None:
    with torch.device("meta"):
        official = sam_model_registry["vit_b"]()
        ours = build_sam(SamConfig())
    published = {key: tuple(value.shape) for key, value in official.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == published
    load_strict(ours, official.state_dict())
    assert sum(value.numel() for value in official.state_dict().values()) > 93_000_000


def test_a_folder_without_architecture_is_vit_b(tmp_path: Path) -> None:
    official_folder(tmp_path)
    write_folder(tmp_path, "medsam_tiny.pth", sha256_file(tmp_path / "medsam_tiny.pth"), None)
    with pytest.raises(CheckpointError, match=r"image_encoder.blocks.10"):
        load_sam(tmp_path)


def test_fp16_safetensors_segment_like_the_original(tmp_path: Path, network: MedSam) -> None:
    sha256 = save_fp16(network.sam, tmp_path / "model.safetensors")
    half = load_sam(write_folder(tmp_path, "model.safetensors", sha256, TINY.to_json()))
    assert half.sha256 == sha256
    (a, _), (b, _) = (net.segment(net.embed(picture()), (50, 80), boxes=BOXES) for net in (network, half))
    assert (a == b).mean() > 0.99


def test_medsam_preparation_stretches_and_scales_to_the_unit_range() -> None:
    grey = picture()
    prepared = prepare(grey, 64)
    assert prepared.shape == (1, 3, 64, 64)
    assert float(prepared.min()) == 0.0
    assert float(prepared.max()) == 1.0
    torch.testing.assert_close(prepare(np.repeat(grey[..., None], 3, axis=2), 64), prepared)
    assert not prepare(np.full((9, 9), 77, np.uint8), 64).any()


@pytest.mark.parametrize("shape", [(8,), (8, 8, 4), (0, 8), (2, 2, 2, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an image is"):
        prepare(np.zeros(shape, np.uint8), 64)


def test_one_mask_a_box_and_one_for_all_points(network: MedSam) -> None:
    embedding = network.embed(picture())
    points = np.array([[0.2, 0.3, 1], [0.6, 0.6, 1], [0.9, 0.1, 0]], np.float32)
    for boxes, clicks, count in ((BOXES, None, 9), (None, points, 1), (BOXES[:1], points, 1)):
        masks, scores = network.segment(embedding, (50, 80), boxes=boxes, points=clicks)
        assert masks.shape == (count, 50, 80)
        assert masks.dtype == np.bool_
        assert scores.shape == (count,)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_boxes_decoded_in_chunks_equal_boxes_decoded_alone(network: MedSam) -> None:
    embedding = network.embed(picture())
    together, _ = network.logits(embedding, boxes=BOXES)
    alone = torch.cat([network.logits(embedding, boxes=box[None])[0] for box in BOXES])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("boxes", "points"),
    [
        (None, None),
        (np.zeros((0, 4)), None),
        (np.zeros((1, 3)), None),
        (np.array([[0.5, 0.1, 0.4, 0.9]]), None),
        (np.array([[0.1, 0.1, 0.4, 1.2]]), None),
        (np.array([[0.1, 0.1, 0.4, np.nan]]), None),
        (None, np.array([[0.5, 0.5, 2]])),
        (None, np.array([[-0.1, 0.5, 1]])),
        (None, np.array([[0.5, 0.5]])),
        (BOXES[:2], np.array([[0.5, 0.5, 1]])),
    ],
)
def test_prompts_that_show_nothing_are_refused(
    network: MedSam, boxes: np.ndarray | None, points: np.ndarray | None
) -> None:
    with pytest.raises(InvalidParametersError):
        network.segment(network.embed(picture()), (50, 80), boxes=boxes, points=points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"weights": "../model.safetensors", "sha256": "0"}', "needs"),
        ('{"weights": "model.safetensors"}', "needs"),
        ('{"weights": "m.safetensors", "sha256": "0", "architecture": {"deep": 3}}', "unknown SAM sizes"),
        ('{"weights": "m.safetensors", "sha256": "0", "architecture": {"depth": "3"}}', "whole numbers"),
        ('{"weights": "m.safetensors", "sha256": "0", "architecture": {"refiner": [12]}}', "multiples of 8"),
        ('{"weights": "m.safetensors", "sha256": "0", "architecture": {"refiner": 16}}', "multiples of 8"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_sam(tmp_path)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        load_sam(tmp_path)


def test_the_first_guess_finds_a_bright_object_in_a_box_and_around_a_point() -> None:
    disc = (np.hypot(*(np.mgrid[0:64, 0:64] - 30)) < 12).astype(np.float32)
    planes = torch.from_numpy(0.3 + 0.5 * disc).expand(1, 3, 64, 64)
    box = torch.tensor([[0.25, 0.22, 0.7, 0.72]])
    inside, outside = torch.tensor([[[0.48, 0.48, 1.0]]]), torch.tensor([[[0.9, 0.9, 0.0]]])
    for boxes, points in ((box, None), (None, torch.cat([inside, outside], dim=1)), (box, inside)):
        guess = first_guess(planes, boxes, points)
        assert guess.shape == (1, 1, 64, 64)
        found = (guess[0, 0] > 1).numpy()
        assert (found == (disc > 0)).mean() > 0.98
    with pytest.raises(ValueError, match="boxes or points"):
        first_guess(planes, None, None)


def test_a_network_with_a_first_guess_segments_by_box_and_by_point() -> None:
    config = SamConfig(64, 8, 32, 1, 2, 4, (0,), 32, 64, first_guess=True)
    network = MedSam(build_sam(config), config, "")
    embedding = network.embed(picture())
    point = np.array([[0.5, 0.5, 1]], np.float32)
    for boxes, points, count in ((BOXES, None, 9), (None, point, 1), (BOXES[:1], point, 1)):
        assert network.segment(embedding, (50, 80), boxes=boxes, points=points)[0].shape == (count, 50, 80)
