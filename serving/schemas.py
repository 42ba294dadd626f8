"""Checking tool parameters and results against the JSON Schemas of a card (draft 2020-12)."""

from __future__ import annotations

from collections.abc import Iterator

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, InvalidRequestError, WorkerError
from mmedagent.protocol.references import references_of
from mmedagent.protocol.types import JsonObject

MAX_MESSAGE = 300


def check_schemas(card: ToolCard) -> None:
    """Raises `InvalidRequestError` for a card whose schemas are not JSON Schemas."""
    for name, schema in (("parameters", card.parameters), ("result", card.result)):
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidRequestError(f"The card's schema of {name} is not valid: {_sentence(error)}") from error


class CardValidator:
    """Checks what goes into a tool and what comes out of it. References to other documents are never fetched."""

    def __init__(self, card: ToolCard) -> None:
        self._card = card
        self._parameters = Draft202012Validator(card.parameters, registry=Registry())
        self._result = Draft202012Validator(card.result, registry=Registry())

    def check_parameters(self, parameters: JsonObject) -> None:
        """Raises `InvalidParametersError`, naming the field and what is wrong with it."""
        self._refuse_parameters(self._errors(self._parameters, parameters))

    def check_planned(self, parameters: JsonObject) -> None:
        """As `check_parameters`, for parameters whose references are not filled in: one may stand for anything."""
        errors = self._errors(self._parameters, parameters)
        self._refuse_parameters(error for error in errors if not _is_reference(error.instance))

    def check_result(self, data: JsonObject) -> None:
        """Raises `WorkerError`: a tool that breaks its own schema has failed."""
        error = best_match(self._errors(self._result, data))
        if error is not None:
            raise WorkerError(f"The result of {self._card.name} is not what its card promises: {_sentence(error)}")

    def _refuse_parameters(self, errors: Iterator[ValidationError]) -> None:
        error = best_match(errors)
        if error is not None:
            raise InvalidParametersError(f"Parameters of {self._card.name}: {_sentence(error)}")

    def _errors(self, validator: Draft202012Validator, value: JsonObject) -> Iterator[ValidationError]:
        try:
            yield from validator.iter_errors(value)
        except Unresolvable as missing:
            raise WorkerError(
                f"The card of {self._card.name} refers to a schema that it does not contain."
            ) from missing


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and bool(references_of(value))


def _sentence(error: ValidationError | SchemaError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    message = error.message if len(error.message) <= MAX_MESSAGE else f"{error.message[:MAX_MESSAGE]}..."
    return f"{place}: {message}" if place else message
