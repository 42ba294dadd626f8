"""A display frame: what a person sees, and the few header facts that are needed to interpret and measure it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.imaging.facts import Facts


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """Facts about a frame. Nothing here identifies a patient: every text is one of a closed set of DICOM terms.

    - `modality`: DICOM code (0008,0060), for example CT, MR, US, DX; None for PNG and JPEG.
    - `spacing_mm`: distance between neighbouring rows and between neighbouring columns, in millimetres.
    - `spacing_source`: the attribute that states it. `PixelSpacing` is a distance in the patient.
      `ImagerPixelSpacing` is a distance on the detector: in projection radiography the body part lies in front of the
      detector, so a length measured with it is magnified (typically by 5 to 30 %) and an area by the square of that.
      `NominalScannedPixelSpacing` is a distance on a digitised film. See PS3.3 section 10.7.1.
    - `body_part` (0018,0015) and `laterality` (R, L, U or B), where the header gives a defined term.
    - `window_center` and `window_width`: the window used, in rescaled units (HU in CT); None where none was needed.
    - `window_source`: `header`, `header table` (VOI LUT), `preset soft tissue`, `preset brain`, `percentile` or
      `full range`.
    - `frame_index` counts from 0; `frame_count` is the number of frames in the file.
    - `photometric`: the photometric interpretation of the file (PS3.3 C.7.6.3.1.2) or Pillow's mode name.
    """

    modality: str | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str | None = None
    body_part: str | None = None
    laterality: str | None = None
    window_center: float | None = None
    window_width: float | None = None
    window_source: str = "full range"
    frame_index: int = 0
    frame_count: int = 1
    photometric: str | None = None

    def __post_init__(self) -> None:
        if (self.spacing_mm is None) != (self.spacing_source is None):
            raise ValueError("a spacing and its source go together")
        if self.spacing_mm is not None and not all(math.isfinite(mm) and mm > 0 for mm in self.spacing_mm):
            raise ValueError("a spacing is a positive number of millimetres")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Pixels ready to show: uint8, (rows, columns) for gray or (rows, columns, 3) for RGB, at the file's own size."""

    pixels: NDArray[np.uint8]
    meta: FrameMeta

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or 0 in shape:
            raise ValueError(f"a frame is uint8 (rows, columns) or (rows, columns, 3), not {self.pixels.dtype} {shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """An image file, decoded: the frame to show, the file's media type, and its bytes without patient identity.

    `deidentified` decodes to the same frame. A volume or a series becomes one NIfTI file (see `study`), of which the
    middle slice is shown first. Text burned into the pixels is not removed from either.
    """

    frame: Frame
    media_type: str
    deidentified: bytes
    facts: Facts


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One frame of a file: to show, and the values of which `Facts.frames` tells the type and the meaning."""

    frame: Frame
    stored: NDArray[Any]
