"""What a segmentation found."""

from __future__ import annotations

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.model_worker.compact.compose.masks import Masks, mask_sentences
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "no outline or area can be given"


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = Masks.model_validate(data)
    if not result.masks:
        return ["Nothing was outlined: no structure was found at the given place."]
    return mask_sentences(result, _subjects(action, len(result.masks)))


def _subjects(action: Action, count: int) -> list[str]:
    boxes = action.API_params.get("boxes")
    if isinstance(boxes, list) and len(boxes) == count:
        return [f"the structure in the box {_corners(box)}" for box in boxes]
    if count == 1:
        return ["the structure found before" if isinstance(boxes, str) else "the structure at the given point"]
    return [f"structure {number}" for number in range(1, count + 1)]


def _corners(box: object) -> str:
    values = [float(value) for value in box if isinstance(value, int | float)] if isinstance(box, list) else []
    return numbers.box(values)
