"""What a model is asked for: a few asks for one tool, with two examples, and apart from those of the other tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from mmedagent.protocol.card import CardExample, ToolCard
from mmedagent.protocol.types import JsonObject, JsonSchema
from mmedagent.training.instructions.generator_voices import draw_voice
from mmedagent.training.instructions.validation import FILE_PARAMETER, MAX_CHARACTERS

ASKS, ASK, PARAMETERS = "asks", "ask", "parameters"
SHOWN_EXAMPLES = 2

ROLE = """\
You write what people type to an assistant for medical images. Each ask wants one tool, and goes with the parameters \
that it means. The asks are used to teach a program which tool an ask wants.

Rules:
- Every ask wants the tool that is described, and none of the others; a careful colleague would name the same tool.
- Every text in the parameters stands in the ask letter for letter, in whole words, without "the", "a" or "any" before \
it. Only where the schema lists the choices, the fitting one is given.
- Every number in the parameters stands in the ask in digits. Coordinates are fractions of width and height, such as \
[0.25, 0.1, 0.7, 0.55].
- A parameter that the ask says nothing about is left out. No file is named.
- Each ask has a sentence of its own: not an example with another name in it, and no two alike.
- Names of organs, findings, medicines and so on vary widely; nobody is called by name.
- The reply is one JSON object {"asks": [{"ask": "...", "parameters": {...}}, ...]}, and nothing else."""


@dataclass(frozen=True)
class AskRequest:
    """A system message, a user message, and the JSON Schema of the reply."""

    system: str
    user: str
    schema: JsonSchema


def make_request(random: Random, card: ToolCard, others: Sequence[ToolCard], count: int) -> AskRequest:
    """A request for `count` asks. `random` draws the examples that are shown, and who asks how."""
    examples = random.sample(card.examples, min(SHOWN_EXAMPLES, len(card.examples)))
    parts = (
        f"The tool: {card.title}. {card.description}",
        f"The JSON Schema of its parameters:\n{json.dumps(_parameters(card), ensure_ascii=False)}",
        f"Two asks as they should be:\n{json.dumps(_reply(examples), ensure_ascii=False)}",
        "Not meant, and asked for in other ways:\n" + "\n".join(f"- {one.title}. {one.description}" for one in others),
        f"Write {count} asks, one for each line:\n" + "\n".join(f"- {draw_voice(random)}" for _ in range(count)),
    )
    return AskRequest(ROLE, "\n\n".join(parts), _reply_schema(card, count))


def _reply(examples: Sequence[CardExample]) -> JsonObject:
    return {ASKS: [{ASK: example.ask, PARAMETERS: example.parameters} for example in examples]}


def _reply_schema(card: ToolCard, count: int) -> JsonSchema:
    text = {"type": "string", "maxLength": MAX_CHARACTERS}
    items = {"type": "array", "minItems": 1, "maxItems": count, "items": _object({ASK: text, PARAMETERS: _inner(card)})}
    return _object({ASKS: items})


def _inner(card: ToolCard) -> JsonSchema:
    """The schema of the parameters inside another one, where its references would mean something else."""
    schema = _parameters(card)
    return {"type": "object"} if '"$ref"' in json.dumps(schema) else schema


def _parameters(card: ToolCard) -> JsonSchema:
    schema = {key: value for key, value in card.parameters.items() if key != "$schema"}
    known = {name: own for name, own in schema.get("properties", {}).items() if name != FILE_PARAMETER}
    return {**schema, "properties": known}


def _object(properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
