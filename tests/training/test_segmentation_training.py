"""The training of the segmentation network: it computes what the network computes, and what it writes loads again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmedagent.networks.sam import MedSam, SamConfig, build_sam, load_sam, prepare
from mmedagent.training import refinement
from mmedagent.training.feed import batches
from mmedagent.training.segmentation import decode, export
from mmedagent.training.segmentation_data import sample_of
from training.small_pool import write_small_pool

CPU = torch.device("cpu")


@pytest.mark.parametrize("first_guess", [True, False])
@pytest.mark.parametrize("trunk", [(), (4, 8, 8, 8)])
def test_a_step_of_training_decodes_as_the_network_does_at_run_time(first_guess: bool, trunk: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    config = SamConfig(32, 8, 16, 2, 2, 2, (1,), 16, 32, trunk, first_guess)
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
    export(build_sam(config).state_dict(), config, tmp_path)
    assert load_sam(tmp_path).config == config


def test_a_refiner_is_learnt_on_top_of_a_network_that_stays_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = SamConfig(256, 32, 16, 1, 2, 2, (0,), 16, 32, first_guess=True)
    export(build_sam(config).state_dict(), config, tmp_path)
    sam, refined = refinement.start(tmp_path)
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    sample = sample_of(next(batches(write_small_pool(tmp_path, ("ct",)), {"ct": 1.0}, 2, seed=0)), CPU, 2)
    optimizer = torch.optim.AdamW(sam.refiner.parameters(), 3e-3)
    totals = []
    for _ in range(12):
        optimizer.zero_grad()
        total = torch.stack(list(refinement.losses_of(sam, refined, sample).values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        totals.append(total.item())
    assert min(totals[-3:]) < 0.9 * totals[0]
    assert {name.split(".")[0] for name, value in sam.state_dict().items() if not torch.equal(value, before[name])} == {
        "refiner"
    }
    export(sam.state_dict(), refined, tmp_path)
    assert load_sam(tmp_path).config.refiner == refinement.WIDTHS
    again, _ = refinement.start(tmp_path)
    torch.testing.assert_close(again.state_dict(), sam.state_dict(), atol=1e-3, rtol=1e-3)
