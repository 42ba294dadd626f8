"""Grounding DINO checkpoints in the layout of the original code, on the network of transformers.

That is the layout of `groundingdino_swint_ogc.pth` (Liu et al. 2023, arXiv 2303.05499) and of MMedAgent's
`groundingdinomed-checkpoint0005_slim.pth`: a torch archive with a state under "model", or the state alone, whose names
may begin with "module.". A folder holds the archive and `grounding.json`:

    {"weights": "groundingdinomed-checkpoint0005_slim.pth", "sha256": "<64 hex digits>"}

Without `"architecture"`, an object with fields of a `GroundingDinoConfig`, the network is the one with the Swin-T trunk
and BERT base (the original's `GroundingDINO_SwinT_OGC`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mmedagent.networks.checkpoints import CheckpointError, misfit, require_hash
from mmedagent.networks.layouts import flat_state, open_archive

if TYPE_CHECKING:
    from transformers import GroundingDinoForObjectDetection

GROUNDING_FILE = "grounding.json"
UNREAD_NORM = frozenset(f"model.backbone.conv_encoder.model.swin.layernorm.{part}" for part in ("weight", "bias"))
"""A normalisation that the network of transformers has and never applies; no file holds it."""

_LEFT_OUT = re.compile(r"label_enc\.weight|bert\.pooler\..+|bert\.embeddings\.position_ids|.+\.relative_position_index")
"""What original files hold and detection does not read: training aids, and tables computed from the sizes."""

_SWIN = r"model\.backbone\.conv_encoder\.model\."
_RENAMES: tuple[tuple[str, str], ...] = (
    (rf"^{_SWIN}swin\.embeddings\.patch_embeddings\.projection\.", "backbone.0.patch_embed.proj."),
    (rf"^{_SWIN}swin\.embeddings\.", "backbone.0.patch_embed."),
    (rf"^{_SWIN}swin\.encoder\.", "backbone.0."),
    (rf"^{_SWIN}hidden_states_norms\.stage2\.", "backbone.0.norm1."),
    (rf"^{_SWIN}hidden_states_norms\.stage3\.", "backbone.0.norm2."),
    (rf"^{_SWIN}hidden_states_norms\.stage4\.", "backbone.0.norm3."),
    (r"\.attention\.relative_position_bias\.", ".attn."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.attention\.([qkv])_proj\.", r".attn.\1_part."),
    (r"^(backbone\..+)\.layernorm_before\.", r"\1.norm1."),
    (r"^(backbone\..+)\.layernorm_after\.", r"\1.norm2."),
    (r"^model\.input_proj_vision\.", "input_proj."),
    (r"^model\.text_projection\.", "feat_map."),
    (r"^model\.query_position_embeddings\.", "transformer.tgt_embed."),
    (r"^model\.encoder_output_bbox_embed\.", "transformer.enc_out_bbox_embed."),
    (r"^model\.encoder\.layers\.(\d+)\.text_enhancer_layer\.", r"transformer.encoder.text_layers.\1."),
    (r"^model\.encoder\.layers\.(\d+)\.fusion_layer\.", r"transformer.encoder.fusion_layers.\1."),
    (r"^model\.encoder\.layers\.(\d+)\.deformable_layer\.", r"transformer.encoder.layers.\1."),
    (r"^model\.decoder\.layer_norm\.", "transformer.decoder.norm."),
    (r"^model\.decoder\.reference_points_head\.", "transformer.decoder.ref_point_head."),
    (r"^model\.", "transformer."),
    (r"(text_layers\.\d+)\.layer_norm_before\.", r"\1.norm1."),
    (r"(text_layers\.\d+)\.layer_norm_after\.", r"\1.norm2."),
    (r"(encoder\.layers\.\d+)\.self_attn_layer_norm\.", r"\1.norm1."),
    (r"(encoder\.layers\.\d+)\.final_layer_norm\.", r"\1.norm2."),
    (r"(decoder\.layers\.\d+)\.encoder_attn\.", r"\1.cross_attn."),
    (r"(decoder\.layers\.\d+)\.encoder_attn_layer_norm\.", r"\1.norm1."),
    (r"(decoder\.layers\.\d+)\.self_attn_layer_norm\.", r"\1.norm2."),
    (r"(decoder\.layers\.\d+)\.final_layer_norm\.", r"\1.norm3."),
    (r"(decoder\.layers\.\d+)\.encoder_attn_text\.", r"\1.ca_text."),
    (r"(decoder\.layers\.\d+)\.encoder_attn_text_layer_norm\.", r"\1.catext_norm."),
    (r"^(transformer\..+layers\.\d+)\.fc([12])\.", r"\1.linear\2."),
    (r"\.vision_param$", ".gamma_v"),
    (r"\.text_param$", ".gamma_l"),
    (r"\.layer_norm_vision\.", ".layer_norm_v."),
    (r"\.layer_norm_text\.", ".layer_norm_l."),
    (r"\.(|values_|out_)vision_proj\.", r".\1v_proj."),
    (r"\.(|values_|out_)text_proj\.", r".\1l_proj."),
)
"""From transformers' names to the original ones, applied in this order."""

