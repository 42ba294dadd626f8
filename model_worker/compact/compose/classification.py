"""Which label fits the image best."""

from __future__ import annotations

import re

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "the image cannot be classified"
RUNNERS_UP = 2
UNSURE_BELOW = 0.5
_FAMILIES = {
    "CT": ({"CT"}, r"\bct\b|computed tomograph"),
    "MR": ({"MR"}, r"\bmri?\b|magnetic resonance"),
    "X-ray": ({"CR", "DX", "RG", "MG", "XA", "RF", "PX", "IO"}, r"x-?ray|radiograph|mammogra"),
    "ultrasound": ({"US", "IVUS"}, r"ultraso|sonogra|echocardio"),
    "fundus photograph": ({"OP", "OPT"}, r"fundus|retina"),
    "slide microscopy": ({"SM", "GM"}, r"histo|microscop|h&e|hematoxylin|haematoxylin|patholog"),
}
"""Image kinds with their DICOM modality codes (PS3.3 section C.7.3.1.1.1) and how labels name them."""


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
        return [f"This does not look like a medical image ({sure}), so it is not classified."]
    if not rows:
        return ["No label fits this image."]
    behind = rows[1 : 1 + RUNNERS_UP]
    found = [f"The most probable label is {rows[0]}{', followed by ' + numbers.listed(behind) if behind else ''}."]
    if result.probabilities[0] < UNSURE_BELOW:
        found.append("No label reaches 50%, so take this as uncertain.")
    found += _header(result.labels[0], image)
    if result.task == "finding":
        found.append("This is a screening result of a demonstration network and not a diagnosis.")
    return found


def _header(label: str, image: ImageRef | None) -> list[str]:
    """What the file's header says about the kind of image that a label names, where both are known."""
    named = next((kind for kind, (_, pattern) in _FAMILIES.items() if re.search(pattern, label, re.IGNORECASE)), None)
    code = image.modality if image is not None else None
    stated = next((kind for kind, (codes, _) in _FAMILIES.items() if code in codes), None)
    if named is None or stated is None:
        return []
    if named == stated:
        return [f"The file's header agrees: it states the modality {code}."]
    return [f"The file's header disagrees: it states the modality {code} ({stated}), so trust the header here."]
