"""Where a model behind an OpenAI-compatible API is reached, as a profile says it."""

from __future__ import annotations

import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.types import JsonObject

RESERVED = frozenset({"messages", "model", "n", "response_format", "stream", "tool_choice", "tools"})
"""Fields of a request that the server sets itself."""


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isascii() or any(character.isspace() for character in value):
        raise ValueError("an address such as http://127.0.0.1:8001/v1 is needed")
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise ValueError("the address may hold no user, query or fragment; a key comes from api_key_variable")
    return value.rstrip("/")


def _unreserved(value: JsonObject) -> JsonObject:
    if taken := sorted(RESERVED & value.keys()):
        raise ValueError(f"{taken[0]} is set by the server")
    return value


class Endpoint(BaseModel):
    """An OpenAI-compatible endpoint. No other address is contacted, and no redirect is followed.

    Attributes:
        url: base address; requests go to `chat/completions` below it.
        model: the model's name there; that of a LoRA adapter where the endpoint serves adapters by name.
        api_key_variable: environment variable that holds the key, for an endpoint that wants one.
        vision: whether the model takes images; only then is one sent.
        plans: whether a plan comes as native tool calls, or as JSON that follows a schema (`response_format`).
        context_characters: characters of messages in a request; older turns are left out to stay below.
        parameters: further fields of every request as they are, such as `temperature` or `max_tokens`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, StringConstraints(max_length=500), AfterValidator(_base_url)]
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    api_key_variable: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")] | None = None
    vision: bool = False
    plans: Literal["tools", "json_schema"] = "tools"
    context_characters: int = Field(default=60_000, ge=4_000, le=2_000_000)
    parameters: Annotated[JsonObject, Field(max_length=32), AfterValidator(_unreserved)] = Field(default_factory=dict)

    def api_key(self) -> SecretStr | None:
        """The key from the environment. Raises `CheckpointError` when it should be there and is not, or is no key."""
        if self.api_key_variable is None:
            return None
        value = os.environ.get(self.api_key_variable, "").strip()
        if not value:
            raise CheckpointError(f"The endpoint's key is read from {self.api_key_variable}, which is not set.")
        if not (value.isascii() and value.isprintable()):
            raise CheckpointError(f"{self.api_key_variable} holds no key: a key is printable ASCII.")
        return SecretStr(value)
