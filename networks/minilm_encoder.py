"""MiniLM's transformer as plain torch modules, under the parameter names of the published weights.

Equal to `transformers.BertModel` without its pooler, and loaded in a fraction of the time, because importing
transformers takes longer than everything else that the compact planner does until it is ready.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmedagent.networks.checkpoints import load_strict
from mmedagent.networks.minilm import MINILM_WIDTH, minilm_folder

VOCABULARY, POSITIONS, SEGMENTS = 30_522, 512, 2
LAYERS, HEADS, INNER_WIDTH = 6, 12, 1_536
NORM_EPSILON = 1e-12
DROPOUT = 0.1
_UNUSED = ("pooler.", "embeddings.position_ids")


def _norm() -> nn.LayerNorm:
    return nn.LayerNorm(MINILM_WIDTH, eps=NORM_EPSILON)


class _Projections(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(MINILM_WIDTH, MINILM_WIDTH)
        self.key = nn.Linear(MINILM_WIDTH, MINILM_WIDTH)
        self.value = nn.Linear(MINILM_WIDTH, MINILM_WIDTH)


class _Residual(nn.Module):
    """A linear layer whose dropped-out result is added to its residual and normalised (post-norm)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, MINILM_WIDTH)
        self.LayerNorm = _norm()
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, states: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(residual + self.dropout(self.dense(states)))
        return normed


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self = _Projections()
        self.output = _Residual(MINILM_WIDTH)

    def forward(self, states: Tensor, visible: Tensor) -> Tensor:
        split = (*states.shape[:2], HEADS, MINILM_WIDTH // HEADS)
        query, key, value = (
            layer(states).view(split).transpose(1, 2) for layer in (self.self.query, self.self.key, self.self.value)
        )
        dropout = DROPOUT if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2), states)
        return attended


class _Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(MINILM_WIDTH, INNER_WIDTH)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention()
        self.intermediate = _Inner()
        self.output = _Residual(INNER_WIDTH)

    def forward(self, states: Tensor, visible: Tensor) -> Tensor:
        attended = self.attention(states, visible)
        transformed: Tensor = self.output(nn.functional.gelu(self.intermediate.dense(attended)), attended)
        return transformed


class _Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, MINILM_WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, MINILM_WIDTH)
        self.token_type_embeddings = nn.Embedding(SEGMENTS, MINILM_WIDTH)
        self.LayerNorm = _norm()
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        total = self.word_embeddings(ids) + self.position_embeddings(places) + self.token_type_embeddings.weight[0]
        embedded: Tensor = self.dropout(self.LayerNorm(total))
        return embedded


class _Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer() for _ in range(LAYERS))


class MiniLMEncoder(nn.Module):
    """Token ids and mask, int64 (n, tokens) with at most 512 tokens, to hidden states, float32 (n, tokens, 384).

    `layers` stops after that many of the six layers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = _Stack()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, layers: int = LAYERS) -> Tensor:
        visible = attention_mask[:, None, None, :].bool()
        states: Tensor = self.embeddings(input_ids)
        for layer in islice(self.encoder.layer, layers):
            states = layer(states, visible)
        return states


def load_minilm_encoder(folder: Path | None = None) -> MiniLMEncoder:
    """The encoder with the pinned weights, in evaluation mode on the CPU, all parameters frozen.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: they are not the pinned ones.
    """
    weights = load_file(minilm_folder(folder) / "model.safetensors")
    encoder = MiniLMEncoder()
    load_strict(encoder, {name: value for name, value in weights.items() if not name.startswith(_UNUSED)})
    return encoder.requires_grad_(requires_grad=False).eval()
