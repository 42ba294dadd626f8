"""What a phantom is: a synthetic image with its exact ground truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Report:
    """What a radiologist would write about a phantom: whole sentences, each ending with a full stop."""

    findings: str
    impression: str


@dataclass(frozen=True)
class Phantom:
    """A synthetic image and what is truly in it.

    Attributes:
        image: uint8, (H, W) grey or (H, W, 3) RGB.
        modality: one of "CT", "MR", "X-ray", "ultrasound", "fundus", "histology", "photograph", or "" for an image that
            is not medical.
        anatomy: the body part, such as "abdomen", "brain", "chest", "eye" or "tissue".
        masks: structure name -> bool (H, W); every mask has at least 12 pixels.
        findings: names of abnormal findings in the image, sorted; empty for a normal image.
        view: how the body part is seen: "axial", "sagittal", "coronal", "frontal", ...; empty where that has no name.
        technique: MR weighting ("T1", "T2", "FLAIR"), stain ("H&E", "IHC") or the like; empty where there is none.
        report: the text of chest radiographs, else None.
        hounsfield: int16 (H, W) CT numbers before windowing, of CT phantoms only.
    """

    image: Pixels
    modality: str
    anatomy: str
    masks: dict[str, Mask]
    findings: tuple[str, ...]
    view: str = ""
    technique: str = ""
    report: Report | None = None
    hounsfield: NDArray[np.int16] | None = None
