"""Tool cards: what a tool is, what it takes and gives, in one place for planner, API, page and training data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from mmedagent.protocol.types import JsonObject, JsonSchema, Seconds, Sha256, ShortText, Text, ToolName, WireType


class CardExample(WireType):
    """One way a person asks for the tool, with the parameters that the ask means."""

    ask: ShortText
    parameters: JsonObject


class ToolCard(WireType):
    """Everything about a tool that others may know before calling it.

    `parameters` and `result` are JSON Schemas (draft 2020-12) of objects. `modalities` are the tool's own words
    (CT, MR, X-ray, ultrasound, fundus, histology, gross); empty means any. `checkpoint_sha256` is filled in by
    the worker after loading.
    """

    name: ToolName
    aliases: tuple[ShortText, ...] = Field(default=(), max_length=8)
    title: ShortText
    description: Text
    parameters: JsonSchema
    result: JsonSchema
    modalities: tuple[ShortText, ...] = Field(default=(), max_length=32)
    needs_image: bool
    idempotent: bool = True
    typical_seconds: Seconds
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    checkpoint_sha256: Sha256 | None = None
    examples: tuple[CardExample, ...] = Field(default=(), max_length=64)

    def answers_to(self, name: str) -> bool:
        """Whether `name` is this tool's name or one of its aliases, whatever its case."""
        wanted = name.strip().casefold()
        return wanted == self.name or any(wanted == alias.casefold() for alias in self.aliases)
