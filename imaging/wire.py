"""Messages of a decoder process: a JSON line asks; a JSON header, its length before it, and raw bytes answer.

Nothing but JSON and bytes crosses, so a decoder that a hostile file has taken over can send wrong pixels, but no code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mmedagent.imaging.frame import Decoded, Frame, FrameMeta
from mmedagent.imaging.limits import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE
from mmedagent.protocol.types import ShortText, WireType

READY = b"ready\n"
HEADER_LENGTH = struct.Struct(">I")
MAX_HEADER_BYTES = 16_384

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class DecodeRequest(WireType):
    """Which file to decode, and the limits for it."""

    path: Annotated[str, Field(max_length=4_096)]
    cpu_seconds: Annotated[float, Field(gt=0, le=3_600)]


class DecodeFailure(WireType):
    """A typed error of `decode_file`: its code and its sentence."""

    kind: Literal["failure"] = "failure"
    code: ShortText
    detail: ShortText


class DecodeSuccess(WireType):
    """What precedes the pixels (rows x columns x channels bytes) and the de-identified file."""

    kind: Literal["success"] = "success"
    rows: Side
    columns: Side
    channels: Literal[1, 3]
    deidentified_bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES + 2**20)]
    media_type: ShortText
    meta: FrameMeta

    @property
    def pixel_bytes(self) -> int:
        return self.rows * self.columns * self.channels

    @property
    def is_within_limits(self) -> bool:
        return self.rows * self.columns <= MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Answer:
    """An encoded answer: header and bodies, to be written in this order."""

    parts: tuple[bytes | memoryview, ...]


def encode_failure(failure: DecodeFailure) -> Answer:
    return Answer((_prefixed(failure),))


def encode_success(decoded: Decoded) -> Answer:
    pixels = np.ascontiguousarray(decoded.frame.pixels)
    header = DecodeSuccess(
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        channels=1 if pixels.ndim == 2 else 3,
        deidentified_bytes=len(decoded.deidentified),
        media_type=decoded.media_type,
        meta=decoded.frame.meta,
    )
    return Answer((_prefixed(header), pixels.data.cast("B"), decoded.deidentified))


def assemble(header: DecodeSuccess, pixels: bytes, deidentified: bytes) -> Decoded:
    """The decoded image, from a header and the two bodies it announced."""
    shape = (header.rows, header.columns) if header.channels == 1 else (header.rows, header.columns, 3)
    frame = Frame(np.frombuffer(bytearray(pixels), np.uint8).reshape(shape), header.meta)
    return Decoded(frame, header.media_type, deidentified)


def _prefixed(header: DecodeSuccess | DecodeFailure) -> bytes:
    encoded = header.model_dump_json().encode()
    return HEADER_LENGTH.pack(len(encoded)) + encoded
