"""Keys and values of prompts that were read before, so that the next turn of a conversation reads only what is new."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BLOCK = 64
"""Tokens that are read, and kept, together. Prompts are always read in the same blocks, which makes the scores with and
without reuse equal to the last bit."""


@dataclass(frozen=True)
class Block:
    """Keys and values of `BLOCK` tokens: of each layer two tensors of shape (1, heads, BLOCK, head size)."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    @cached_property
    def nbytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


def block_keys(origin: str, tokens: Sequence[int]) -> list[bytes]:
    """The key of each whole block of a prompt: the sha256 of all that its keys and values depend on.

    That is `origin`, which names the checkpoint with its adapter and the image, and every token up to the block's end.
    """
    key = hashlib.sha256(origin.encode()).digest()
    keys = []
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        ids = torch.tensor(tokens[start : start + BLOCK], dtype=torch.int64)
        key = hashlib.sha256(key + ids.numpy().tobytes()).digest()
        keys.append(key)
    return keys


class PrefixStore:
    """Blocks by key, up to a budget of bytes; what was not used for longest goes first, the end of a prompt before its
    beginning. Not for several threads at once."""

    def __init__(self, budget_bytes: int) -> None:
        self.nbytes = 0
        self._budget = budget_bytes
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()

    def longest(self, keys: Sequence[bytes]) -> list[Block]:
        """The blocks of a prompt from its beginning on, as far as they are kept."""
        known = []
        for key in keys:
            if key not in self._blocks:
                break
            known.append(self._blocks[key])
        for key in reversed(keys[: len(known)]):
            self._blocks.move_to_end(key)
        return known

    def keep(self, blocks: Sequence[tuple[bytes, Block]]) -> None:
        """Keep the blocks of a prompt, given in their order."""
        for key, block in reversed(blocks):
            if key not in self._blocks:
                self._blocks[key] = block
                self.nbytes += block.nbytes
            self._blocks.move_to_end(key)
        while self.nbytes > self._budget:
            _, dropped = self._blocks.popitem(last=False)
            self.nbytes -= dropped.nbytes
