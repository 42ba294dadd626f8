"""Sentence embeddings as arrays."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WIDTH = 384
Vectors = NDArray[np.float32]
"""Shape (n, 384), rows of unit length, so that a dot product is a cosine."""


class Encoder(Protocol):
    """Texts to unit vectors, one a row."""

    def encode(self, texts: list[str]) -> Vectors: ...
