"""What an answer claims, and the result that each claim rests on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mmedagent.protocol.types import MAX_TEXT, Identifier, Sha256, ShortText, Text, ToolName, WireType

MAX_CLAIMS = MAX_TEXT // 2
"""More claims than this do not fit in an answer."""

ClaimKind = Literal["number", "finding", "citation", "failure"]


class Claim(WireType):
    """A stretch of an answer that says something, and where that comes from.

    `start` and `end` count characters (Unicode code points) of the answer. `field` is a JSON pointer (RFC 6901) into
    the `data` of the result of call `call_id`; without it the value is a parameter of that call, or the call has no
    result. A supported claim without a call repeats the question, or with `input_sha256` a fact of the image's file. An
    unsupported claim with a call goes against its result, or cites a call that has none. `score` is what the tool gave
    for it.
    """

    start: int = Field(ge=0, le=MAX_TEXT)
    end: int = Field(ge=0, le=MAX_TEXT)
    text: Text
    kind: ClaimKind
    supported: bool
    call_id: Identifier | None = None
    field: ShortText | None = None
    tool: ToolName | None = None
    version: ShortText | None = None
    checkpoint_sha256: Sha256 | None = None
    input_sha256: tuple[Sha256, ...] = Field(default=(), max_length=16)
    score: float | None = None

    @model_validator(mode="after")
    def _spans_its_text(self) -> Self:
        if self.end - self.start != len(self.text):
            raise ValueError("the span of a claim is as long as its text")
        return self


Claims = Annotated[tuple[Claim, ...], Field(max_length=MAX_CLAIMS)]
"""The claims of an answer in the order of `start`; no two overlap."""
