"""A file of generated asks, JSON Lines, that grows while they are made and is gone on with after an interruption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject, ShortText, ToolName, WireType
from mmedagent.training.instructions.dialogues import Dialogue, Exchange, row_of
from mmedagent.training.instructions.export import PLACEHOLDER, plan_with

MAX_FILE_BYTES = 2**30


class GeneratedAsk(WireType):
    """One line: `{"tool", "ask", "parameters"}`."""

    tool: ToolName
    ask: ShortText
    parameters: JsonObject


class AskFile:
    """The asks of a file, those that are there and those that are added.

    A last line without an end, as a power cut leaves it, is taken off. Raises `InvalidRequestError` for a line that is
    no ask.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asks: list[GeneratedAsk] = []
        if not path.exists():
            return
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidRequestError(f"{path} is no file of asks. Name another one.")
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self.asks += [self._read(number, line) for number, line in enumerate(whole.splitlines(), 1)]
        if len(whole) < len(content):
            path.write_bytes(whole)

    def add(self, asks: Sequence[GeneratedAsk]) -> None:
        """Append to the file; when this returns, they are in it."""
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{ask.model_dump_json()}\n" for ask in asks)
        self.asks += asks

    def _read(self, number: int, line: bytes) -> GeneratedAsk:
        try:
            return GeneratedAsk.model_validate_json(line)
        except ValidationError:
            raise InvalidRequestError(f"{self.path.name}, line {number} is no ask. Mend it, or delete it.") from None


def dialogues_of(asks: Iterable[GeneratedAsk], cards: Sequence[ToolCard]) -> list[JsonObject]:
    """The asks for these tools in MMedAgent's format, each with the plan that calls its tool."""
    by_name = {card.name: card for card in cards}
    rows: list[JsonObject] = []
    for ask in asks:
        if card := by_name.get(ask.tool):
            plan = plan_with(card.name.replace("_", " "), (Action(API_name=card.name, API_params=ask.parameters),))
            image = PLACEHOLDER if card.needs_image else ""
            rows.append(row_of(Dialogue(f"generated_{len(rows)}", image, (Exchange(ask.ask, plan),))))
    return rows
