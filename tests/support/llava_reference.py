"""What the original LLaVA code computes, written out in plain torch from the papers, under the original names.

CLIP (arXiv 2103.00020) up to the layer before its last, without the class token; the projector; its output in place of
`<image>` among the embeddings; LLaMA (arXiv 2302.13971) or Mistral (arXiv 2310.06825); scores. Nothing of transformers
and nothing of this project is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from PIL import Image
from sentencepiece import SentencePieceProcessor
from torch import Tensor

IMAGE = -200
"""What the original code writes for `<image>` among the token ids."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
TOWER = "model.vision_tower.vision_tower.vision_model."

State = Mapping[str, Tensor]
Config = Mapping[str, Any]


def logits(state: State, config: Config, tower: Config, ids: list[int], pixels: Tensor | None) -> Tensor:
    """Scores after every position, shape (positions, vocabulary), with the image's patches in place of `IMAGE`.

    Args:
        state: all tensors, those of the vision tower too, in float32.
        config: the model's `config.json`.
        tower: settings of the CLIP.
        ids: token ids.
        pixels: one normalised image, shape (3, side, side).
    """
    embeddings = state["model.embed_tokens.weight"]
    parts = []
    for number in ids:
        if number != IMAGE:
            parts.append(embeddings[number][None])
        else:
            assert pixels is not None
            parts.append(_projected(state, config, _patches(state, config, tower, pixels)))
    hidden = torch.cat(parts)
    for layer in range(config["num_hidden_layers"]):
        hidden = _decoder_layer(state, config, f"model.layers.{layer}.", hidden)
    return _rms_norm(hidden, state["model.norm.weight"], config) @ state["lm_head.weight"].T


def with_lora(state: State, factors: State, scale: float) -> dict[str, Tensor]:
    """W + alpha / r · B · A for every pair of factors, whose names begin with `base_model.model.`."""
    merged = dict(state)
    for name, low in factors.items():
        found = re.fullmatch(r"base_model\.model\.(.+)\.lora_A\.weight", name)
        if found is not None:
            high = factors[name.replace("lora_A", "lora_B")]
            merged[f"{found[1]}.weight"] = state[f"{found[1]}.weight"] + scale * high @ low
    return merged


def token_ids(
    prompt: str, pieces: SentencePieceProcessor, added: Mapping[str, int], *, legacy: bool = True
) -> list[int]:
    """As the original code makes them: one text for each side of `<image>`, each cut at the control tokens.

    SentencePiece gets each piece on its own. Without `legacy`, only the first piece of a text gets a space before it.
    """
    ids = [pieces.bos_id()]
    control = {"<s>": pieces.bos_id(), "</s>": pieces.eos_id(), "<unk>": pieces.unk_id(), **added}
    splitter = "|".join(f"({re.escape(token)})" for token in control)
    for place, text in enumerate(prompt.split("<image>")):
        ids += [IMAGE] if place else []
        first = True
        for piece in filter(None, re.split(splitter, text)):
            if piece in control:
                ids.append(control[piece])
            else:
                spaced = pieces.encode(piece)
                ids += spaced if legacy or first else _without_space(piece, pieces)
            first = False
    return ids


