"""Chest radiographs: what a finding looks like, that the heart's size decides, and that the report tells the truth."""

from time import thread_time

import numpy as np
import pytest
from numpy.typing import NDArray

from mmedagent.training.phantoms import xray
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.phantoms.chest import Chest, draw_chest
from mmedagent.training.phantoms.chest_findings import FINDINGS, add_findings
from mmedagent.training.phantoms.film import make_film

SIZE = 160
WORDS = {
    "cardiomegaly": ("cardiomegaly", "enlarged", "increased"),
    "pleural effusion": ("effusion",),
    "pneumothorax": ("pneumothorax",),
    "consolidation": ("consolidation", "opacity"),
    "lung nodule": ("nodule",),
    "infiltration": ("infiltration", "reticular"),
}


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    drawn = (xray.generate(np.random.default_rng([21, index]), SIZE) for index in range(120))
    return [phantom for phantom in drawn if phantom.anatomy == "chest"]


def drawn(seed: int, finding: str | None) -> tuple[Chest, NDArray[np.float32]]:
    """The same chest with or without one finding, and its attenuation."""
    rng = np.random.default_rng([22, seed])
    chest = draw_chest(rng, make_film(rng, SIZE, (0.0, -0.05), (1.0, 1.0), 0.02, 0.01), 0.42)
    if finding is not None:
        add_findings(chest, rng, frozenset({finding}))
    return chest, chest.exposed(0.6, 0.1).astype(np.float32)


def test_every_finding_and_many_normal_chests_occur(phantoms: list[Phantom]) -> None:
    shares = {name: np.mean([name in phantom.findings for phantom in phantoms]) for name in FINDINGS}
    assert min(shares.values()) > 0.05, shares
    assert np.mean([not phantom.findings for phantom in phantoms]) >= 0.35
    assert any(len(phantom.findings) > 1 for phantom in phantoms)


def test_a_chest_is_frontal_and_has_its_anatomy(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert phantom.view == "frontal"
        assert {"right lung", "left lung", "heart", "ribs", "clavicles"} <= phantom.masks.keys()
        columns = {name: np.flatnonzero(mask.any(axis=0)).mean() for name, mask in phantom.masks.items()}
        assert columns["right lung"] < columns["heart"] < columns["left lung"]


def test_cardiomegaly_is_a_heart_wider_than_half_the_thorax(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        lungs = phantom.masks["right lung"] | phantom.masks["left lung"] | phantom.masks["heart"]
        ratio = np.ptp(np.flatnonzero(phantom.masks["heart"].any(axis=0))) / np.ptp(np.flatnonzero(lungs.any(axis=0)))
        assert (ratio > 0.5) == ("cardiomegaly" in phantom.findings), ratio


@pytest.mark.parametrize(
    ("finding", "sign"),
    [("pleural effusion", 1), ("pneumothorax", -1), ("consolidation", 1), ("lung nodule", 1), ("infiltration", 1)],
)
def test_a_finding_can_be_seen_where_its_mask_is(finding: str, sign: int) -> None:
    seen = 0
    for seed in range(6):
        healthy, ill = drawn(seed, None)[1], drawn(seed, finding)
        mask = ill[0].masks.get(finding)
        if mask is None:
            continue
        change = sign * (ill[1] - healthy)
        elsewhere = ~mask & (healthy > np.quantile(healthy, 0.05))
        assert change[mask].mean() > 0.03, seed
        assert np.abs(change[elsewhere]).mean() < 0.5 * change[mask].mean(), seed
        seen += 1
    assert seen >= 4


def test_the_report_states_what_is_there_and_denies_the_rest(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert phantom.report is not None
        for text in (phantom.report.findings, phantom.report.impression):
            assert text.endswith(".")
            assert "{" not in text
            assert "  " not in text
        for name, words in WORDS.items():
            stated = [s for s in phantom.report.impression.lower().split(". ") if any(word in s for word in words)]
            assert bool(stated) == (name in phantom.findings), phantom.report


def test_sides_are_the_patients(phantoms: list[Phantom]) -> None:
    checked = 0
    for phantom in phantoms:
        for name in {"pleural effusion", "pneumothorax"} & set(phantom.findings):
            assert phantom.report is not None
            sentence = next(s for s in phantom.report.impression.lower().split(".") if WORDS[name][0] in s)
            if "bilateral" not in sentence:
                place = np.flatnonzero(phantom.masks[name].any(axis=0)).mean()
                middle = np.flatnonzero((phantom.masks["right lung"] | phantom.masks["left lung"]).any(axis=0)).mean()
                assert ("right" in sentence) == (place < middle)
                checked += 1
    assert checked >= 10


def test_drawing_is_fast() -> None:
    """At least 50 images a second of 256 x 256 pixels on one core; here with a margin for a busy machine."""
    xray.generate(np.random.default_rng(0), 256)
    start = thread_time()
    for index in range(20):
        xray.generate(np.random.default_rng([23, index]), 256)
    assert thread_time() - start < 20 / 25
