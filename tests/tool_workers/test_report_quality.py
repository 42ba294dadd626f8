"""What the shipped report networks find in phantoms that training never draws."""

from pathlib import Path

import numpy as np
import pytest

from mmedagent.networks.report_checkpoint import ReportNetworks, load_report_networks
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.report_data import is_frontal_chest
from mmedagent.training.report_scores import f1_of, gate_shares, held_out, scored, shuffle_weights, sides_right

EMBEDDED = Path(__file__).parents[2] / "models" / "report_generation"


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return held_out(2_000, 88)


def macro_f1(networks: ReportNetworks, phantoms: list[Phantom]) -> float:
    rows = list(scored(networks, [phantom for phantom in phantoms if is_frontal_chest(phantom)]))
    assert len(rows) >= 55
    return float(np.mean(list(f1_of(rows, "report").values())))


def test_reports_state_what_is_there(phantoms: list[Phantom]) -> None:
    rows = list(scored(load_report_networks(EMBEDDED), phantoms))
    chests = [row for row in rows if is_frontal_chest(row.phantom)]
    assert np.mean(list(f1_of(chests, "report").values())) >= 0.85
    let_in, kept_out = gate_shares(rows)
    assert min(let_in, kept_out) >= 0.95
    right, total = sides_right(chests)
    assert right / total >= 0.8


def test_shuffled_weights_find_nothing(phantoms: list[Phantom]) -> None:
    networks = load_report_networks(EMBEDDED)
    for network in networks.networks:
        shuffle_weights(network)
    assert macro_f1(networks, phantoms) < 0.5


def test_the_checkpoint_is_small() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) <= 12_000_000
