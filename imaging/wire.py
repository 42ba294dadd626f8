"""Messages of a decoder process: a JSON line asks; a JSON header, its length before it, and raw bytes answer.

Nothing but JSON and bytes crosses, so a decoder that a hostile file has taken over can send wrong pixels, but no code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints

from mmedagent.imaging.facts import DType, Facts
from mmedagent.imaging.frame import Decoded, DecodedFrame, Frame, FrameMeta
from mmedagent.imaging.limits import MAX_FILE_BYTES, MAX_FILES, MAX_FRAMES, MAX_PIXELS, MAX_SIDE
from mmedagent.imaging.samples import dtype_name
from mmedagent.protocol.types import ShortText, WireType

READY = b"ready\n"
HEADER_LENGTH = struct.Struct(">I")
MAX_HEADER_BYTES = 16_384

FilePath = Annotated[str, StringConstraints(max_length=4_096)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class DecodeRequest(WireType):
    """Which upload to decode, and the limits for it. With a `frame` only that frame of the one file is wanted."""

    paths: Annotated[tuple[FilePath, ...], Field(min_length=1, max_length=MAX_FILES)]
    frame: Annotated[int, Field(ge=0, le=MAX_FRAMES)] | None = None
    cpu_seconds: Annotated[float, Field(gt=0, le=3_600)]


class DecodeFailure(WireType):
    """A typed error of `decode`: its code and its sentence."""

    kind: Literal["failure"] = "failure"
    code: ShortText
    detail: ShortText


class FramePart(WireType):
    """The size of the pixels that follow (rows x columns x channels bytes), and their facts."""

    rows: Side
    columns: Side
    channels: Literal[1, 3]
    meta: FrameMeta

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, self.columns) if self.channels == 1 else (self.rows, self.columns, 3)

    @property
    def pixel_bytes(self) -> int:
        return self.rows * self.columns * self.channels

    @property
    def is_within_limits(self) -> bool:
        return self.rows * self.columns <= MAX_PIXELS


class DecodeSuccess(FramePart):
    """What precedes the pixels and the de-identified file."""

    kind: Literal["success"] = "success"
    deidentified_bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES + 2**20)]
    media_type: ShortText
    facts: Facts

    @property
    def body_bytes(self) -> int:
        return self.deidentified_bytes


class FrameSuccess(FramePart):
    """What precedes the pixels of one frame, and as many stored values, little-endian."""

    kind: Literal["frame"] = "frame"
    dtype: DType

    @property
    def body_bytes(self) -> int:
        return self.pixel_bytes * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Answer:
    """An encoded answer: header and bodies, to be written in this order."""

    parts: tuple[bytes | memoryview, ...]


def encode_failure(failure: DecodeFailure) -> Answer:
    return Answer((_prefixed(failure),))


def encode_decoded(decoded: Decoded) -> Answer:
    pixels = np.ascontiguousarray(decoded.frame.pixels)
    header = DecodeSuccess(
        **_frame_fields(decoded.frame),
        deidentified_bytes=len(decoded.deidentified),
        media_type=decoded.media_type,
        facts=decoded.facts,
    )
    return Answer((_prefixed(header), pixels.data.cast("B"), decoded.deidentified))


def encode_frame(decoded: DecodedFrame) -> Answer:
    pixels = np.ascontiguousarray(decoded.frame.pixels)
    stored = np.ascontiguousarray(decoded.stored, decoded.stored.dtype.newbyteorder("<"))
    header = FrameSuccess(**_frame_fields(decoded.frame), dtype=dtype_name(stored.dtype))
    return Answer((_prefixed(header), pixels.data.cast("B"), stored.data.cast("B")))


def assemble(header: DecodeSuccess, pixels: bytes, deidentified: bytes) -> Decoded:
    """The decoded image, from a header and the two bodies it announced."""
    return Decoded(_frame(header, pixels), header.media_type, deidentified, header.facts)


def assemble_frame(header: FrameSuccess, pixels: bytes, stored: bytes) -> DecodedFrame:
    """The same for one frame."""
    dtype = np.dtype(header.dtype).newbyteorder("<")
    return DecodedFrame(_frame(header, pixels), np.frombuffer(stored, dtype).reshape(header.shape))


def _frame_fields(frame: Frame) -> dict[str, Any]:
    shape = frame.pixels.shape
    return {"rows": shape[0], "columns": shape[1], "channels": 3 if len(shape) == 3 else 1, "meta": frame.meta}


def _frame(header: FramePart, pixels: bytes) -> Frame:
    return Frame(np.frombuffer(bytearray(pixels), np.uint8).reshape(header.shape), header.meta)


def _prefixed(header: DecodeSuccess | FrameSuccess | DecodeFailure) -> bytes:
    encoded = header.model_dump_json().encode()
    return HEADER_LENGTH.pack(len(encoded)) + encoded
