"""What a detection found."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "nothing can be said about what is there or where"
MAX_LISTED = 10


class Detections(BaseModel):
    """Normalised boxes (x1, y1, x2, y2) with their scores in [0, 1] and the names that they answer to."""

    boxes: tuple[tuple[float, float, float, float], ...]
    scores: tuple[float, ...]
    phrases: tuple[str, ...]


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = Detections.model_validate(data)
    rows = list(zip(result.phrases, result.boxes, result.scores, strict=True))
    found: list[str] = []
    for phrase in dict.fromkeys(result.phrases):
        own = [(box, score) for name, box, score in rows if name == phrase]
        found.append(f"{numbers.counted(len(own), 'box')} for {numbers.quoted(phrase)}: {_places(own)}.")
    return [f"Found {sentence}" for sentence in found] + absent(action, result.phrases)


def absent(action: Action, phrases: Sequence[str]) -> list[str]:
    """One sentence on the names without any hit."""
    asked = action.API_params.get("prompts")
    names = [str(name) for name in asked] if isinstance(asked, list) else []
    hit = " ".join(phrases).casefold()
    without = [numbers.quoted(name) for name in names if name.casefold() not in hit]
    if not without and not phrases:
        return ["Nothing was found."]
    return (
        [f"Nothing was found for {numbers.listed(without, 'or')} at the score that was asked for."] if without else []
    )


def _places(own: list[tuple[tuple[float, float, float, float], float]]) -> str:
    shown = [
        f"{numbers.box(box)} in the {numbers.place(box)} of the image (score {score:.2f})"
        for box, score in own[:MAX_LISTED]
    ]
    rest = len(own) - MAX_LISTED
    return numbers.listed([*shown, f"{rest} more"] if rest > 0 else shown)
