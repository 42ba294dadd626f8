"""What holds for all frames of a file: how to show its values, how to measure in it, and where it lies in the patient.

These facts cross from the decoder, are stored beside the file, and are what the API tells of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmedagent.imaging.limits import MAX_AXIS, MAX_FRAMES
from mmedagent.protocol.types import Millimetres, Pixels, ShortText, WireType

DType = Literal["uint8", "int16", "uint16", "float32"]
WindowFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
Letter = Literal["R", "L", "A", "P", "S", "I"]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AxisLength = Annotated[int, Field(ge=1, le=MAX_AXIS)]
Row = tuple[Number, Number, Number, Number]
AffineRows = tuple[Row, Row, Row, Row]


class WindowUsed(WireType):
    """The window of the display frames, in rescaled values. `function` is that of DICOM (PS3.3 C.11.2.1.3)."""

    center: Number
    width: Positive
    source: ShortText
    function: WindowFunction = "LINEAR_EXACT"


class Preset(WireType):
    """A window that a viewer may offer, in rescaled values."""

    name: ShortText
    center: Number
    width: Positive


class Edges(WireType):
    """The side of the patient that each edge of a shown frame points to."""

    left: Letter
    right: Letter
    top: Letter
    bottom: Letter


class FrameInfo(WireType):
    """The frames of a file. A value in `unit` is stored value x `slope` + `intercept`.

    Stored values are `height` x `width` x `samples` of `dtype`. `invert` says that low values are bright (MONOCHROME1).
    `spacing_mm` is (between rows, between columns), `slice_spacing_mm` between neighbouring slices of a volume.
    """

    count: Annotated[int, Field(ge=1, le=MAX_FRAMES)]
    width: Pixels
    height: Pixels
    samples: Literal[1, 3] = 1
    dtype: DType = "uint8"
    slope: Number = 1.0
    intercept: Number = 0.0
    unit: Literal["HU"] | None = None
    window: WindowUsed = WindowUsed(center=127.5, width=255.0, source="full range")
    presets: Annotated[tuple[Preset, ...], Field(max_length=32)] = ()
    invert: bool = False
    orientation: Edges | None = None
    spacing_mm: tuple[Millimetres, Millimetres] | None = None
    spacing_source: ShortText | None = None
    slice_spacing_mm: Millimetres | None = None


class VolumeInfo(WireType):
    """The grid of the slices (i, j, k), k being the frame. Where it is not regular, only the shape and why are known.

    `affine` maps (i, j, k, 1) to RAS+ millimetres (NIfTI-1). `orientation` has the letter that each index grows
    towards; it is None where the file does not say how the patient lay.
    """

    shape: tuple[AxisLength, AxisLength, AxisLength]
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] | None = None
    affine: AffineRows | None = None
    orientation: ShortText | None = None
    regular: bool = True
    reason: ShortText | None = None


class View(WireType):
    """How a slice (i, j) becomes a shown frame: rows from j, or from i when `transposed`, then turned round."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False


class Facts(WireType):
    """`volume` is None where the frames have no place in a patient: pictures, cine loops."""

    frames: FrameInfo
    volume: VolumeInfo | None = None
    view: View = View()
