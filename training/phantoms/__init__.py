"""Synthetic medical images with exact ground truth, from a seed.

Shapes follow what textbooks say about proportions and brightness; every parameter is drawn anew for each image (window,
gamma, noise, blur, organs, view), so that networks trained on phantoms meet real images as one more variation. No
real image is used.
"""

from collections.abc import Callable

import numpy as np

from mmedagent.training.phantoms import ct, fundus, histology, mr, other, photograph, ultrasound, xray
from mmedagent.training.phantoms.base import Phantom

_GENERATORS: dict[str, Callable[[np.random.Generator, int], Phantom]] = {
    "ct": ct.generate,
    "mr": mr.generate,
    "xray": xray.generate,
    "ultrasound": ultrasound.generate,
    "fundus": fundus.generate,
    "histology": histology.generate,
    "photograph": photograph.generate,
    "other": other.generate,
}
NON_MEDICAL: tuple[str, ...] = ("other",)
"""Kinds of images that have no modality and no ground truth but that."""

KINDS: tuple[str, ...] = tuple(kind for kind in _GENERATORS if kind not in NON_MEDICAL)


def generate(kind: str, rng: np.random.Generator, size: int = 256) -> Phantom:
    """Draw one phantom of `size` x `size` pixels; the same generator state gives the same phantom.

    Raises:
        ValueError: `kind` is neither one of `KINDS` nor one of `NON_MEDICAL`.
    """
    if kind not in _GENERATORS:
        raise ValueError(f"unknown phantom kind {kind!r}; known kinds: {', '.join(_GENERATORS)}")
    return _GENERATORS[kind](rng, size)
