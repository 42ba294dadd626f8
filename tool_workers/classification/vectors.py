"""Label vectors, kept: a label is encoded once and then looked up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Prompts = tuple[str, ...]


class LabelVectors:
    """Unit vectors of labels, each the mean of its prompts (Radford et al. 2021, arXiv 2103.00020, section 3.1.4).

    At most `limit` labels are kept; the one that was not used for longest goes first. Safe to use from several threads.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Vectors], limit: int = 1024) -> None:
        self._encode = encode
        self._limit = limit
        self._kept: OrderedDict[Prompts, Vectors] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, labels: Sequence[Prompts]) -> Vectors:
        """Vectors float32 (n, d) of labels, each given by its prompts."""
        with self._lock:
            missing = [prompts for prompts in dict.fromkeys(labels) if prompts not in self._kept]
            fresh = self._make(missing) if missing else {}
            rows = [fresh[prompts] if prompts in fresh else self._kept[prompts] for prompts in labels]
            for prompts, row in zip(labels, rows, strict=True):
                self._kept[prompts] = row
                self._kept.move_to_end(prompts)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return np.stack(rows)

    def _make(self, labels: Sequence[Prompts]) -> dict[Prompts, Vectors]:
        encoded = self._encode([prompt for prompts in labels for prompt in prompts])
        ends = np.cumsum([len(prompts) for prompts in labels])[:-1]
        means = [part.mean(axis=0) for part in np.split(encoded, ends)]
        return {
            prompts: (mean / np.linalg.norm(mean)).astype(np.float32)
            for prompts, mean in zip(labels, means, strict=True)
        }
