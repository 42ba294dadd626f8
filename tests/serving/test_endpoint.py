"""What a profile may say about an endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mmedagent.serving.endpoint import RESERVED, Endpoint

URL = "http://127.0.0.1:8001/v1"


def endpoint(**fields: Any) -> Endpoint:
    return Endpoint(**{"url": URL, "model": "m", **fields})


@pytest.mark.parametrize("url", [URL, f"{URL}/", "https://models.example/openai/v1", "http://[::1]:8001"])
def test_an_address_is_kept_without_its_last_slash(url: str) -> None:
    assert endpoint(url=url).url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8001",
        "ftp://models.example",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://host:99999/v1",
        "http://[::1/v1",
        "http://user:sk-secret@host/v1",
        "http://host/v1?key=sk-secret",
        "http://host/v1#sk-secret",
        "http://host/v 1",
        "http://hóst/v1",
    ],
)
def test_what_is_no_base_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        endpoint(url=url)
    (error,) = raised.value.errors()
    assert error["loc"] == ("url",)
    assert "sk-secret" not in error["msg"]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": ""},
        {"api_key": "sk-secret"},
        {"api_key_variable": "sk-secret"},
        {"plans": "regex"},
        {"context_characters": 10},
        *({"parameters": {name: 1}} for name in sorted(RESERVED)),
        {"parameters": {"temperature": float("nan")}},
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        endpoint(**fields)
    assert raised.value.errors()[0]["loc"][0] == next(iter(fields))


def test_no_key_is_wanted_where_no_variable_is_named() -> None:
    assert endpoint().api_key() is None
