"""The application's OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from mmedagent.controller.api.stream_shapes import StreamEvent
from mmedagent.protocol.errors import Problem

_SCHEMAS = "#/components/schemas/"
_MORE: TypeAdapter[Any] = TypeAdapter(tuple[StreamEvent, Problem])
STREAM_EVENT = {"schema": {"$ref": f"{_SCHEMAS}StreamEvent"}}
ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": f"{_SCHEMAS}Problem"}}},
    }
}


class DocumentedApp(FastAPI):
    """Adds what FastAPI does not know of to its document: the events of a stream, and how errors are told."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        more = _MORE.json_schema(mode="serialization", ref_template=_SCHEMAS + "{model}")["$defs"]
        document["components"]["schemas"] = dict(sorted({**more, **document["components"]["schemas"]}.items()))
        return document
