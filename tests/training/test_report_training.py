"""Training of the report networks: what they are shown is true, and a run can be stopped and continued."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from mmedagent.networks.report_checkpoint import load_report_networks
from mmedagent.networks.report_classifier import FINDINGS, ClassifierConfig
from mmedagent.networks.report_generator import PAD, UNKNOWN, sentences_of, special_id
from mmedagent.training import report
from mmedagent.training.phantoms.base import Report
from mmedagent.training.report_augment import augmented, framed
from mmedagent.training.report_data import HELD_OUT, Samples, Shelf, Stream, is_frontal_chest, phantom_of, sample_of
from mmedagent.training.report_learner import Learner, generator_config
from mmedagent.training.report_text import LENGTH, build_tokenizer, encoded


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_tokenizer()


def test_samples_say_what_is_in_the_phantom(tokenizer: Tokenizer) -> None:
    kinds = set()
    for seed in range(30):
        phantom = phantom_of(seed)
        sample = sample_of(phantom, 64, tokenizer)
        assert sample.images.shape == (64, 64)
        assert sample.labels[-1] == is_frontal_chest(phantom)
        assert not sample.labels[-1] or [
            name for name, there in zip(FINDINGS, sample.labels, strict=False) if there
        ] == list(phantom.findings)
        assert sample.labels[-1] or not (sample.labels.any() or sample.maps.any() or sample.tokens.any())
        assert all(sample.labels[place] or not sample.maps[place].any() for place in range(len(FINDINGS)))
        kinds.add((phantom.modality, phantom.anatomy))
        if phantom.report is not None:
            assert special_id(tokenizer, UNKNOWN) not in sample.tokens
            words = tokenizer.decode(sample.tokens.tolist(), skip_special_tokens=True)
            both = f"{phantom.report.findings} {phantom.report.impression}"
            assert " ".join(sentences_of(words)).casefold() == both.casefold()
    assert {("X-ray", "chest"), ("X-ray", "limb")} < kinds


def test_a_report_that_is_too_long_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="longer than"):
        encoded(tokenizer, Report("The heart is enlarged. " * LENGTH, ""))


def test_seeds_of_the_evaluation_are_never_trained_on(tokenizer: Tokenizer) -> None:
    chunks = list(Stream(HELD_OUT - 3, 32, tokenizer.to_str()))
    assert [len(chunk.images) for chunk in chunks] == [3]


def test_the_shelf_keeps_the_newest(tokenizer: Tokenizer) -> None:
    shelf = Shelf(4, 32, torch.device("cpu"))
    for value in range(3):
        shelf.add(
            Samples(
                np.full((2, 32, 32), value, np.uint8), np.zeros((2, 7), np.uint8), np.zeros((2, 6, 4, 4), np.uint8),
                np.zeros((2, LENGTH), np.int16),
            )
        )  # fmt: skip
    torch.manual_seed(0)
    images, labels, maps, tokens = shelf.draw(32)
    assert shelf.filled == 4
    assert set((images * 255).round().flatten().tolist()) == {1.0, 2.0}
    assert (images.shape, labels.shape, maps.shape) == ((32, 1, 32, 32), (32, 7), (32, 6, 4, 4))
    assert tokens.dtype == torch.int64


def test_maps_move_with_their_image() -> None:
    torch.manual_seed(0)
    images = torch.zeros(16, 1, 64, 64)
    images[:, :, 16:32, 40:56] = 1
    moved, maps = framed(images, images.repeat(1, 2, 1, 1)[:, :, ::8, ::8])
    centre = [
        torch.stack(
            [(part.sum(axis) * torch.linspace(0, 1, part.shape[-1])).sum(-1) / part.sum((1, 2)) for axis in (1, 2)]
        )
        for part in (moved[:, 0], maps[:, 1])
    ]
    assert (centre[0] - centre[1]).abs().max() < 0.08
    assert (moved != images).any()
    values, _ = augmented(images, maps)
    assert 0 <= values.min() < values.max() <= 1


def test_a_batch_without_a_chest_still_trains_the_gate(tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    learner = Learner(ClassifierConfig(size=96), generator_config(tokenizer, 96), special_id(tokenizer, PAD))
    labels = torch.zeros(2, len(FINDINGS) + 1)
    maps = torch.zeros(2, len(FINDINGS), 24, 24)
    losses = learner(torch.rand(2, 1, 96, 96), labels, maps, torch.zeros(2, LENGTH, dtype=torch.long))
    assert set(losses) == {"gate", "labels"}
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())


def test_a_run_can_be_stopped_and_continued(tmp_path: Path) -> None:
    options = ["--workers", "0", "--batch", "2", "--shelf", "16", "--fit", "16", "--size", "96"]
    options += ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    states, spent = [], 0.0
    for _ in range(2):
        report.main([*options, "--minutes", str(spent / 60 + 0.02)])
        states.append(torch.load(tmp_path / "work" / "state.pt", weights_only=True))
        spent = states[-1]["spent"]
    assert states[1]["count"] > states[0]["count"] > 0
    assert states[1]["drawn"] > states[0]["drawn"] >= 16
    networks = load_report_networks(tmp_path / "out")
    blank = [np.zeros((40, 40), np.uint8)]
    assert 0 < (networks.read(blank)[0].frontal or 0) < 1
    assert len(networks.write(blank)) == 1
