"""Phantoms: the same seed gives the same image, ground truth is exact and complete, normal images exist."""

import numpy as np
import pytest

from mmedagent.training.phantoms import KINDS, generate
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.phantoms.shapes import Scene, blob, make_view

MODALITIES = {
    "ct": "CT", "mr": "MR", "xray": "X-ray", "ultrasound": "ultrasound", "fundus": "fundus", "histology": "histology",
    "photograph": "photograph",
}  # fmt: skip


def some(kind: str, count: int = 24, size: int = 96) -> list[Phantom]:
    return [generate(kind, np.random.default_rng([3, index]), size) for index in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_phantom(kind: str) -> None:
    first, second = (generate(kind, np.random.default_rng(11), 96) for _ in range(2))
    other = generate(kind, np.random.default_rng(12), 96)
    np.testing.assert_array_equal(first.image, second.image)
    assert first.masks.keys() == second.masks.keys()
    assert all(np.array_equal(first.masks[name], second.masks[name]) for name in first.masks)
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", KINDS)
def test_images_masks_and_findings_are_well_formed(kind: str) -> None:
    for phantom in some(kind):
        assert phantom.modality == MODALITIES[kind]
        assert phantom.anatomy
        assert phantom.image.dtype == np.uint8
        assert phantom.image.shape in {(96, 96), (96, 96, 3)}
        assert phantom.image.max() > phantom.image.min()
        for name, mask in phantom.masks.items():
            assert mask.dtype == np.bool_, name
            assert mask.shape == (96, 96), name
            assert mask.sum() >= 12, name
        assert set(phantom.findings) <= phantom.masks.keys()
        assert list(phantom.findings) == sorted(phantom.findings)


@pytest.mark.parametrize("kind", KINDS)
def test_normal_and_abnormal_images_both_occur(kind: str) -> None:
    findings = [phantom.findings for phantom in some(kind, count=40)]
    assert any(findings)
    assert not all(findings)


@pytest.mark.parametrize(("kind", "size"), [("ct", 64), ("histology", 320)])
def test_any_size_can_be_drawn(kind: str, size: int) -> None:
    assert generate(kind, np.random.default_rng(0), size).image.shape[:2] == (size, size)


def test_organs_differ_from_what_surrounds_them() -> None:
    contrasts = []
    for phantom in some("ct", count=30):
        if "vertebra" in phantom.masks and "body" in phantom.masks:
            bone = phantom.image[phantom.masks["vertebra"]].mean()
            rest = phantom.image[phantom.masks["body"] & ~phantom.masks["vertebra"]].mean()
            contrasts.append(bone - rest)
    assert len(contrasts) >= 10
    assert np.mean(contrasts) > 20


def test_a_later_shape_takes_its_pixels_from_earlier_ones_unless_it_lies_inside() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(make_view(rng, 64, warp=0.0, tilt=0.0), 0.0)
    organ = blob(scene.view, rng, (0, 0), (0.7, 0.7), lumps=0.0)
    hole, lesion = (blob(scene.view, rng, (x, 0), (0.2, 0.2), lumps=0.0) for x in (-0.3, 0.3))
    scene.paint(organ, 1.0, "organ")
    scene.paint(hole, 0.2, "vessel")
    scene.paint(lesion, 0.6, "lesion", inside=True)
    masks = scene.masks()
    assert not (masks["organ"] & masks["vessel"]).any()
    assert (masks["organ"] & masks["lesion"]).sum() == masks["lesion"].sum()


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'petscan'; known kinds: ct, mr"):
        generate("petscan", np.random.default_rng(0))
