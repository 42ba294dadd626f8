"""Measure how often an image is normal when no finding stands out in the planner's image tower.

    python -m mmedagent.training.glance_normal models/planner

A tower overlooks small findings and knows only some, so "nothing stands out" is weaker than its probabilities. This
draws phantoms that no training has seen and writes, for each modality, the share of those without a finding into the
accuracies of `glance.json`. The planner calls an image normal only where that share is high enough, and states it.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from mmedagent.networks.glance import CONFIG, LoadedGlance, load_glance
from mmedagent.networks.glance_reading import SURE, normal_share, nothing_stands_out
from mmedagent.training.phantoms import KINDS, generate

FIRST_SEED, SIZE = 970_000, 256
LEAST = 20
"""A share of fewer images is not written down."""

_log = logging.getLogger(__name__)


def normal_shares(tower: LoadedGlance, each: int) -> dict[str, float]:
    """The shares of each modality, from `each` phantoms of every kind."""
    quiet, normal = Counter[str](), Counter[str]()
    for number in track(range(each * len(KINDS)), "phantoms"):
        phantom = generate(KINDS[number % len(KINDS)], np.random.default_rng(FIRST_SEED + number), SIZE)
        glance = tower.at(phantom.image)
        modality, chance = glance.best("modality")
        if chance >= SURE and nothing_stands_out(glance):
            quiet[modality] += 1
            normal[modality] += not phantom.findings
    return {normal_share(one): round(normal[one] / seen, 4) for one, seen in quiet.items() if seen >= LEAST}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=150, help="phantoms of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tower = load_glance(options.folder)
    shares = normal_shares(tower, options.each)
    document = tower.config.model_dump(mode="json")
    kept = {head: value for head, value in tower.config.accuracies.items() if head in tower.config.names}
    document["accuracies"] = {**kept, **shares}
    (options.folder / CONFIG).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    _log.info("%s", shares)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
