"""Whether an ask with its parameters can be learnt from: the one check of hand-written and of generated asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.prompts import IMAGE_TOKEN
from mmedagent.protocol.types import JsonObject, JsonSchema

MIN_CHARACTERS, MAX_CHARACTERS = 3, 500
FILE_PARAMETER = "image"
"""Names an uploaded file; the server fills it in, and no ask says it."""

LENGTH = f"the ask is not {MIN_CHARACTERS} to {MAX_CHARACTERS} characters long"
CHARACTERS = "the ask holds characters that nobody types, or blanks around it"
MARKER = f"the ask holds {IMAGE_TOKEN}, which stands for the image in a prompt"
FILE = "the parameters name a file"
SCHEMA = "the parameters do not fit the schema of the card"
TEXT_NOT_SAID = "a text of the parameters is not in the ask letter for letter"
NUMBER_NOT_SAID = "a number of the parameters is not in the ask"

_NUMBER = re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?|\.\d+)(?![\w]|\.\d)")
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: float(number) for number, word in enumerate(_WORDS.split())}


class AskChecker:
    """Checks asks for one tool against its card. References to other documents are never fetched."""

    def __init__(self, card: ToolCard) -> None:
        self._card = card
        self._validator = Draft202012Validator(card.parameters, registry=Registry())

    def problem(self, ask: str, parameters: JsonObject) -> str | None:
        """What is wrong, in words that hold for many asks, or None.

        Every text of the parameters has to be whole words of the ask, unless it is a choice (`enum` or `const` in the
        card), and every number has to be said. A 0 or 1 beside other numbers of one list is a mark, as in a point.

        Raises `InvalidRequestError` for a card that refers to a schema that it does not contain.
        """
        if not MIN_CHARACTERS <= len(ask) <= MAX_CHARACTERS:
            return LENGTH
        if ask != ask.strip() or not ask.replace("\n", "").isprintable():
            return CHARACTERS
        if IMAGE_TOKEN in ask:
            return MARKER
        if FILE_PARAMETER in parameters:
            return FILE
        if not all(_says(ask, text) for text in self.copied(parameters)):
            return TEXT_NOT_SAID
        if not set(_numbers(parameters)) <= _said_numbers(ask):
            return NUMBER_NOT_SAID
        return None if self.mismatch(parameters) is None else SCHEMA

    def copied(self, parameters: JsonObject) -> list[str]:
        """The texts that the parameters copy from the ask, in order: all but choices."""
        return list(_copied(parameters, [self._card.parameters], self._card.parameters))

    def mismatch(self, parameters: JsonObject) -> str | None:
        """How the parameters break the card's schema, or None.

        Raises `InvalidRequestError` for a card that refers to a schema that it does not contain.
        """
        try:
            error = next(self._validator.iter_errors(parameters), None)
            return None if error is None else error.message
        except Unresolvable as missing:
            raise InvalidRequestError(
                f"The card of {self._card.name} refers to a schema that it does not contain."
            ) from missing


def _says(ask: str, text: str) -> bool:
    return bool(text.strip()) and text in ask and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", ask) is not None


def _copied(value: Any, schemas: list[JsonSchema], root: JsonSchema) -> Iterator[str]:
    known = list(_alternatives(schemas, root))
    if isinstance(value, str):
        if not any("enum" in schema or "const" in schema for schema in known):
            yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _copied(inner, _inner(known, "properties", key), root)
    elif isinstance(value, list):
        for inner in value:
            yield from _copied(inner, [schema["items"] for schema in known if "items" in schema], root)


def _inner(schemas: Iterable[JsonSchema], keyword: str, key: str) -> list[JsonSchema]:
    return [schema[keyword][key] for schema in schemas if key in schema.get(keyword, {})]


def _alternatives(schemas: Iterable[Any], root: JsonSchema) -> Iterator[JsonSchema]:
    """The schemas, those that they combine, and those of the card's own definitions that they refer to; each once."""
    pending, seen = list(schemas), set[int]()
    while pending:
        schema = pending.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        pending += [one for keyword in ("anyOf", "oneOf", "allOf") for one in schema.get(keyword, ())]
        _, _, name = str(schema.get("$ref", "")).partition("#/$defs/")
        pending += _inner([root], "$defs", name)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        numbers = [one for one in value if _is_number(one)]
        yield from [one for one in numbers if one not in (0, 1)] or numbers
        for inner in value:
            if not _is_number(inner):
                yield from _numbers(inner)
    elif _is_number(value):
        yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said_numbers(ask: str) -> set[float]:
    words = {_NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", ask.casefold()) if word in _NUMBER_WORDS}
    return words | {float(number) for number in _NUMBER.findall(ask)}
