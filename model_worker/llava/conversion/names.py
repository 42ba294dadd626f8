"""What the tensors of LLaVA are called: by the original code, by transformers in memory, and by transformers on disk.

The original names are those of LlavaLlamaForCausalLM and LlavaMistralForCausalLM (Liu et al. 2023, arXiv 2304.08485 and
2310.03744), which LLaVA-Med (Li et al. 2023, arXiv 2306.00890) and MMedAgent (arXiv 2407.02483) share. Here the vision
tower has one spelling of several, `model.vision_tower.vision_tower.vision_model.`.
"""

from __future__ import annotations

import re
from typing import Literal

Projector = Literal["linear", "mlp2x_gelu"]

TOWER = "model.vision_tower.vision_tower.vision_model."
PROJECTOR = "model.mm_projector."
EMBEDDINGS, HEAD, LAST_NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"

_TOWER_SPELLINGS = re.compile(r"(?:model\.)?vision_tower\.(?:vision_tower\.)?(?:vision_model\.)?|vision_model\.")
_LEFT_OUT = re.compile(
    r".+\.rotary_emb\.inv_freq|.*vision_model\.embeddings\.position_ids"
    r"|text_model\..+|(?:text|visual)_projection\.weight|logit_scale"
)
"""What files hold and LLaVA does not read: tables computed from the sizes, and the other half of a CLIP."""

_IN_MEMORY: tuple[tuple[str, str, str], ...] = (
    ("model.language_model.", "language_model.model.", "model."),
    ("model.vision_tower.", "vision_tower.vision_model.", TOWER),
    ("model.multi_modal_projector.linear_1.", "multi_modal_projector.linear_1.", f"{PROJECTOR}0."),
    ("model.multi_modal_projector.linear_2.", "multi_modal_projector.linear_2.", f"{PROJECTOR}2."),
    ("lm_head.", "language_model.lm_head.", "lm_head."),
)
"""Beginnings of names: in memory, on disk, and in original files with the projector `mlp2x_gelu`."""


def is_left_out(name: str) -> bool:
    """Whether an original file may hold this tensor although nothing reads it."""
    return _LEFT_OUT.fullmatch(name) is not None


def canonical(name: str) -> str:
    """The one spelling of an original name. A CLIP of its own has its vision model at the top."""
    found = _TOWER_SPELLINGS.match(name)
    return f"{TOWER}{name[found.end() :]}" if found else name


def on_disk(name: str) -> str:
    """What transformers calls a tensor in a file that it calls `name` in memory."""
    return next(disk + name.removeprefix(memory) for memory, disk, _ in _IN_MEMORY if name.startswith(memory))


def original(name: str, projector: Projector) -> str | None:
    """What the original code calls a tensor that transformers calls `name` in memory.

    None for the second layer of a projector of one layer: there it is the identity, which no file holds.
    """
    for memory, _, first in _IN_MEMORY:
        if not name.startswith(memory):
            continue
        if projector == "linear" and first.startswith(PROJECTOR):
            return name.replace(memory, PROJECTOR) if first == f"{PROJECTOR}0." else None
        return first + name.removeprefix(memory)
    raise ValueError(name)
