"""Average two finished classifiers of one run and calibrate the result.

    python -m mmedagent.training.classification_soup FIRST SECOND --data DATA --out models/classification

Weights from two points of one training run lie in one basin, and their mean generalises better than either.
Source: Wortsman et al., Model soups (arXiv 2203.05482).
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from mmedagent.networks.checkpoints import load_state
from mmedagent.training.classification import architecture, calibrate, export, new_model
from mmedagent.training.classification_data import read_shards


def mean_state(first: Path, second: Path) -> dict[str, Tensor]:
    """The mean of two checkpoints in float32; counters are taken from the second.

    Raises:
        CheckpointError: a checkpoint is missing or damaged.
        KeyError: the checkpoints are not of the same network.
    """
    one, two = load_state(first / "model.safetensors"), load_state(second / "model.safetensors")
    return {
        name: (one[name].float() + value.float()) / 2 if value.is_floating_point() else value
        for name, value in two.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawn phantoms")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = architecture(options.size)
    model = new_model(config)
    model.network.load_state_dict({**model.network.state_dict(), **mean_state(options.first, options.second)})
    held_out = read_shards(options.data / "held_out", options.held_out)
    temperatures, accuracies = calibrate(model, held_out, options.size, options.seed)
    digest = export(model, config, temperatures, options.out)
    (options.out / "report.json").write_text(json.dumps({"sha256": digest, "accuracy": accuracies}, indent=2) + "\n")


if __name__ == "__main__":
    main()
