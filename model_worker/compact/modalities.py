"""Kinds of images, by their DICOM codes and by how labels name them."""

from __future__ import annotations

import re

from mmedagent.protocol.invocation import ImageRef

FAMILIES = {
    "CT": ({"CT"}, r"\bct\b|computed tomograph"),
    "MR": ({"MR"}, r"\bmri?\b|magnetic resonance"),
    "X-ray": ({"CR", "DX", "RG", "MG", "XA", "RF", "PX", "IO"}, r"x-?ray|radiograph|mammogra"),
    "ultrasound": ({"US", "IVUS"}, r"ultraso|sonogra|echocardio"),
    "fundus photograph": ({"OP", "OPT"}, r"fundus|retina"),
    "slide microscopy": ({"SM", "GM"}, r"histo|microscop|h&e|hematoxylin|haematoxylin|patholog"),
    "photograph": ({"XC", "DMS"}, r"photograph"),
}
"""Image kinds with their DICOM modality codes (PS3.3 section C.7.3.1.1.1) and how labels name them."""


def named_kind(label: str) -> str | None:
    """The kind of image that a label names."""
    return next((kind for kind, (_, pattern) in FAMILIES.items() if re.search(pattern, label, re.IGNORECASE)), None)


def stated_kind(image: ImageRef | None) -> str | None:
    """The kind of image that the file's header states."""
    code = image.modality if image is not None else None
    return next((kind for kind, (codes, _) in FAMILIES.items() if code in codes), None)
