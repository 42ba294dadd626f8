"""From stored values to 8-bit display values: modality transform, VOI window or table, fall-backs (PS3.3 C.11)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmedagent.imaging.facts import Preset, WindowFunction, WindowUsed

Values = NDArray[np.float64]
Transform = Callable[[Values], Values]

_TABLE_SIZE = 2**16
_SAMPLES = 2**20
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Window:
    """A window in rescaled units (HU in CT). Without centre and width, values 0..255 are shown as they are."""

    center: float | None
    width: float | None
    source: str
    function: WindowFunction = "LINEAR_EXACT"

    def apply(self, values: Values) -> Values:
        """Values mapped to 0..255, clipped (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
        if self.center is None or self.width is None:
            return np.clip(values, 0.0, 255.0)
        if self.function == "SIGMOID":
            return 255.0 / (1.0 + np.exp(np.clip(-4.0 * (values - self.center) / self.width, -700.0, 700.0)))
        shift, width = (0.5, self.width - 1.0) if self.function == "LINEAR" else (0.0, self.width)
        if width == 0.0:
            return np.where(values > self.center - shift, 255.0, 0.0)
        return np.clip(((values - (self.center - shift)) / width + 0.5) * 255.0, 0.0, 255.0)


FULL_RANGE = Window(None, None, "full range")
_CT_SOFT_TISSUE = Window(40.0, 400.0, "preset soft tissue")
_CT_BRAIN = Window(40.0, 80.0, "preset brain")
CT_PRESETS = {
    "soft tissue": (40.0, 400.0),
    "lung": (-600.0, 1_500.0),
    "bone": (400.0, 1_800.0),
    "brain": (40.0, 80.0),
    "liver": (30.0, 150.0),
}
_BRAIN_PARTS = frozenset({"HEAD", "BRAIN", "SKULL"})
_MAX_HEADER_WINDOWS = 16


def to_display(stored: NDArray[Any], transform: Transform) -> NDArray[np.uint8]:
    """Display values of stored values, under a transform to 0..255.

    The transform depends on the stored value alone, so for up to 16 bits it is computed once for each value. Other
    values are transformed some rows at a time, which bounds the memory.
    """
    if stored.dtype.kind in "iu":
        low, high = int(stored.min()), int(stored.max())
        if high - low < _TABLE_SIZE:
            table = np.rint(transform(np.arange(low, high + 1, dtype=np.float64))).astype(np.uint8)
            shown: NDArray[np.uint8] = table[stored.astype(np.int64) - low]
            return shown
    shown = np.empty(stored.shape, np.uint8)
    step = max(1, _SAMPLES // (stored.size // len(stored)))
    for start in range(0, len(stored), step):
        rows = slice(start, start + step)
        shown[rows] = np.rint(transform(stored[rows].astype(np.float64)))
    return shown


def percentile_window(values: NDArray[Any]) -> Window:
    """Window from the 0.5th to the 99.5th percentile; from the least to the largest value where those are equal."""
    sample = _thinned(values)
    low, high = (float(bound) for bound in np.percentile(sample, _PERCENTILES))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    # A flat picture has no contrast to stretch: it is shown black.
    width = high - low if high > low else 1.0
    return Window(low + width / 2, width, "percentile")


def display_transform(header: Dataset, stored: NDArray[Any]) -> tuple[Transform, Window]:
    """How to show monochrome stored values, MONOCHROME1 not yet inverted, and the window behind it.

    In this order: the header's VOI LUT, the header's first usable window, for CT in Hounsfield units a preset (brain
    40/80 for head, brain and skull, else soft tissue 40/400), full range for up to 8 bits, percentiles for the rest.
    """
    modality = modality_transform(header)
    table = _lookup_table(header, "VOILUTSequence")
    if table is not None:
        lookup, top = table
        return (lambda values: lookup(modality(values)) * (255.0 / top)), Window(None, None, "header table")
    window = choose_window(header, modality, stored)
    if window.center is None:
        top = _full_range(header)
        return (lambda values: values * (255.0 / top)), window
    return (lambda values: window.apply(modality(values))), window


def choose_window(header: Dataset, modality: Transform, stored: NDArray[Any]) -> Window:
    """The window for stored values of one frame or of many. A VOI LUT in the header is not looked at."""
    window = next(iter(header_windows(header)), None) or _ct_preset(header)
    if window is None and int(header.BitsStored) <= 8 and int(header.PixelRepresentation) == 0:
        return FULL_RANGE
    return window or _percentiles_after(modality, header, stored)


def stated_window(header: Dataset, window: Window) -> WindowUsed:
    """A window in numbers: for full range and for a header table the range of rescaled values that they spread."""
    if window.center is not None and window.width is not None:
        return WindowUsed(
            center=window.center, width=window.width or 1.0, source=window.source, function=window.function
        )
    items = header.get("VOILUTSequence")
    if window.source == "header table" and items:
        entries, first, _ = (int(number) for number in items[0].LUTDescriptor)
        width = float(entries or _TABLE_SIZE)
        return WindowUsed(center=first + width / 2, width=width, source=window.source)
    slope, intercept = rescale_of(header)
    top = _full_range(header)
    return WindowUsed(center=top / 2 * slope + intercept, width=top * abs(slope), source=window.source)


def presets_of(header: Dataset) -> tuple[Preset, ...]:
    """Windows to offer: those of the header first, then for CT in Hounsfield units the usual ones."""
    own = [(window.center, window.width) for window in header_windows(header)[:_MAX_HEADER_WINDOWS]]
    named = [
        Preset(name="header" if number == 1 else f"header {number}", center=center, width=width)
        for number, (center, width) in enumerate(dict.fromkeys(own), 1)
        if center is not None and width is not None
    ]
    if is_hounsfield(header):
        brain_first = header.get("BodyPartExamined") in _BRAIN_PARTS
        names = sorted(CT_PRESETS, key=lambda name: name != "brain") if brain_first else CT_PRESETS
        named += [Preset(name=name, center=CT_PRESETS[name][0], width=CT_PRESETS[name][1]) for name in names]
    return tuple(named)


def is_hounsfield(header: Dataset) -> bool:
    """Whether rescaled values are Hounsfield units."""
    states_it = header.get("RescaleType") in (None, "", "HU") and _number(header, "RescaleIntercept") is not None
    return header.get("Modality") == "CT" and states_it and not header.get("ModalityLUTSequence")


def rescale_of(header: Dataset) -> tuple[float, float]:
    """Rescale slope and intercept, (1, 0) where the header has none that can be used."""
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if slope is None or intercept is None or slope == 0.0:
        return 1.0, 0.0
    return slope, intercept


def has_modality_table(header: Dataset) -> bool:
    return _lookup_table(header, "ModalityLUTSequence") is not None


def _full_range(header: Dataset) -> float:
    return float(2 ** int(header.BitsStored) - 1)


def modality_transform(header: Dataset) -> Transform:
    """Stored values to rescaled units: modality LUT, or rescale slope and intercept (PS3.3 C.11.1)."""
    table = _lookup_table(header, "ModalityLUTSequence")
    if table is not None:
        return table[0]
    slope, intercept = rescale_of(header)
    return lambda values: values * slope + intercept


def header_windows(header: Dataset) -> list[Window]:
    """The usable windows of the header, in its order."""
    function: WindowFunction = header.get("VOILUTFunction") or "LINEAR"
    least = 1.0 if function == "LINEAR" else 0.0
    return [
        Window(center, width, "header", function)
        for center, width in zip(_numbers(header, "WindowCenter"), _numbers(header, "WindowWidth"), strict=False)
        if math.isfinite(center) and math.isfinite(width) and width >= least and width > 0
    ]


def _ct_preset(header: Dataset) -> Window | None:
    if not is_hounsfield(header):
        return None
    return _CT_BRAIN if header.get("BodyPartExamined") in _BRAIN_PARTS else _CT_SOFT_TISSUE


def _thinned(values: NDArray[Any]) -> Values:
    """About a million values, evenly spread: enough for percentiles of the largest frame."""
    return values.ravel(order="K")[:: max(1, values.size // _SAMPLES)].astype(np.float64)


def _percentiles_after(modality: Transform, header: Dataset, stored: NDArray[Any]) -> Window:
    """Percentiles of the rescaled values, without padding, which is no part of the picture (PS3.3 C.7.5.1.1.2)."""
    sample = _thinned(stored)
    first = _number(header, "PixelPaddingValue")
    if first is not None:
        last = _number(header, "PixelPaddingRangeLimit")
        low, high = sorted((first, first if last is None else last))
        inside = sample[(sample < low) | (sample > high)]
        sample = inside if inside.size else sample
    return percentile_window(modality(sample))


def _lookup_table(header: Dataset, keyword: str) -> tuple[Transform, float] | None:
    """The first look-up table of a sequence as a function, and the top of its output range (PS3.3 C.11.1.1)."""
    items = header.get(keyword)
    if not items or items[0].get("LUTDescriptor") is None or items[0].get("LUTData") is None:
        return None
    entries, first, bits = (int(number) for number in items[0].LUTDescriptor)
    data = items[0].LUTData
    if isinstance(data, bytes):
        order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, np.uint8 if len(data) == entries else f"{order}u2")
    table = np.atleast_1d(np.asarray(data, dtype=np.float64))[: entries or _TABLE_SIZE]
    if not table.size or not 8 <= bits <= 16:
        return None
    last = table.size - 1
    return (lambda values: table[np.clip(np.rint(values) - first, 0, last).astype(np.intp)]), float(2**bits - 1)


def _numbers(header: Dataset, keyword: str) -> list[float]:
    value = header.get(keyword)
    if value is None or value == "":
        return []
    try:
        return [float(number) for number in value]
    except TypeError:
        return [float(value)]


def _number(header: Dataset, keyword: str) -> float | None:
    finite = [number for number in _numbers(header, keyword) if math.isfinite(number)]
    return finite[0] if finite else None
