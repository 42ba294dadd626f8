"""The drafted report, sentence by sentence."""

from __future__ import annotations

import re

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject

NOT_GIVEN = "no report can be given"
MAX_LISTED = 5


class Report(BaseModel):
    """Findings and impression, and the probability in [0, 1] behind each finding; or a note why there is no report."""

    findings: str
    impression: str
    probabilities: dict[str, float]
    note: str = ""


def sentences(data: JsonObject, action: Action, image: ImageRef | None) -> list[str]:
    report = Report.model_validate(data)
    if report.note:
        return [report.note]
    found = _headed("Findings", report.findings) + _headed("Impression", report.impression)
    if not found:
        return ["The report is empty: nothing was found that it could state."]
    shown = [item for item in report.probabilities.items() if numbers.shows(item[1])]
    ranked = sorted(shown, key=lambda item: -item[1])[:MAX_LISTED]
    if ranked:
        rows = [f"{name} {probability:.0%}" for name, probability in ranked]
        found.append(f"The highest probabilities behind it are {numbers.listed(rows)}.")
    return [*found, "This is a draft for a radiologist to check and not a diagnosis."]


def _headed(title: str, text: str) -> list[str]:
    parts = [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]
    return [f"{title}: {parts[0]}", *parts[1:]] if parts else []
