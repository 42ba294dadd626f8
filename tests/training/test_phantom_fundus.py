"""Fundus phantoms: structures in their places, lesions that show, fields of every form."""

import numpy as np
import pytest

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Phantom

LESIONS = {
    "exudates", "drusen", "microaneurysms", "haemorrhages", "cotton wool spots", "chorioretinal scar",
    "large optic cup",
}  # fmt: skip


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [generate("fundus", np.random.default_rng([31, index]), 96) for index in range(120)]


def test_structures_lesions_and_fields_vary(phantoms: list[Phantom]) -> None:
    names = {name for phantom in phantoms for name in phantom.masks}
    assert {"optic disc", "optic cup", "macula", "fovea", "vessels"} <= names
    assert {name for phantom in phantoms for name in phantom.findings} == LESIONS
    assert 10 <= sum(phantom.image.ndim == 2 for phantom in phantoms) <= 75
    dark = [float((phantom.image < 25).all(axis=-1).mean()) for phantom in phantoms if phantom.image.ndim == 3]
    assert min(dark) < 0.02
    assert max(dark) > 0.25


def test_the_cup_lies_in_the_disc_and_the_fovea_in_the_macula(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        for part, whole in (("optic cup", "optic disc"), ("fovea", "macula")):
            if part in phantom.masks and whole in phantom.masks:
                assert (phantom.masks[part] & phantom.masks[whole]).sum() > 0.8 * phantom.masks[part].sum()


def test_the_disc_is_brighter_and_vessels_are_darker_than_the_ground(phantoms: list[Phantom]) -> None:
    discs, vessels = [], []
    for phantom in phantoms:
        if "optic disc" in phantom.masks and phantom.image.ndim == 3:
            green = phantom.image[..., 1].astype(float)
            disc, vessel = phantom.masks["optic disc"], phantom.masks["vessels"]
            ground = (green > 15) & ~disc & ~vessel
            discs.append(green[disc & ~vessel].mean() - green[ground].mean())
            vessels.append(green[vessel & ~disc].mean() - green[ground].mean())
    assert len(discs) > 30
    assert np.mean(discs) > 30
    assert np.mean(vessels) < -8


def test_bleeding_is_darker_and_exudates_are_brighter_than_the_ground(phantoms: list[Phantom]) -> None:
    for name, sign in (("haemorrhages", -1), ("exudates", 1)):
        changes = []
        for phantom in phantoms:
            if name in phantom.findings:
                green = phantom.image[..., 1].astype(float) if phantom.image.ndim == 3 else phantom.image.astype(float)
                ground = ~np.logical_or.reduce(list(phantom.masks.values())) & (green > 15)
                changes.append(sign * (green[phantom.masks[name]].mean() - green[ground].mean()))
        assert len(changes) >= 5
        assert np.mean(changes) > 8