_TRUNK_PART = re.compile(r"(.+\.attn)\.([qkv])_part\.(weight|bias)")
_LAYER_PART = re.compile(r"(.+\.(?:self_attn|ca_text))\.(query|key|value)\.(weight|bias)")
_PARTS = {"q": 0, "k": 1, "v": 2, "query": 0, "key": 1, "value": 2}


class Source(NamedTuple):
    """Where a tensor of the network is in an original file.

    Attributes:
        name: of the original's tensor.
        third: which third of its rows it is, where the original keeps query, key and value in one tensor.
    """

    name: str
    third: int | None = None


def source_of(name: str) -> Source:
    """Where the original keeps what transformers calls `name`."""
    if name.startswith("model.text_backbone."):
        return Source(f"bert.{name.removeprefix('model.text_backbone.')}")
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    if part := _TRUNK_PART.fullmatch(name):
        return Source(f"{part[1]}.qkv.{part[3]}", _PARTS[part[2]])
    if part := _LAYER_PART.fullmatch(name):
        return Source(f"{part[1]}.in_proj_{part[3]}", _PARTS[part[2]])
    return Source(name)


def read_original(path: Path, sha256: str | None) -> dict[str, Tensor]:
    """The state in an original archive, mapped into memory.

    Raises:
        CheckpointError: the file is missing, damaged, not the one that is pinned, not pinned, or holds other objects.
    """
    if sha256 is None:
        raise CheckpointError(f"{path.name} is a torch archive: it is read only with a pinned sha256")
    require_hash(path, sha256)
    return original_state(path, "cpu")


def original_state(path: Path, device: str) -> dict[str, Tensor]:
    """The state in an original archive, without the prefix of distributed training, on "cpu" or "meta".

    The settings of the training, an `argparse.Namespace`, may lie beside the state; they are not used.

    Raises:
        CheckpointError: the file is missing, damaged or holds other objects.
    """
    document = open_archive(path, device, allowed=(argparse.Namespace,))
    if isinstance(document, dict) and isinstance(document.get("model"), dict):
        document = document["model"]
    state = flat_state(document, path.name)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def convert(state: Mapping[str, Tensor], network: GroundingDinoForObjectDetection) -> dict[str, Tensor]:
    """An original state under the names of a network of transformers, for `load_strict`.

    Raises:
        CheckpointError: keys are missing or unexpected (the message has the original names), or the decoder layers,
            which share one box head, have different ones.
    """
    own: dict[str, Tensor] = network.state_dict()
    sources = {name: source_of(name) for name in own if name not in UNREAD_NORM}
    needed = {source.name for source in sources.values()}
    missing = sorted(needed - state.keys())
    unexpected = sorted(name for name in state.keys() - needed if not _LEFT_OUT.fullmatch(name))
    if missing or unexpected:
        raise CheckpointError(misfit(type(network).__name__, missing, unexpected))
    converted = {name: _part(state[source.name], source) for name, source in sources.items()}
    _require_one_box_head(converted)
    return converted | {name: own[name] for name in UNREAD_NORM}


def _part(tensor: Tensor, source: Source) -> Tensor:
    if source.third is None:
        return tensor
    if tensor.ndim == 0 or tensor.shape[0] % 3:
        raise CheckpointError(f"{source.name} {tuple(tensor.shape)} does not hold query, key and value")
    return tensor.chunk(3)[source.third]


def _require_one_box_head(converted: Mapping[str, Tensor]) -> None:
    first = "bbox_embed.0."
    for name, tensor in converted.items():
        head = re.fullmatch(r"(?:model\.decoder\.)?bbox_embed\.\d+\.(.+)", name)
        if head is None or tensor.is_meta:
            continue
        if not torch.equal(tensor, converted[f"{first}{head[1]}"]):
            raise CheckpointError(f"the decoder layers do not share one box head: {source_of(name).name} differs")
