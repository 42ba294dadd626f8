"""Asks and dialogues with the tools that they need, one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.types import ShortText, Text, ToolName

MAX_ASKS = 20_000

T = TypeVar("T", "AskCase", "Dialogue")

Sequences = Annotated[tuple[tuple[ToolName, ...], ...], Field(min_length=1, max_length=8)]


class Expected(BaseModel):
    """What is right for one message.

    Attributes:
        expect: the accepted sequences of tools; an empty sequence is an answer without a tool.
        prompts: the names that the calls must carry, in the user's words; None where none applies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Text
    expect: Sequences
    prompts: tuple[ShortText, ...] | None = None


class AskCase(Expected):
    """One ask. `image` is a modality such as "CT", the path of a file, or None for an ask without an image."""

    id: ShortText
    category: ShortText = ""
    image: ShortText | None = None

    @property
    def group(self) -> str:
        """The category, or the tools of the first accepted sequence where none is given."""
        return self.category or " + ".join(self.expect[0]) or "no tool"


class Dialogue(BaseModel):
    """A conversation about one image, as the user's messages and what each of them needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ShortText
    image: ShortText | None = None
    turns: tuple[Expected, ...] = Field(min_length=1, max_length=32)

    def asks(self) -> list[AskCase]:
        """The turns as asks, whose categories are their places."""
        return [
            AskCase(**turn.model_dump(), id=f"{self.id}/{number}", category=f"turn {number}", image=self.image)
            for number, turn in enumerate(self.turns, 1)
        ]


def read_asks(path: Path) -> list[AskCase]:
    """Read a file of asks.

    Raises `InvalidRequestError` that names the line: it is not in the form above, or an id occurs twice.
    """
    return _read(path, AskCase)


def read_dialogues(path: Path) -> list[Dialogue]:
    """Read a file of dialogues. Raises `InvalidRequestError` as `read_asks` does."""
    return _read(path, Dialogue)


def _read(path: Path, form: type[T]) -> list[T]:
    lines = [line for line in _lines(path) if line[1].strip()]
    if not 0 < len(lines) <= MAX_ASKS:
        raise InvalidRequestError(f"{path.name} holds {len(lines)} lines; there must be 1 to {MAX_ASKS}.")
    rows: list[T] = []
    seen: set[str] = set()
    for number, line in lines:
        try:
            row = form.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise InvalidRequestError(f"{path.name}, line {number}: {where}: {first['msg']}.") from error
        if row.id in seen:
            raise InvalidRequestError(f"{path.name}, line {number}: the id {row.id} occurs twice.")
        seen.add(row.id)
        rows.append(row)
    return rows


def _lines(path: Path) -> Sequence[tuple[int, str]]:
    try:
        return list(enumerate(path.read_text("utf-8").splitlines(), 1))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path.name} cannot be read as text.") from error
