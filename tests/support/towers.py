"""Image towers whose answers are chosen: real networks with all weights zero, so that the biases decide."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

import mmedagent.models
from mmedagent.networks.checkpoints import save_fp16
from mmedagent.networks.glance import CONFIG, ONE_OF, WEIGHTS, GlanceConfig, GlanceNet

PLANNER = Path(next(iter(mmedagent.models.__path__))) / "planner"
NAMES: dict[str, tuple[str, ...]] = {
    "modality": ("CT", "MR", "X-ray", "fundus", "histology", "not a medical image", "photograph", "ultrasound"),
    "anatomy": ("", "abdomen", "brain", "chest", "eye", "tissue"),
    "view": ("", "axial", "coronal", "frontal", "sagittal"),
    "technique": ("", "FLAIR", "H&E", "IHC", "T1", "T2"),
    "structures": (
        "aorta", "bone", "brain", "gallbladder", "heart", "kidney", "left atrium", "left kidney", "left kidney lesion",
        "left lung", "liver", "liver lesion", "lung nodule", "macula", "nuclei", "pancreas", "pleural effusion",
        "pneumothorax", "right atrium", "right kidney", "right kidney lesion", "right lung", "spinal cord", "spleen",
        "stone", "trachea", "tumour", "bladder", "vertebra", "vertebrae",
    ),
    "findings": (
        "cardiomegaly", "consolidation", "cyst", "exudates", "fracture", "haemorrhage", "haemorrhages",
        "herniated disc", "infarct", "infiltration", "left kidney lesion", "lesion", "liver lesion", "lung nodule",
        "mass", "microaneurysms", "pleural effusion", "pneumothorax", "right kidney lesion", "skin lesion", "stone",
        "tumour",
    ),
    "sides": (
        "left consolidation", "left pleural effusion", "left pneumothorax", "right consolidation",
        "right pleural effusion", "right pneumothorax",
    ),
}  # fmt: skip
"""Heads and names like those of the shipped tower."""

Chances = Mapping[str, Mapping[str, float]]


def filled(chances: Chances) -> dict[str, dict[str, float]]:
    """Chances for every name: of one-of heads what is left is shared out, of the others the rest has 0.02."""
    full = {}
    for head, names in NAMES.items():
        given = chances.get(head, {})
        rest = (1 - sum(given.values())) / max(1, len(names) - len(given)) if head in ONE_OF else 0.02
        full[head] = {name: given.get(name, rest) for name in names}
    return full


def write_tower(folder: Path, chances: Chances) -> Path:
    """Copy the shipped planner into a folder, with a tower that has these chances for any image."""
    shutil.copytree(PLANNER, folder, dirs_exist_ok=True)
    net = GlanceNet({head: len(names) for head, names in NAMES.items()})
    with torch.no_grad():
        for weights in net.parameters():
            weights.zero_()
        for head, own in filled(chances).items():
            logits = [math.log(one) if head in ONE_OF else math.log(one / (1 - one)) for one in own.values()]
            layer = net.heads[head]
            assert isinstance(layer, nn.Linear)
            layer.bias.copy_(torch.tensor(logits))
    numbers = dict.fromkeys(NAMES, 1.0)
    sha256 = save_fp16(net, folder / WEIGHTS)
    config = GlanceConfig(sha256=sha256, names=NAMES, temperatures=numbers, accuracies=numbers)
    (folder / CONFIG).write_text(json.dumps(config.model_dump(mode="json")), "utf-8")
    return folder
