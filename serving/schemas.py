"""Checking tool parameters and results against the JSON Schemas of a card (draft 2020-12)."""

from __future__ import annotations

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, WorkerError
from mmedagent.protocol.types import JsonObject

MAX_MESSAGE = 300


class CardValidator:
    """Checks what goes into a tool and what comes out of it."""

    def __init__(self, card: ToolCard) -> None:
        self._card = card
        self._parameters = Draft202012Validator(card.parameters)
        self._result = Draft202012Validator(card.result)

    def check_parameters(self, parameters: JsonObject) -> None:
        """Raises `InvalidParametersError`, naming the field and what is wrong with it."""
        error = best_match(self._parameters.iter_errors(parameters))
        if error is not None:
            raise InvalidParametersError(f"Parameters of {self._card.name}: {_sentence(error)}")

    def check_result(self, data: JsonObject) -> None:
        """Raises `WorkerError`: a tool that breaks its own schema has failed."""
        error = best_match(self._result.iter_errors(data))
        if error is not None:
            raise WorkerError(f"The result of {self._card.name} is not what its card promises: {_sentence(error)}")


def _sentence(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    message = error.message if len(error.message) <= MAX_MESSAGE else f"{error.message[:MAX_MESSAGE]}..."
    return f"{place}: {message}" if place else message
