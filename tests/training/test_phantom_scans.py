"""CT and MR phantoms: values, sides, neighbours and views are those of a body, and findings can be seen."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Mask, Phantom

MOST_STRUCTURES = 30
INNER = 60
"""Pixels that a structure has away from its edges when its values are looked at."""
USUAL_HU = {
    "liver": (-20, 190), "spleen": (25, 190), "aorta": (25, 360), "ventricles": (-15, 30), "brain": (15, 50),
    "left lung": (-1000, -450), "right lung": (-1000, -450), "bladder": (-20, 120), "psoas": (30, 90),
    "spinal canal": (-60, 80), "haemorrhage": (50, 95), "pleural effusion": (-15, 50),
}  # fmt: skip
"""What the median CT number of a structure may be, in Hounsfield units."""


@pytest.fixture(scope="module")
def cts() -> list[Phantom]:
    return [generate("ct", np.random.default_rng([5, index]), 160) for index in range(150)]


@pytest.fixture(scope="module")
def mrs() -> list[Phantom]:
    return [generate("mr", np.random.default_rng([6, index]), 160) for index in range(150)]


def middle(mask: Mask) -> tuple[float, float]:
    """Mean column and row of a mask."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def with_all(phantoms: Iterable[Phantom], *names: str) -> list[Phantom]:
    return [phantom for phantom in phantoms if set(names) <= phantom.masks.keys()]


def healthy(phantom: Phantom, name: str) -> Mask:
    """A structure without the findings in it."""
    mask = phantom.masks[name].copy()
    for other in set(phantom.findings) - {name}:
        mask &= ~phantom.masks[other]
    return mask


def test_ct_numbers_are_those_of_the_tissues(cts: list[Phantom]) -> None:
    seen = set()
    for phantom in cts:
        assert phantom.hounsfield is not None
        assert phantom.hounsfield.dtype == np.int16
        assert phantom.hounsfield.shape == phantom.image.shape
        for name in USUAL_HU.keys() & phantom.masks.keys():
            inner = ndimage.binary_erosion(healthy(phantom, name), iterations=2)
            if np.count_nonzero(inner) > INNER:
                low, high = USUAL_HU[name]
                assert low <= float(np.median(phantom.hounsfield[inner])) <= high, name
                seen.add(name)
    assert len(seen) >= len(USUAL_HU) - 2


def test_only_ct_has_ct_numbers(mrs: list[Phantom]) -> None:
    assert all(phantom.hounsfield is None for phantom in mrs)


def test_a_ct_image_shows_its_ct_numbers_through_a_window(cts: list[Phantom]) -> None:
    for phantom in cts[:40]:
        assert phantom.hounsfield is not None
        smooth = ndimage.uniform_filter(phantom.image.astype(float), 5).ravel()
        order = ndimage.uniform_filter(phantom.hounsfield.astype(float), 5).ravel().argsort()
        tenths = [float(np.median(part)) for part in np.array_split(smooth[order], 10)]
        assert all(after >= before - 6 for before, after in pairwise(tenths))


def test_the_patients_right_is_on_the_left_of_the_image(cts: list[Phantom], mrs: list[Phantom]) -> None:
    for right, left in (("right kidney", "left kidney"), ("right lung", "left lung"), ("liver", "spleen")):
        both = with_all([*cts, *mrs], right, left)
        assert len(both) >= 10
        assert all(middle(phantom.masks[right])[0] < middle(phantom.masks[left])[0] for phantom in both)


def test_the_aorta_lies_before_the_vertebra_and_organs_lie_in_the_body(cts: list[Phantom]) -> None:
    for phantom in with_all(cts, "aorta", "vertebra", "psoas"):
        assert middle(phantom.masks["aorta"])[1] < middle(phantom.masks["vertebra"])[1]
    for phantom in with_all(cts, "body", "liver"):
        assert not (phantom.masks["liver"] & ~phantom.masks["body"]).any()


def test_pelvic_levels_show_bladder_and_bones(cts: list[Phantom]) -> None:
    assert len(with_all(cts, "bladder", "pelvic bone")) >= 3
    assert not with_all(cts, "pelvic bone", "liver")


def test_every_phantom_has_a_view_and_mr_a_weighting(cts: list[Phantom], mrs: list[Phantom]) -> None:
    assert {phantom.view for phantom in cts} <= {"axial", "sagittal"}
    assert {phantom.view for phantom in mrs} == {"axial", "sagittal", "coronal"}
    assert sum(phantom.view == "axial" for phantom in mrs) > len(mrs) / 2
    assert {phantom.technique for phantom in mrs} >= {"T1", "T2", "FLAIR"}


def test_names_are_few_enough_for_one_image(cts: list[Phantom], mrs: list[Phantom]) -> None:
    assert all(len(phantom.masks) <= MOST_STRUCTURES for phantom in [*cts, *mrs])


@pytest.mark.parametrize("organ", ["liver", "spleen"])
def test_lesions_lie_in_their_organ_and_can_be_seen(cts: list[Phantom], mrs: list[Phantom], organ: str) -> None:
    found = with_all([*cts, *mrs], f"{organ} lesion")
    assert len(found) >= 5
    for phantom in found:
        lesion, whole = phantom.masks[f"{organ} lesion"], phantom.masks[organ]
        assert f"{organ} lesion" in phantom.findings
        assert not (lesion & ~whole).any()
        if np.count_nonzero(lesion) > 30 and np.count_nonzero(whole & ~lesion) > 30:
            assert abs(np.median(phantom.image[lesion]) - np.median(phantom.image[whole & ~lesion])) >= 6


def test_blood_and_infarcts_differ_from_the_brain_around_them(cts: list[Phantom], mrs: list[Phantom]) -> None:
    for name in ("haemorrhage", "infarct"):
        found = with_all([*cts, *mrs], name, "brain")
        assert len(found) >= 10
        for phantom in found:
            lesion, rest = phantom.masks[name], phantom.masks["brain"] & ~phantom.masks[name]
            assert abs(phantom.image[lesion].mean() - phantom.image[rest].mean()) >= 6, name


def test_oedema_surrounds_a_tumour_and_is_not_part_of_it(mrs: list[Phantom]) -> None:
    found = with_all(mrs, "oedema", "tumour")
    assert len(found) >= 5
    for phantom in found:
        tumour, oedema = phantom.masks["tumour"], phantom.masks["oedema"]
        assert not (tumour & oedema).any()
        assert (ndimage.binary_dilation(tumour, iterations=3) & oedema).any()
        assert phantom.findings == ("oedema", "tumour")