def pixel_values(image: Image.Image, side: int) -> Tensor:
    """Padded with CLIP's mean colour to a square, sized with PIL's bicubic filter, normalised: (3, side, side)."""
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), tuple(int(255 * value) for value in CLIP_MEAN))
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    scaled = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC)) / 255
    return torch.from_numpy(((scaled - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1)).float()


def _without_space(piece: str, pieces: SentencePieceProcessor) -> list[int]:
    """Cut off behind a character that no piece has, before which SentencePiece puts its space."""
    found: list[int] = pieces.encode(f"\x01{piece}")
    assert pieces.id_to_piece(found[:2]) == ["▁", "<0x01>"]
    return found[2:]


def _patches(state: State, config: Config, tower: Config, pixels: Tensor) -> Tensor:
    """Hidden states of the chosen layer, shape (patches, width), without the class token unless it is asked for."""
    part = {name.removeprefix(TOWER): tensor for name, tensor in state.items() if name.startswith(TOWER)}
    patches = F.conv2d(pixels[None], part["embeddings.patch_embedding.weight"], stride=tower["patch_size"])
    tokens = torch.cat([part["embeddings.class_embedding"][None], patches.flatten(2)[0].T])
    hidden = _layer_norm(tokens + part["embeddings.position_embedding.weight"], part, "pre_layrnorm.")
    states = [hidden]
    for number in range(tower["num_hidden_layers"]):
        states.append(_clip_layer(part, f"encoder.layers.{number}.", states[-1], tower["num_attention_heads"]))
    chosen = states[config["mm_vision_select_layer"]]
    return chosen if config.get("mm_vision_select_feature") == "cls_patch" else chosen[1:]


def _clip_layer(part: State, prefix: str, hidden: Tensor, heads: int) -> Tensor:
    normed = _layer_norm(hidden, part, f"{prefix}layer_norm1.")
    query, key, value = (_split(_linear(normed, part, f"{prefix}self_attn.{x}_proj."), heads) for x in "qkv")
    weights = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1)
    hidden = hidden + _linear((weights @ value).transpose(0, 1).flatten(1), part, f"{prefix}self_attn.out_proj.")
    inner = _linear(_layer_norm(hidden, part, f"{prefix}layer_norm2."), part, f"{prefix}mlp.fc1.")
    return hidden + _linear(inner * torch.sigmoid(1.702 * inner), part, f"{prefix}mlp.fc2.")


def _projected(state: State, config: Config, patches: Tensor) -> Tensor:
    if config.get("mm_projector_type", "linear") == "linear":
        return _linear(patches, state, "model.mm_projector.")
    return _linear(F.gelu(_linear(patches, state, "model.mm_projector.0.")), state, "model.mm_projector.2.")


def _decoder_layer(state: State, config: Config, prefix: str, hidden: Tensor) -> Tensor:
    heads = config["num_attention_heads"]
    shared = config.get("num_key_value_heads") or heads
    normed = _rms_norm(hidden, state[f"{prefix}input_layernorm.weight"], config)
    query, key, value = (
        _split(normed @ state[f"{prefix}self_attn.{part}_proj.weight"].T, count)
        for part, count in (("q", heads), ("k", shared), ("v", shared))
    )
    query, key = (_rotated(part, config.get("rope_theta", 10_000.0)) for part in (query, key))
    key, value = (part.repeat_interleave(heads // shared, dim=0) for part in (key, value))
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
    later = torch.ones(scores.shape[-2:]).triu(1).bool()
    attended = (scores.masked_fill(later, -torch.inf).softmax(-1) @ value).transpose(0, 1).flatten(1)
    hidden = hidden + attended @ state[f"{prefix}self_attn.o_proj.weight"].T
    normed = _rms_norm(hidden, state[f"{prefix}post_attention_layernorm.weight"], config)
    gate, up, down = (state[f"{prefix}mlp.{part}_proj.weight"].T for part in ("gate", "up", "down"))
    return hidden + (F.silu(normed @ gate) * (normed @ up)) @ down


def _rotated(part: Tensor, theta: float) -> Tensor:
    """Rotary positions (arXiv 2104.09864) on (heads, positions, width), in halves as LLaMA's weights are stored."""
    half = part.shape[-1] // 2
    angles = torch.arange(part.shape[1])[:, None] * theta ** (-torch.arange(half) / half)
    left, right = part[..., :half], part[..., half:]
    return torch.cat([left * angles.cos() - right * angles.sin(), right * angles.cos() + left * angles.sin()], dim=-1)


def _split(part: Tensor, heads: int) -> Tensor:
    return part.reshape(part.shape[0], heads, -1).transpose(0, 1)


def _linear(part: Tensor, state: State, prefix: str) -> Tensor:
    return part @ state[f"{prefix}weight"].T + state[f"{prefix}bias"]


def _layer_norm(part: Tensor, state: State, prefix: str) -> Tensor:
    return F.layer_norm(part, part.shape[-1:], state[f"{prefix}weight"], state[f"{prefix}bias"], 1e-5)


def _rms_norm(part: Tensor, weight: Tensor, config: Config) -> Tensor:
    return part * torch.rsqrt(part.square().mean(-1, keepdim=True) + config["rms_norm_eps"]) * weight
