"""Train the compact planner's ask reader: LoRA and heads on the hand-written asks.

    python -m mmedagent.training.planner --output models/planner

writes `config.json`, `model.safetensors` and the model card `README.md` with the figures that it measured on asks whose
wording was held out. The image tower in the same folder is trained by `mmedagent.training.glance`.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from pathlib import Path

import torch

from mmedagent.networks.minilm import MINILM_SHA256, load_tokenizer
from mmedagent.networks.planner_checkpoint import LoraSettings, PlannerConfig, load_planner, save_planner
from mmedagent.networks.planner_net import MAX_TOKENS, OUTCOMES, REFERS, TAGS, TASKS
from mmedagent.networks.planner_reader import AskReader
from mmedagent.training.instructions.examples import examples
from mmedagent.training.planner_asks import LORA_ALPHA, LORA_R, calibrate, confidence_threshold, fit_asks
from mmedagent.training.planner_card import model_card
from mmedagent.training.planner_evaluation import Scores, score

LABEL = "demonstration weights, trained on synthetic dialogues and images"
NAME = "mmedagent-compact"
_log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="checkpoint folder to go on from")
    parser.add_argument("--keep", type=float, default=0.0, help="share of the weights of --start to keep in the end")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    fit = fit_asks(arguments.steps, arguments.batch_size, arguments.seed, arguments.start, arguments.keep)
    temperature = calibrate(fit.net, arguments.seed + 1)
    reader = AskReader(fit.net, load_tokenizer(max_tokens=MAX_TOKENS), temperature)
    config = PlannerConfig(
        name=NAME,
        version=arguments.version,
        label=LABEL,
        minilm_sha256=MINILM_SHA256,
        outcomes=OUTCOMES,
        tasks=TASKS,
        tags=TAGS,
        refers=REFERS,
        lora=LoraSettings(r=LORA_R, alpha=LORA_ALPHA),
        temperature=temperature,
        threshold=confidence_threshold(reader, arguments.seed + 1),
    )
    sha256 = save_planner(arguments.output, config, fit.net, fit.lora)
    measured = measure(arguments.output)
    for name, scores in measured.items():
        _log.info("%s: %s", name, scores)
    command = f"python -m mmedagent.training.planner {shlex.join(sys.argv[1:])}"
    glance = load_planner(arguments.output).glance
    card = model_card(config, sha256, command, measured, glance.config if glance is not None else None)
    (arguments.output / "README.md").write_text(card, "utf-8")


def measure(folder: Path) -> dict[str, Scores]:
    """The figures of the model card: the saved checkpoint on the test share, whose wordings it never saw."""
    loaded = load_planner(folder)
    reader = AskReader(loaded.net, loaded.tokenizer, loaded.config.temperature)
    sets = {
        "held-out asks": examples("test", each=1, joined=0, seed=7, augment=False),
        "held-out asks, reworded with typing errors": examples("test", each=1, joined=0, seed=8),
        "two or three held-out asks in one": examples("test", each=0, joined=400, seed=9),
    }
    known = {name: [one for one in drawn if not one.wants_other_tool] for name, drawn in sets.items()}
    known["asks for tools that nobody taught it"] = [one for one in sets["held-out asks"] if one.wants_other_tool]
    return {name: score(reader, drawn, loaded.config.threshold) for name, drawn in known.items()}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
