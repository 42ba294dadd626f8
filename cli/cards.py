"""Tool cards in files of the user."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mmedagent.cli.profile import first_of
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidRequestError

MAX_BYTES = 1 << 20


def read_card(path: Path) -> ToolCard:
    """The card in a JSON file. Raises `InvalidRequestError` naming what is wrong."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise InvalidRequestError(f"There is no readable card {path}. A card is a JSON file: docs/tools.md.")
    try:
        return ToolCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidRequestError(f"{path.name} is no tool card: {first_of(error)}.") from error
