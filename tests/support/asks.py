"""A tool card of the tests, asks for it, and whole chat completions with such asks."""

from __future__ import annotations

import json
from typing import Any

from mmedagent.protocol.card import CardExample, ToolCard
from support.chat_endpoint import Reply
from support.tools import make_card

TEXT = {"type": "string", "minLength": 1, "maxLength": 100}
PARAMETERS: dict[str, Any] = {
    "vessels": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 8},
    "method": {"type": "string", "enum": ["visual", "quantitative"]},
    "image": TEXT,
    "frames": {"type": "integer", "minimum": 1, "maximum": 20},
}
EXAMPLES = (
    CardExample(ask="How tight is the mid LAD?", parameters={"vessels": ["mid LAD"]}),
    CardExample(ask="Grade the RCA by eye.", parameters={"vessels": ["RCA"], "method": "visual"}),
)
CARD = make_card(
    "stenosis_test", PARAMETERS, required=["vessels"], needs_image=True, modalities=("X-ray",), examples=EXAMPLES
)
VESSELS = ["LAD", "RCA", "LCX", "aorta", "OM1", "D1", "PDA", "PLB", "graft", "carotid"]


def changed(card: ToolCard = CARD, **fields: Any) -> ToolCard:
    return card.model_copy(update=fields)


def good(number: int) -> dict[str, Any]:
    """An ask that passes; its wording differs with its number."""
    vessel = VESSELS[number % len(VESSELS)]
    return {"ask": f"Version {number}, grading wanted: {vessel}.", "parameters": {"vessels": [vessel]}}


def wrote(*entries: Any) -> Reply:
    return completed(json.dumps({"asks": entries}))


def completed(text: str | None) -> Reply:
    """A chat completion that is not streamed, with the fields that servers add."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": {"total_tokens": 7}}
    return Reply([json.dumps(body).encode()])
