"""A tool call and what can become of it: a result, a failure, or a skip."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mmedagent.protocol.types import (
    Identifier,
    JsonObject,
    Millimetres,
    Pixels,
    Seconds,
    Sha256,
    ShortText,
    Text,
    ToolName,
    WireType,
)

ArtifactKind = Literal["mask", "overlay", "text"]
ArtifactType = Literal["image/png", "text/plain", "application/json"]


class ImageRef(WireType):
    """A display frame in the blob store, with the header fields that may leave `imaging`.

    `sha256` names the lossless PNG frame (8 bit, gray or RGB, `width` x `height` pixels); `source_sha256` the stored
    file it was decoded from. `spacing_mm` is (between rows, between columns) in millimetres, `spacing_source` the
    DICOM attribute that states it (PS3.3 section 10.7.1). `modality` is the DICOM code (0008,0060) where known.
    """

    sha256: Sha256
    source_sha256: Sha256
    width: Pixels
    height: Pixels
    modality: ShortText | None = None
    spacing_mm: tuple[Millimetres, Millimetres] | None = None
    spacing_source: ShortText | None = None
    body_part: ShortText | None = None
    laterality: ShortText | None = None
    slice: int = Field(default=0, ge=0, le=100_000)


MAX_CALLERS = 3
"""How deep calls of tools by tools may be nested."""


class ToolCall(WireType):
    """What a worker is asked to do. `deadline_s` is the time left, in seconds, when the call is sent.

    `callers` are the tools on whose behalf it is done, the outermost first; none of them is called again, so that no
    tool waits for itself.
    """

    call_id: Identifier
    tool: ToolName
    parameters: JsonObject
    image: ImageRef | None = None
    deadline_s: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)]
    correlation_id: Identifier
    callers: tuple[ToolName, ...] = Field(default=(), max_length=MAX_CALLERS)

    @model_validator(mode="after")
    def _no_circle(self) -> Self:
        if self.tool in self.callers:
            raise ValueError(f"{self.tool} is at work on this already and would wait for itself")
        return self


class Artifact(WireType):
    """A file that a tool made, in the blob store. A `mask` is a 1-bit PNG of the frame's size."""

    sha256: Sha256
    kind: ArtifactKind
    media_type: ArtifactType
    label: ShortText = ""


class Provenance(WireType):
    """Where a result comes from. `label` says when the weights are for demonstration only.

    `parts` are the results of other tools that it rests on, in the order in which they were given.
    """

    tool: ToolName
    version: ShortText
    checkpoint_sha256: Sha256 | None
    preprocessing: ShortText
    input_sha256: tuple[Sha256, ...] = Field(max_length=16)
    output_sha256: Sha256
    seconds: Seconds
    label: ShortText = ""
    parts: tuple[Provenance, ...] = Field(default=(), max_length=64)


class ToolProgress(WireType):
    """How much of a call is done, 0 to 1, and what is being done. It may come any number of times, or never."""

    kind: Literal["progress"] = "progress"
    fraction: Annotated[float, Field(ge=0, le=1)]
    text: ShortText = ""


class ToolResult(WireType):
    """A call that worked, also when it found nothing. `data` follows the card's result schema."""

    kind: Literal["result"] = "result"
    call_id: Identifier
    tool: ToolName
    data: JsonObject
    artifacts: tuple[Artifact, ...] = Field(default=(), max_length=256)
    provenance: Provenance


class ToolFailure(WireType):
    """A call that did not work. It is disclosed to the user and never read as a finding."""

    kind: Literal["failure"] = "failure"
    call_id: Identifier
    tool: ToolName
    code: Identifier
    message: Text
    retryable: bool = False


class ToolSkipped(WireType):
    """A call that was not made, because a result that it depends on is empty, failed or skipped itself."""

    kind: Literal["skipped"] = "skipped"
    call_id: Identifier
    tool: ToolName
    reason: Text


Outcome = Annotated[ToolResult | ToolFailure | ToolSkipped, Field(discriminator="kind")]
InvokeEvent = Annotated[ToolProgress | ToolResult | ToolFailure, Field(discriminator="kind")]
"""What a worker streams to a caller who asks for events; a result or a failure is the last."""
