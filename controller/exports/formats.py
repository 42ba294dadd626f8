"""The formats in which a conversation leaves, one class each. Another one is another class in `export_formats`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Protocol

from mmedagent.controller.exports.archive import ZipFormat
from mmedagent.controller.exports.bundle import Bundle
from mmedagent.controller.exports.page import HtmlFormat


class ExportFormat(Protocol):
    """How a conversation is written. `headers` are added to the answer."""

    media_type: str
    headers: dict[str, str]

    def write(self, bundle: Bundle) -> Iterator[bytes]:
        """The file in pieces. Raises `TooLargeError` at once, not at the first piece. Blocks."""


class JsonFormat:
    """The whole conversation as data, without pictures."""

    media_type = "application/json"
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def write(self, bundle: Bundle) -> Iterator[bytes]:
        yield json.dumps(bundle.document, ensure_ascii=False, indent=1).encode()


def export_formats() -> dict[str, ExportFormat]:
    """Every format by the name that is its suffix, too."""
    return {"json": JsonFormat(), "zip": ZipFormat(), "html": HtmlFormat()}
