"""What was found by name and outlined."""

from __future__ import annotations

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.model_worker.compact.compose.grounding import absent
from mmedagent.model_worker.compact.compose.masks import Masks, mask_sentences
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "no outline or area can be given"


class NamedMasks(Masks):
    """Masks with the name that each answers to."""

    phrases: tuple[str, ...]


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = NamedMasks.model_validate(data)
    several = len(set(result.phrases)) < len(result.phrases)
    subjects = [
        f"{numbers.quoted(phrase)} (number {number})" if several else numbers.quoted(phrase)
        for number, phrase in enumerate(result.phrases, start=1)
    ]
    return mask_sentences(result, subjects) + absent(action, result.phrases)
