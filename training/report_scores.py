"""Score a report checkpoint on held-out phantoms: F1 of what is stated, calibration, sides, and the gate.

    python -m mmedagent.training.report_scores models/report_generation --images 400

The generator's draft and the classifier are scored beside the merged report, and the same networks with shuffled
weights beside the trained ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from mmedagent.networks.report_checkpoint import Reading, ReportNetworks, load_report_networks
from mmedagent.networks.report_classifier import FINDINGS
from mmedagent.networks.report_generator import Draft
from mmedagent.networks.report_merge import RuleMerger
from mmedagent.networks.report_sentences import LIKELY, Stance, stances_of
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.report_data import HELD_OUT, is_frontal_chest, phantom_of

BATCH = 16
SIDED = ("consolidation", "pleural effusion", "pneumothorax")


@dataclass(frozen=True)
class Scored:
    """A held-out phantom and what the networks made of it; `draft` and `merged` are None behind a shut gate."""

    phantom: Phantom
    reading: Reading
    draft: Draft | None
    merged: tuple[str, ...] | None


def held_out(start: int, count: int) -> list[Phantom]:
    """Phantoms of the evaluation's seeds, of all kinds as in training."""
    return [phantom_of(HELD_OUT + start + index) for index in range(count)]


def shuffle_weights(network: nn.Module, seed: int = 0) -> None:
    """Permute the values within every weight matrix, in place: the same statistics, nothing learnt."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))


def scored(networks: ReportNetworks, phantoms: Sequence[Phantom]) -> Iterator[Scored]:
    """Every phantom through both networks, the gate and the merge."""
    for start in range(0, len(phantoms), BATCH):
        some = phantoms[start : start + BATCH]
        readings = networks.read([phantom.image for phantom in some])
        through = [index for index, reading in enumerate(readings) if (reading.frontal or 0) >= LIKELY]
        drafts = dict(zip(through, networks.write([some[index].image for index in through]), strict=True))
        for index, (phantom, reading) in enumerate(zip(some, readings, strict=True)):
            draft = drafts.get(index)
            sentences = RuleMerger().merge(draft, reading.findings) if draft is not None else None
            merged = tuple(sentence.text for sentence in sentences) if sentences is not None else None
            yield Scored(phantom, reading, draft, merged)


def stated(texts: Sequence[str]) -> frozenset[str]:
    """The findings that some sentence states."""
    rows = [stances_of(text, FINDINGS) for text in texts]
    return frozenset(name for row in rows for name, stance in row.items() if stance is Stance.STATED)


def f1(pairs: Sequence[tuple[bool, bool]]) -> float:
    """F1 of (true, said) pairs; 0 when nothing is said rightly."""
    both = sum(true and said for true, said in pairs)
    return 2 * both / sum(true + said for true, said in pairs) if both else 0.0


def f1_of(rows: Sequence[Scored], source: str) -> dict[str, float]:
    """F1 by finding of the classifier at 0.5, of the draft or of the merged report."""
    said = []
    for row in rows:
        if source == "classifier":
            said.append(frozenset(name for name, chance in row.reading.findings.items() if chance >= LIKELY))
        elif source == "generator":
            said.append(stated((*row.draft.findings, *row.draft.impression)) if row.draft else frozenset())
        else:
            said.append(stated(row.merged or ()))
    return {
        name: f1([(name in row.phantom.findings, name in one) for row, one in zip(rows, said, strict=True)])
        for name in FINDINGS
    }


def calibration_error(rows: Sequence[Scored], name: str, bins: int = 10) -> float:
    """Expected calibration error of a finding's probability (Guo et al. 2017, arXiv 1706.04599)."""
    chances = np.array([row.reading.findings[name] for row in rows])
    truth = np.array([name in row.phantom.findings for row in rows], float)
    places = np.minimum((chances * bins).astype(int), bins - 1)
    gaps = [abs((chances - truth)[places == place].sum()) for place in range(bins)]
    return float(sum(gaps) / len(rows))


def sides_right(rows: Sequence[Scored]) -> tuple[int, int]:
    """How many rightly stated one-sided findings have the right side in the findings, and of how many."""
    right = total = 0
    for row in rows:
        report = row.phantom.report
        if report is None or row.merged is None:
            continue
        for name in SIDED:
            real, said = (_side(texts, name) for texts in (report.findings.split(". "), row.merged))
            if real is not None and said is not None:
                right, total = right + (real == said), total + 1
    return right, total


def _side(texts: Sequence[str], name: str) -> str | None:
    """The side that the first sentence stating a finding gives it."""
    for text in texts:
        if stances_of(text, (name,)).get(name) is Stance.STATED:
            return next((side for side in ("right", "left", "bilateral", "both") if side in text.casefold()), None)
    return None


def gate_shares(rows: Sequence[Scored]) -> tuple[float, float]:
    """Share of frontal chests that are let in, and of other images that are kept out."""
    chest: NDArray[np.bool_] = np.array([is_frontal_chest(row.phantom) for row in rows])
    inside = np.array([(row.reading.frontal or 0) >= LIKELY for row in rows])
    return float(inside[chest].mean()), float((~inside[~chest]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    phantoms = [phantom_of(HELD_OUT + index) for index in track(range(options.images), "drawing")]
    trained, mixed = (load_report_networks(options.folder, options.device) for _ in range(2))
    for network in mixed.networks:
        shuffle_weights(network)
    rows = list(scored(trained, phantoms))
    chest = [row for row in rows if is_frontal_chest(row.phantom)]
    lost = [row for row in scored(mixed, phantoms) if is_frontal_chest(row.phantom)]
    columns = {name: f1_of(chest, name) for name in ("classifier", "generator", "report")}
    columns["shuffled"] = f1_of(lost, "report")
    table = Table("finding", "n", *columns, "calibration error", title=f"F1 on {len(chest)} held-out chests")
    for name in FINDINGS:
        count = sum(name in row.phantom.findings for row in chest)
        error = f"{calibration_error(chest, name):.3f}"
        table.add_row(name, str(count), *(f"{column[name]:.3f}" for column in columns.values()), error)
    table.add_row("macro", "", *(f"{np.mean(list(column.values())):.3f}" for column in columns.values()), "")
    console = Console(width=120)
    console.print(table)
    let_in, kept_out = gate_shares(rows)
    right, total = sides_right(chest)
    console.print(f"gate: {let_in:.3f} of chests let in, {kept_out:.3f} of {len(rows) - len(chest)} others kept out")
    console.print(f"sides: {right} of {total} right")


if __name__ == "__main__":
    main()
