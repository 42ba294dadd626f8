"""Pixel spacing of a DICOM frame, and which attribute states it."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

_ATTRIBUTES = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_LARGEST_MM = 1_000.0


def pixel_spacing(header: Dataset) -> tuple[tuple[float, float], str] | tuple[None, None]:
    """((between rows, between columns) in mm, attribute), or (None, None) where the file does not say.

    A Pixel Spacing that repeats Imager Pixel Spacing has not been calibrated: it is a distance on the detector, and the
    source says so (PS3.3 section 10.7.1.3). Ultrasound region calibration (PS3.3 C.8.5.5) is not used: it holds for
    parts of a picture only, and goes stale when a viewer resizes the picture.
    """
    found = [(spacing, keyword) for keyword in _ATTRIBUTES if (spacing := _pair(header, keyword)) is not None]
    if not found:
        return None, None
    if len(found) > 1 and found[1] == (found[0][0], "ImagerPixelSpacing"):
        return found[1]
    return found[0]


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    value = header.get(keyword)
    if value is None or isinstance(value, str | float) or len(value) != 2:
        return None
    between_rows, between_columns = float(value[0]), float(value[1])
    usable = all(math.isfinite(mm) and 0 < mm <= _LARGEST_MM for mm in (between_rows, between_columns))
    return (between_rows, between_columns) if usable else None
