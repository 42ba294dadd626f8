"""A dialogue of instruction data, and the row of MMedAgent's JSON format that it is (arXiv 2407.02483).

{"image_id": "1", "image": "1.png", "conversations": [
  {"from": "human", "value": "<image>\\nWhere is the liver?"},
  {"from": "gpt", "thoughts": "...", "actions": [{"API_name": "grounding dino", "API_params": {...}}], "value": "..."},
  {"from": "human", "value": "grounding dino output: {...}\\n\\nAnswer my first question: Where is the liver?"},
  {"from": "gpt", "thoughts": "...", "actions": [], "value": "It is here."}]}
"""

from __future__ import annotations

from dataclasses import dataclass

from mmedagent.protocol.plan import Plan
from mmedagent.protocol.prompts import IMAGE_TOKEN
from mmedagent.protocol.types import JsonObject


@dataclass(frozen=True)
class Exchange:
    """A question, or the output of tools with the question again, and the plan that answers it."""

    said: str
    plan: Plan


@dataclass(frozen=True)
class Dialogue:
    """One row. `image` is a path inside the folder of images a placeholder, or empty."""

    name: str
    image: str
    exchanges: tuple[Exchange, ...]

    @property
    def has_image(self) -> bool:
        return bool(self.image)


def row_of(dialogue: Dialogue) -> JsonObject:
    """The dialogue in MMedAgent's format, the image before the first words."""
    conversations: list[JsonObject] = []
    for place, exchange in enumerate(dialogue.exchanges):
        shown = f"{IMAGE_TOKEN}\n" if dialogue.has_image and not place else ""
        conversations.append({"from": "human", "value": f"{shown}{exchange.said}"})
        conversations.append({"from": "gpt", **exchange.plan.model_dump(mode="json")})
    row: JsonObject = {"image_id": dialogue.name, "image": dialogue.image}
    return row | {"conversations": list(conversations)}
