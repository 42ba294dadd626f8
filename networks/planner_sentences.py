"""Whole sentences as vectors, from the ask reader's own encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

from mmedagent.networks.minilm import MINILM_WIDTH
from mmedagent.networks.planner_net import PlannerNet

LAYERS = 3
"""The later layers have been tuned to what an ask wants done, and tell less about how a question is put."""

_BATCH = 32


@torch.inference_mode()
def sentence_vectors(net: PlannerNet, tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Mean token states after `LAYERS` layers, scaled to length 1: float32 (n, 384), so a dot product is a cosine."""
    device = next(net.parameters()).device
    vectors = np.empty((len(texts), MINILM_WIDTH), np.float32)
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(texts), _BATCH):
        own = by_length[start : start + _BATCH]
        encodings = tokenizer.encode_batch([texts[index] for index in own])
        ids = torch.tensor([encoding.ids for encoding in encodings], device=device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=device)
        states = net.encoder(input_ids=ids, attention_mask=mask, layers=LAYERS)
        shown = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * shown).sum(dim=1) / shown.sum(dim=1)
        vectors[own] = nn.functional.normalize(mean, dim=1).float().cpu().numpy()
    return vectors
