"""The shipped segmentation checkpoint: it segments held-out phantoms, and shuffled weights do not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmedagent.networks.sam import MedSam, SamConfig, build_sam, load_sam, prepare
from mmedagent.training.phantoms import KINDS
from mmedagent.training.segmentation import decode, export
from mmedagent.training.segmentation_data import Stream, box_of, jitter
from mmedagent.training.segmentation_scores import by_network, score, shuffle_weights

SHIPPED = Path(__file__).parents[2] / "models" / "segmentation"
LEAST_DICE = 0.70


def test_box_prompts_on_held_out_phantoms_and_shuffled_weights_far_below() -> None:
    torch.set_num_threads(1)
    shipped, shuffled = load_sam(SHIPPED), load_sam(SHIPPED)
    shuffle_weights(shuffled.sam, seed=0)

    mean, chance = (float(np.mean([score(by_network(net), kind, 4) for kind in KINDS])) for net in (shipped, shuffled))

    assert mean >= LEAST_DICE
    assert chance < mean - 0.3


@pytest.mark.parametrize("first_guess", [True, False])
def test_a_step_of_training_decodes_as_the_network_does_at_run_time(first_guess: bool) -> None:
    torch.manual_seed(0)
    config = SamConfig(32, 8, 16, 2, 2, 2, (1,), 16, 32, first_guess)
    network = MedSam(build_sam(config), config, "")
    boxes = torch.tensor([[0.1, 0.2, 0.6, 0.9], [0.3, 0.3, 0.8, 0.7]])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)

    with torch.no_grad():
        images = torch.cat([prepare(image, 32) for image in pixels])
        logits, quality = decode(network.sam, config, images, boxes.repeat(2, 1), None)

    for index, image in enumerate(pixels):
        alone, scores = network.logits(network.embed(image), boxes=boxes.numpy())
        torch.testing.assert_close(logits[2 * index : 2 * index + 2], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(quality[2 * index : 2 * index + 2], scores, atol=1e-5, rtol=1e-4)


def test_an_exported_network_loads_again(tmp_path: Path) -> None:
    config = SamConfig(32, 8, 16, 1, 2, 2, (0,), 16, 32)
    export(build_sam(config), config, tmp_path)
    assert load_sam(tmp_path).config == config


def test_training_samples_hold_prompts_for_their_objects() -> None:
    stream = iter(Stream(seed=5, size=64, prompts=3))
    for _ in range(6):
        sample = next(stream)
        assert sample.image.shape == (3, 64, 64)
        assert 0 <= float(sample.image.min()) <= float(sample.image.max()) <= 1
        assert sample.masks.shape == (3, 32, 32)
        assert bool((sample.boxes[:, :2] < sample.boxes[:, 2:]).all())
        for mask, points in zip(sample.masks, sample.points, strict=True):
            x, y = (points[0, :2] * 32).long().tolist()
            assert mask[y, x] > 0


@pytest.mark.parametrize("most", [0.0, 0.15])
def test_jittered_boxes_stay_near_the_object(most: float) -> None:
    mask = np.zeros((40, 80), np.bool_)
    mask[10:20, 20:60] = True
    box = box_of(mask)
    np.testing.assert_allclose(box, [0.25, 0.25, 0.75, 0.5])
    moved = jitter(box, np.random.default_rng(0), most)
    assert np.abs(moved - box).max() <= most * 0.5 + 1e-6
