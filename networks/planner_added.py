"""Tools that a planner has learnt after its first training, and how their parameters are taken from an ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mmedagent.networks.planner_text import AskText
from mmedagent.protocol.types import JsonObject, ToolName

Copy = Literal["names", "name", "passage", "words", "boxes", "points"]
"""What a parameter takes: all names that the ask marks, the first, a passage, the whole part, or coordinates."""

MAX_COPIED = 2_000


class AddedOutcome(BaseModel):
    """One thing that an ask may want of an added tool.

    A tool has one for each combination of parameters that is chosen and not copied, such as the operation of an image
    filter: `fixed` holds that combination, `copied` says where the other parameters come from, `required` which of them
    there must be, and `most` how many names a list takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: ToolName
    fixed: JsonObject = Field(default_factory=dict)
    copied: dict[str, Copy] = Field(default_factory=dict)
    required: tuple[str, ...] = ()
    most: int = Field(default=16, ge=1, le=64)

    def parameters(self, names: Sequence[str], passages: Sequence[str], words: str, ask: AskText) -> JsonObject | str:
        """The parameters of a call, or what the ask would have to name for there to be one."""
        found: JsonObject = dict(self.fixed)
        for key, kind in self.copied.items():
            value = self._taken(kind, names, passages, words, ask)
            if value:
                found[key] = value
        absent = [key for key in self.required if key not in found]
        return f"its {absent[0].replace('_', ' ')}" if absent else found

    def _taken(self, kind: Copy, names: Sequence[str], passages: Sequence[str], words: str, ask: AskText) -> JsonValue:
        match kind:
            case "names":
                return [*names[: self.most]]
            case "name":
                return names[0] if names else ""
            case "passage":
                return (passages[0] if passages else "")[:MAX_COPIED]
            case "words":
                return words[:MAX_COPIED]
            case "boxes":
                return [[*box] for box in ask.boxes]
            case _:
                return [[*point] for point in ask.points]
