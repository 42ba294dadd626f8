"""Histology phantoms: stains have their colours, carcinomas look the part, magnifications and architectures vary."""

import numpy as np
import pytest

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.phantoms.histology_slide import Slide, lattice, make_gland, make_nuclei
from mmedagent.training.phantoms.histology_tissue import crypts
from mmedagent.training.phantoms.histology_tumours import adenocarcinoma


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [generate("histology", np.random.default_rng([31, index]), 96) for index in range(120)]


def test_stains_findings_and_structures_vary(phantoms: list[Phantom]) -> None:
    names = {name for phantom in phantoms for name in phantom.masks}
    assert {phantom.technique for phantom in phantoms} == {"H&E", "IHC", "Masson"}
    assert {"nuclei", "glands", "lumen", "stroma", "adipose tissue", "muscle"} <= names
    found = [phantom.findings for phantom in phantoms]
    assert {name for names in found for name in names} == {"adenocarcinoma", "squamous cell carcinoma", "tumour"}
    assert 0.2 < np.mean([bool(names) for names in found]) < 0.5


def test_haematoxylin_makes_nuclei_darker_than_the_rest(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        nuclei = phantom.masks.get("nuclei")
        if phantom.technique == "H&E" and nuclei is not None and nuclei.sum() > 300:
            red = phantom.image[..., 0].astype(float)
            assert red[nuclei].mean() < red[~nuclei].mean() - 15


def test_eosin_is_pink(phantoms: list[Phantom]) -> None:
    redder = []
    for phantom in phantoms:
        if phantom.technique == "H&E" and "stroma" in phantom.masks and phantom.masks["stroma"].mean() > 0.2:
            red, green, _ = phantom.image[phantom.masks["stroma"]].mean(axis=0)
            redder.append(red - green)
    assert len(redder) > 20
    assert min(redder) > 0
    assert np.mean(redder) > 30


def test_malignant_glands_are_crowded_and_more_cellular() -> None:
    shares = []
    for architecture in (crypts, adenocarcinoma):
        slides = [Slide(np.random.default_rng([1, index]), 128, 7.0) for index in range(6)]
        for slide in slides:
            architecture(slide)
        shares.append(np.mean([(slide.nuclear > 0.35).mean() for slide in slides]))
    assert shares[1] > 1.15 * shares[0]


def test_nuclei_stay_where_they_are_put_and_within_the_picture() -> None:
    rng = np.random.default_rng(0)
    slide = Slide(rng, 64, 10.0)
    slide.place(make_nuclei(rng, 10, 0.9), np.array([[32.0, 20.0], [-500.0, 5.0], [63.0, 63.0]]))
    assert slide.nuclear[28:36, 16:24].mean() > 0.3
    assert slide.nuclear[:20, 40:].max() == 0
    assert slide.nuclear[60:, 60:].max() > 0.3


def test_a_gland_of_any_shape_has_an_inside_and_an_outside() -> None:
    for seed in range(20):
        gland = make_gland(np.random.default_rng(seed), (32.0, 32.0), 12.0, 0.7, 0.6, 1.0)
        _, level = gland.level(64)
        assert level.min() >= 0
        assert 30 < (level < 1).sum() < 0.9 * level.size


def test_a_lattice_covers_the_picture_evenly() -> None:
    spots = lattice(np.random.default_rng(0), 200, 10.0, 0.2)
    inside = spots[((spots >= 0) & (spots < 200)).all(axis=1)]
    counts = np.bincount((inside // 50).astype(int) @ np.array([4, 1]), minlength=16)
    assert counts.min() > 0.6 * counts.mean()
