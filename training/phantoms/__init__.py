"""Synthetic medical images with exact ground truth, from a seed.

Shapes follow what textbooks say about proportions and brightness; every parameter is drawn anew for each image (window,
gamma, noise, blur, organs, view), so that networks trained on phantoms meet real images as one more variation. No
real image is used.
"""

from collections.abc import Callable

import numpy as np

from mmedagent.training.phantoms import ct, fundus, histology, mr, ultrasound, xray
from mmedagent.training.phantoms.base import Phantom

_GENERATORS: dict[str, Callable[[np.random.Generator, int], Phantom]] = {
    "ct": ct.generate,
    "mr": mr.generate,
    "xray": xray.generate,
    "ultrasound": ultrasound.generate,
    "fundus": fundus.generate,
    "histology": histology.generate,
}
KINDS: tuple[str, ...] = tuple(_GENERATORS)


def generate(kind: str, rng: np.random.Generator, size: int = 256) -> Phantom:
    """Draw one phantom of `size` x `size` pixels; the same generator state gives the same phantom.

    Raises:
        ValueError: `kind` is not one of `KINDS`.
    """
    if kind not in _GENERATORS:
        raise ValueError(f"unknown phantom kind {kind!r}; known kinds: {', '.join(KINDS)}")
    return _GENERATORS[kind](rng, size)
