"""Keys and values of the replies that are being written, one row each, for a model that writes all of them at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

LENGTH_STEP = 256
"""Places for tokens are added in steps of so many, because each time everything is copied."""


class _RowLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, shape (rows, heads, places, head size), written in place at each row's own end."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        count, ends = len(self._rows), self._rows.lengths
        row = torch.arange(count, device=ends.device)
        self.keys[row, :, ends] = key_states[:, :, 0]
        self.values[row, :, ends] = value_states[:, :, 0]
        longest = self._rows.longest + 1
        return self.keys[:count, :, :longest], self.values[:count, :, :longest]

    def get_seq_length(self) -> int:
        return self._rows.longest


class Rows:
    """Rows of different lengths, side by side. What lies behind the end of a row is masked.

    `lengths` has shape (rows,), int64: the tokens of each row. `positions`, of the same shape, are those of the tokens
    that come next. Memory is given back when the last row leaves.
    """

    def __init__(self, device: torch.device) -> None:
        self.lengths = torch.zeros(0, dtype=torch.int64, device=device)
        self.positions = self.lengths
        self.longest = 0
        self._layers: list[_RowLayer] = []

    def __len__(self) -> int:
        return len(self.lengths)

    def cache(self) -> Cache:
        """What the model takes as `past_key_values` of one step, with room for one more token in every row."""
        self._grow(len(self), self.longest + 1)
        return Cache(layers=self._layers)

    @property
    def mask(self) -> Tensor:
        """Which places each row's next token sees: bool, shape (rows, 1, 1, longest + 1)."""
        places = torch.arange(self.longest + 1, device=self.lengths.device)
        return (places <= self.lengths[:, None])[:, None, None]

    def join(self, read: Cache, position: int) -> None:
        """Add a row at the end: a prompt that has been read, with batch size 1, and the position of the next token."""
        length = read.get_seq_length()
        if not self._layers:
            self._layers = [self._empty_layer(source) for source in read.layers]
        self._grow(len(self) + 1, length)
        for layer, source in zip(self._layers, read.layers, strict=True):
            layer.keys[len(self), :, :length] = source.keys[0]
            layer.values[len(self), :, :length] = source.values[0]
        self.positions = torch.cat([self.positions, self.positions.new_tensor([position])])
        self._set_lengths(torch.cat([self.lengths, self.lengths.new_tensor([length])]))

    def leave(self, row: int) -> None:
        """Take a row out; the last row takes its place."""
        last = len(self) - 1
        if row != last:
            for layer in self._layers:
                layer.keys[row] = layer.keys[last]
                layer.values[row] = layer.values[last]
        order = [last if place == row else place for place in range(last)]
        self.positions = self.positions[order]
        self._set_lengths(self.lengths[order])
        if not last:
            self._layers = []

    def advance(self) -> None:
        """Count the token that the model has just written into every row."""
        self.positions = self.positions + 1
        self._set_lengths(self.lengths + 1)

    def _set_lengths(self, lengths: Tensor) -> None:
        self.lengths = lengths
        self.longest = int(lengths.max()) if len(lengths) else 0

    def _empty_layer(self, source: DynamicLayer) -> _RowLayer:
        layer = _RowLayer(self)
        layer.lazy_initialization(source.keys, source.values)
        layer.keys, layer.values = _larger(source.keys[:0], 1, LENGTH_STEP), _larger(source.values[:0], 1, LENGTH_STEP)
        return layer

    def _grow(self, rows: int, places: int) -> None:
        """Rows double and places grow in steps, as far as is needed."""
        had_rows, _, had_places, _ = self._layers[0].keys.shape
        if rows <= had_rows and places <= had_places:
            return
        wanted_rows = had_rows if rows <= had_rows else max(rows, 2 * had_rows)
        wanted_places = had_places if places <= had_places else -(-places // LENGTH_STEP) * LENGTH_STEP
        for layer in self._layers:
            layer.keys = _larger(layer.keys, wanted_rows, wanted_places)
            layer.values = _larger(layer.values, wanted_rows, wanted_places)


def _larger(tensor: Tensor, rows: int, places: int) -> Tensor:
    """With more rows and places. Zeros, because what is masked must still be a finite number."""
    had_rows, heads, had_places, size = tensor.shape
    grown = tensor.new_zeros(rows, heads, max(places, had_places), size)
    grown[:had_rows, :, :had_places] = tensor
    return grown
