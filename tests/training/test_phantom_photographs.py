"""Clinical photographs and images that are not medical: what they hold, how varied they are, that lesions show."""

import numpy as np
import pytest

from mmedagent.training.phantoms import KINDS, NON_MEDICAL, generate
from mmedagent.training.phantoms.base import Phantom


def some(kind: str, count: int, size: int = 96) -> list[Phantom]:
    return [generate(kind, np.random.default_rng([17, index]), size) for index in range(count)]


def test_images_that_are_not_medical_are_listed_apart() -> None:
    assert NON_MEDICAL == ("other",)
    assert "other" not in KINDS
    assert "photograph" in KINDS


def test_an_image_that_is_not_medical_has_no_modality_and_no_truth() -> None:
    phantoms = some("other", 60)
    for phantom in phantoms:
        assert (phantom.modality, phantom.anatomy, phantom.masks, phantom.findings) == ("", "", {}, ())
        assert phantom.image.dtype == np.uint8
        assert phantom.image.shape in {(96, 96), (96, 96, 3)}
    grey = sum(phantom.image.ndim == 2 for phantom in phantoms)
    assert 12 <= grey <= 36


def test_the_same_seed_gives_the_same_image_that_is_not_medical() -> None:
    for index in range(12):
        first, second = (generate("other", np.random.default_rng([index]), 96).image for _ in range(2))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["other", "photograph"])
def test_brightness_and_detail_vary_widely(kind: str) -> None:
    images = [phantom.image.astype(float) for phantom in some(kind, 50)]
    assert np.ptp([image.mean() for image in images]) > 100
    assert np.ptp([np.abs(np.diff(image, axis=1)).mean() for image in images]) > 8


def test_photographs_show_specimens_and_skin_with_and_without_lesions() -> None:
    phantoms = some("photograph", 60)
    for anatomy, structure, finding in (("specimen", "specimen", "lesion"), ("skin", "skin", "skin lesion")):
        shown = [phantom for phantom in phantoms if phantom.anatomy == anatomy]
        assert len(shown) >= 15
        assert all(structure in phantom.masks for phantom in shown)
        abnormal = sum(finding in phantom.findings for phantom in shown)
        assert 0 < abnormal < len(shown)


def test_a_skin_lesion_differs_from_the_skin_around_it() -> None:
    differences = []
    for phantom in some("photograph", 60):
        if "skin lesion" in phantom.findings:
            spot = phantom.masks["skin lesion"]
            around = phantom.masks["skin"] & ~spot
            if min(spot.sum(), around.sum()) > 50:
                change = phantom.image[spot].mean(axis=0) - phantom.image[around].mean(axis=0)
                differences.append(np.abs(change).max())
    assert len(differences) >= 12
    assert np.mean(differences) > 30
    assert np.quantile(differences, 0.1) > 6
