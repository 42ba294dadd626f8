"""A folder with the published checkpoints, as holes in the disk, and a profile that reads it."""

from __future__ import annotations

from pathlib import Path

from mmedagent.networks.checkpoints import sha256_file
from support.layout_files import (
    clip_shapes,
    grounding_shapes,
    sam_shapes,
    write_archive,
    write_clip_settings,
    write_json,
)
from support.llava_files import write_llava_med

PROFILE = """
[planner]
backend = "llava"
checkpoint = "llava"

[tools.grounding]
backend = "mmedagent.tool_workers.grounding:GroundingTool"
checkpoint = "grounding"

[tools.segmentation]
checkpoint = "medsam"

[tools.classification]
checkpoint = "biomedclip"
"""
GROUNDING = "groundingdinomed-checkpoint0005_slim.pth"
MEDSAM = "medsam_vit_b.pth"
BIOMEDCLIP_BIN = "open_clip_pytorch_model.bin"
FOLDERS = ("llava", "grounding", "medsam", "biomedclip")


def write_official(models: Path) -> None:
    """The four folders whose layouts are published, pinned as docs/profiles.md asks for."""
    for name in FOLDERS:
        (models / name).mkdir(parents=True)
    write_llava_med(models / "llava")
    write_archive(models / "grounding" / GROUNDING, grounding_shapes(), under="model")
    pin(models / "grounding", GROUNDING, "grounding.json")
    write_archive(models / "medsam" / MEDSAM, sam_shapes())
    pin(models / "medsam", MEDSAM, "config.json")
    write_clip_settings(models / "biomedclip")
    write_archive(models / "biomedclip" / BIOMEDCLIP_BIN, clip_shapes())
    digest = sha256_file(models / "biomedclip" / BIOMEDCLIP_BIN)
    (models / "biomedclip" / f"{BIOMEDCLIP_BIN}.sha256").write_text(f"{digest}  {BIOMEDCLIP_BIN}\n")


def pin(folder: Path, weights: str, settings: str) -> None:
    """Write the settings that name and pin a weights file."""
    write_json(folder / settings, weights=weights, sha256=sha256_file(folder / weights))


def write_profile(folder: Path) -> Path:
    path = folder / "official.toml"
    path.write_text(PROFILE)
    return path
