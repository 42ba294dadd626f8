"""What a phantom is: a synthetic image with its exact ground truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Phantom:
    """A synthetic image and what is truly in it.

    Attributes:
        image: uint8, (H, W) grey or (H, W, 3) RGB.
        modality: one of "CT", "MR", "X-ray", "ultrasound", "fundus", "histology".
        anatomy: the body part, such as "abdomen", "brain", "chest", "eye" or "tissue".
        masks: structure name -> bool (H, W); every mask has at least 12 pixels.
        findings: names of abnormal findings in the image, sorted; empty for a normal image.
    """

    image: Pixels
    modality: str
    anatomy: str
    masks: dict[str, Mask]
    findings: tuple[str, ...]
