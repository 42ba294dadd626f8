"""The `planner.json` of docs/profiles.md has every field that the LLaVA planner reads, and each is explained."""

from __future__ import annotations

import json

from docs.pages import blocks, read, table
from mmedagent.model_worker.llava.checkpoint import PlannerManifest


def test_the_manifest_is_shown_whole() -> None:
    text = read("docs/profiles.md")
    shown = json.loads(list(blocks(text, "json"))[-1])
    explained = " ".join(row[0] for row in table(text, "key", "meaning"))
    assert shown.keys() == PlannerManifest.model_fields.keys()
    assert all(name in explained for name in shown)
    PlannerManifest.model_validate({**shown, "sha256": {}})
