"""Which label fits the image best."""

from __future__ import annotations

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.model_worker.compact.modalities import named_kind, stated_kind
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "the image cannot be classified"
RUNNERS_UP = 2
UNSURE_BELOW = 0.5


class Labels(BaseModel):
    """Labels and their probabilities, the most probable first."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    task: str | None
    medical_probability: float | None = None


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    result = Labels.model_validate(data)
    rows = [
        f"{numbers.quoted(label)} ({probability:.0%})"
        for label, probability in zip(result.labels, result.probabilities, strict=True)
    ]
    if not rows and result.medical_probability is not None:
        sure = f"{1 - result.medical_probability:.0%}"
        return [f"This does not look like a medical image ({sure}), so it is not classified.", *_stated(image)]
    if not rows:
        return ["No label fits this image."]
    behind = [row for row, probability in zip(rows, result.probabilities, strict=True) if numbers.shows(probability)]
    behind = behind[1 : 1 + RUNNERS_UP]
    found = [f"The most probable label is {rows[0]}{', followed by ' + numbers.listed(behind) if behind else ''}."]
    if result.probabilities[0] < UNSURE_BELOW:
        found.append("No label is more probable than all others together, so take this as uncertain.")
    found += _header(result.labels[0], image)
    if result.task == "finding":
        found.append("This is a screening result of a demonstration network and not a diagnosis.")
    return found


def _header(label: str, image: ImageRef | None) -> list[str]:
    """What the file's header says about the kind of image that a label names, where both are known."""
    named, stated = named_kind(label), stated_kind(image)
    if named is None or stated is None or image is None:
        return []
    if named == stated:
        return [f"The file's header agrees: it states the modality {image.modality}."]
    return [
        f"The file's header disagrees: it states the modality {image.modality} ({stated}), so trust the header here."
    ]


def _stated(image: ImageRef | None) -> list[str]:
    """What the file's header says where the network says nothing."""
    stated = stated_kind(image)
    if stated is None or image is None:
        return []
    return [f"The file's header states the modality {image.modality} ({stated}), so trust the header here."]
