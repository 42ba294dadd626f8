"""The compact planner's ask reader: MiniLM with LoRA, and heads over its word states.

An ask is read in one pass. MiniLM's token states are averaged to words; each word says whether a new part of the ask
begins with it and whether it belongs to a name or a passage to copy (BIO tags); the mean over the words of a part says
what the part asks for: its outcome, for classification its task, and whether it means something named before. The base
weights stay frozen and are not in the checkpoint: it holds the LoRA factors (Hu et al. 2021, arXiv 2106.09685; r = 128
and alpha = 256 as in MMedAgent, arXiv 2407.02483) and the heads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmedagent.networks.checkpoints import CheckpointError
from mmedagent.networks.minilm import MINILM_WIDTH
from mmedagent.protocol.cards import BUILT_IN

TOOLS, OTHER = BUILT_IN, "other_tool"
OUTCOMES = (
    *TOOLS, "greeting", "thanks", "abilities", "image_question", "clarify", "unsafe", "off_topic", "again", "recall",
    OTHER,
)  # fmt: skip
"""What a part may ask for: a tool, something without one, the tool of the ask before, an earlier result, or what only
a tool could do that the planner does not know."""

HARMLESS = ("greeting", "thanks", "abilities", "image_question", "clarify", "off_topic", "recall", OTHER)
"""Outcomes that are answered in words; taking one for another does no harm, so they share their confidence."""

TASKS = ("modality", "anatomy", "histology", "finding", "labels")
REFERS = ("nothing", "before", "other")
"""What a part means that it does not name: nothing, what was named before, or the opposite side of that."""

TAGS = ("O", "B-name", "I-name", "B-passage", "I-passage")
LORA_TARGETS = ("query", "key", "value", "dense")
FEATURE_LENGTH = 8.0
MAX_TOKENS = 128
"""An ask is read up to this many WordPiece tokens; coordinates are read from all of it."""

_LORA_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")


@dataclass(frozen=True)
class AskBatch:
    """A batch of tokenised asks.

    ids, mask: int64 (n, tokens). word: int64 (n, tokens), the number of the word that a token belongs to, from 0, or
    -1. words: the largest number of words.
    """

    ids: Tensor
    mask: Tensor
    word: Tensor
    words: int


class AskHeads(nn.Module):
    """What is read from word states and part states of width 384."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.begin = nn.Linear(MINILM_WIDTH, 1)
        self.tag = nn.Linear(MINILM_WIDTH, len(TAGS))
        self.outcome = nn.Linear(MINILM_WIDTH, len(OUTCOMES))
        self.task = nn.Linear(MINILM_WIDTH, len(TASKS))
        self.refers = nn.Linear(MINILM_WIDTH, len(REFERS))


class PartLogits(NamedTuple):
    """Logits of each part's outcome (n, parts, 17 and those added), task (n, parts, 5) and reference (n, parts, 3)."""

    outcome: Tensor
    task: Tensor
    refers: Tensor


class AddedHeads(nn.Module):
    """What is read of tools that were learnt later, from word and part states of width 768 (`added_features`)."""

    def __init__(self, outcomes: int, tools: int) -> None:
        super().__init__()
        self.outcome = nn.Linear(2 * MINILM_WIDTH, outcomes)
        self.tag = nn.Linear(2 * MINILM_WIDTH, tools * len(TAGS))


class PlannerNet(nn.Module):
    """The ask reader over an encoder that gives token states: merged for use, wrapped by peft in training.

    For `added` heads it also needs `plain`, MiniLM as it came: what the encoder was tuned to forget of an ask, because
    the first tools could do without it, is still there.
    """

    def __init__(self, encoder: nn.Module, plain: nn.Module | None = None, added: AddedHeads | None = None) -> None:
        super().__init__()
        self.encoder, self.plain, self.added = encoder, plain, added
        self.heads = AskHeads()

    def word_states(self, batch: AskBatch) -> Tensor:
        """Mean token state of every word, zero where there is no word: (n, words, 384), with `plain` 768."""
        encoders = [self.encoder] if self.plain is None else [self.encoder, self.plain]
        hidden = [encoder(input_ids=batch.ids, attention_mask=batch.mask) for encoder in encoders]
        return mean_by_group(torch.cat(hidden, -1), batch.word, batch.words)

    def word_logits(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits that a part begins with a word, (n, words), and of its tag, (n, words, 5)."""
        states = self.heads.dropout(states[..., :MINILM_WIDTH])
        return self.heads.begin(states).squeeze(-1), self.heads.tag(states)

    def part_logits(self, pooled: Tensor) -> PartLogits:
        """From the mean of each part's word states, (n, parts, 384), with `plain` 768."""
        own = self.heads.dropout(pooled[..., :MINILM_WIDTH])
        outcome = self.heads.outcome(own)
        if self.added is not None:
            outcome = torch.cat([outcome, self.added.outcome(added_features(pooled))], -1)
        return PartLogits(outcome, self.heads.task(own), self.heads.refers(own))

    def added_tag_logits(self, states: Tensor) -> Tensor:
        """Logits of each word's tag if its part asks for an added tool, (n, words, tools, 5)."""
        if self.added is None:
            return states.new_empty((*states.shape[:-1], 0, len(TAGS)))
        logits: Tensor = self.added.tag(added_features(states))
        return logits.reshape(*states.shape[:-1], -1, len(TAGS))


def added_features(states: Tensor) -> Tensor:
    """States of both encoders (..., 768), each made `FEATURE_LENGTH` long."""
    halves = (states[..., :MINILM_WIDTH], states[..., MINILM_WIDTH:])
    return FEATURE_LENGTH * torch.cat([nn.functional.normalize(half, dim=-1) for half in halves], -1)


def mean_by_group(states: Tensor, group: Tensor, groups: int) -> Tensor:
    """Mean of the states (n, length, width) of each group; `group` (n, length) counts from 0, and -1 is left out."""
    member = nn.functional.one_hot(group + 1, groups + 1)[..., 1:].to(states.dtype)
    total = member.transpose(1, 2) @ states
    return total / member.sum(dim=1).clamp(min=1).unsqueeze(-1)


@torch.no_grad()
def merge_lora(encoder: nn.Module, factors: Mapping[str, Tensor], scaling: float) -> None:
    """Add low-rank updates to a plain encoder: W + scaling * B @ A, for factors under the names that peft gives them.

    Raises:
        CheckpointError: a factor has no partner, names no linear layer of the encoder, or has another shape.
    """
    found: dict[str, dict[Literal["A", "B"], Tensor]] = {}
    for key, tensor in factors.items():
        match = _LORA_KEY.fullmatch(key)
        if match is None:
            raise CheckpointError(f"{key} is not the name of a LoRA factor")
        found.setdefault(match["module"], {})["A" if match["factor"] == "A" else "B"] = tensor.float()
    modules = dict(encoder.named_modules())
    for name, pair in found.items():
        layer = modules.get(name)
        if not isinstance(layer, nn.Linear) or len(pair) != 2:
            raise CheckpointError(f"the LoRA factors of {name} do not fit the encoder")
        update = pair["B"] @ pair["A"]
        if update.shape != layer.weight.shape:
            raise CheckpointError(f"the LoRA factors of {name} have another shape than its weight")
        layer.weight += scaling * update
