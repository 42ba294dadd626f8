"""What kind of answer a question wants, learnt from phrasings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
"""Sentences to unit vectors, float32 (n, width)."""

SHARPNESS, WORDS_SHARE, RIDGE = 2.0, 0.3, 0.1
"""Kernel exp(-SHARPNESS d²) of the vectors' distance d, the share of the word kernel, and the ridge."""

_TOKEN = re.compile(r"\w+|\?")


@dataclass(frozen=True)
class Guess:
    """The best kind, its score (about 1 for a phrasing that is known, about 0 far from all), and its lead."""

    kind: str
    score: float
    lead: float


class PhrasingClassifier:
    """Kernel ridge regression (Saunders et al. 1998) from phrasings to kinds, one against the rest.

    The kernel compares sentence vectors, and words and word pairs by their inverse document frequency.
    """

    def __init__(self, vectors: Vectors, phrasings: Mapping[str, Sequence[str]]) -> None:
        self._vectors = vectors
        self._kinds = tuple(phrasings)
        texts = [text for own in phrasings.values() for text in own]
        wanted = np.repeat(np.eye(len(phrasings)), [len(own) for own in phrasings.values()], axis=0)
        tokens = [_tokens(text) for text in texts]
        counts = Counter(token for own in tokens for token in own)
        self._weights = {token: float(np.log1p(len(texts) / count)) for token, count in counts.items()}
        self._places = {token: place for place, token in enumerate(self._weights)}
        self._known_vectors, self._known_words = vectors(texts), self._word_vectors(tokens)
        kernel = self._kernel(self._known_vectors, self._known_words)
        self._factors = np.linalg.solve(kernel + RIDGE * np.eye(len(texts)), wanted)

    def guess(self, texts: Sequence[str]) -> list[Guess]:
        """The kind of each text."""
        if not texts:
            return []
        kernel = self._kernel(self._vectors(texts), self._word_vectors([_tokens(text) for text in texts]))
        guesses = []
        for scores in kernel @ self._factors:
            second, best = np.argsort(scores)[-2:]
            guesses.append(Guess(self._kinds[best], float(scores[best]), float(scores[best] - scores[second])))
        return guesses

    def _kernel(self, vectors: NDArray[np.float32], words: NDArray[np.float64]) -> NDArray[np.float64]:
        alike = (vectors @ self._known_vectors.T).astype(np.float64)
        same: NDArray[np.float64] = words @ self._known_words.T
        return (1 - WORDS_SHARE) * np.exp(-SHARPNESS * (2 - 2 * alike)) + WORDS_SHARE * same

    def _word_vectors(self, texts: Sequence[set[str]]) -> NDArray[np.float64]:
        rows = np.zeros((len(texts), len(self._places)))
        for row, tokens in zip(rows, texts, strict=True):
            for token in tokens & self._places.keys():
                row[self._places[token]] = self._weights[token]
        lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, np.maximum(lengths, 1e-9))


def _tokens(text: str) -> set[str]:
    """Words, the question mark, and pairs of neighbours."""
    words = ["", *(match[0].casefold() for match in _TOKEN.finditer(text))]
    return {*words[1:], *(f"{first} {second}" for first, second in pairwise(words))}
