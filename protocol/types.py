"""Field types with their bounds: every string, list and number that crosses a process has a maximum."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints


def _portable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what Python's JSON reader lets through and other readers do not: NaN, Infinity, lone surrogates."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""Hex digest of the encoded bytes, the name of a blob."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
ShortText = Annotated[str, StringConstraints(max_length=500)]
MAX_TEXT = 20_000
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=65_535)]
Millimetres = Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_portable)]
JsonSchema = dict[str, Any]


class WireType(BaseModel):
    """Base of everything that crosses a process: frozen, and unknown fields are refused.

    What is sent has every field, also those that have a default.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )
