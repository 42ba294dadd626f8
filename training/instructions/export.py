"""Write annotated examples as dialogues in MMedAgent's JSON format.

    python -m mmedagent.training.instructions.export --output dialogues.json --share train

The file is a list of `{"image_id", "image", "conversations": [{"from": "human", "value"}, {"from": "gpt", "thoughts",
"actions", "value"}]}` as in MMedAgent's `instruction_all.json` (arXiv 2407.02483). Tool output needs an image, so the
second turn is left to those who have one.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import get_args

from mmedagent.networks.planner_text import read_ask_text
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.types import JsonObject
from mmedagent.training.instructions.ask_files import Share
from mmedagent.training.instructions.dialogues import Dialogue, Exchange, row_of
from mmedagent.training.instructions.examples import Example, examples
from mmedagent.training.planner_evaluation import actions_of, true_parts

IMAGE_TOOLS = frozenset({"grounding", "segmentation", "grounded_segmentation", "classification", "report_generation"})
PLACEHOLDER = "<imagepath>"
"""Stands for an image that is still to be chosen."""

_log = logging.getLogger(__name__)


def plan_of(example: Example, spoken: str) -> Plan:
    """The plan that an example means; `spoken` is its text with coordinates."""
    parts = true_parts(example)
    actions = actions_of(parts, read_ask_text(spoken))
    wanted = " and ".join(dict.fromkeys(part.outcome.replace("_", " ") for part in parts))
    if not actions and example.wants_other_tool:
        return Plan(thoughts="This asks for what no tool here does.", value="None of the tools does this.")
    if not actions:
        return Plan(thoughts=f"This is {wanted}, so no tool is needed.", value="No tool is needed for this.")
    return plan_with(wanted, actions)


def plan_with(wanted: str, actions: tuple[Action, ...]) -> Plan:
    """The plan of an ask for what is `wanted`, which these actions do."""
    tools = " and ".join(dict.fromkeys(action.API_name for action in actions))
    return Plan(
        thoughts=f"This asks for {wanted}, so I will use {tools}.", actions=actions, value=f"Let me use {tools}."
    )


def dialogues(drawn: Iterable[Example], seed: int) -> list[JsonObject]:
    """Each example as a dialogue of one question and one plan."""
    random = Random(seed)  # noqa: S311 - training data, not secrets
    rows: list[JsonObject] = []
    for number, example in enumerate(drawn):
        spoken = example.spoken(random)
        plan = plan_of(example, spoken)
        image = any(action.API_name in IMAGE_TOOLS for action in plan.actions)
        dialogue = Dialogue(f"ask_{number}", PLACEHOLDER if image else "", (Exchange(spoken, plan),))
        rows.append(row_of(dialogue))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--share", choices=get_args(Share), default="train")
    parser.add_argument("--each", type=int, default=4, help="fillings of every ask")
    parser.add_argument("--joined", type=int, default=1_000, help="examples made of several asks")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = dialogues(examples(arguments.share, arguments.each, arguments.joined, arguments.seed), arguments.seed)
    arguments.output.write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")
    _log.info("wrote %d dialogues", len(rows))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
