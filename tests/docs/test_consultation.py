"""docs/consultation.md explains every key of a panel.toml with its default, and its example is one that loads."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs.pages import read, table
from mmedagent.protocol.cards import load_card
from mmedagent.tool_workers.consultation import ConsultationTool
from mmedagent.tool_workers.consultation.panel import KINDS, Attending, Deadlines, PanelSettings, Role, Seat

PAGE = "docs/consultation.md"


def test_every_table_and_key_is_explained_with_its_default() -> None:
    text = read(PAGE)
    tables = {row[0].strip("[]").partition(".")[0] for row in table(text, "table", "what it is")}
    assert tables == PanelSettings.model_fields.keys()
    rows = {row[0]: row[1] for row in table(text, "key of a role", "default")}
    fields = {**Seat.model_fields, **Attending.model_fields, **Role.model_fields}
    assert rows == {name: str(field.default).lower() for name, field in fields.items()}
    rows = {row[0]: row[1] for row in table(text, "key of deadlines", "default")}
    assert rows == {name: f"{field.default:g}" for name, field in Deadlines.model_fields.items()}
    settings = PanelSettings()
    assert f"{settings.attending.max_tokens:,} for the attending" in text
    assert f"without `specialists` have {settings.specialists[0].temperature}" in text
    assert {row[0] for row in table(text, "kind of a backend", "keys")} == KINDS.keys()


def test_the_example_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```toml panel\n(.*?)```", read(PAGE), re.DOTALL)
    assert len(tomllib.loads(example)["specialists"]) == 3
    (tmp_path / "panel.toml").write_text(example)
    monkeypatch.setenv("HOSPITAL_MODELS_KEY", "key")
    ConsultationTool(checkpoint=tmp_path).load("cpu")


def test_every_field_of_the_result_is_explained() -> None:
    text = read(PAGE)
    result = load_card("consultation").result["properties"]
    explained = {name for row in table(text, "field", "what it is") for name in re.findall(r"[a-z_]+", row[0])}
    assert explained == result.keys()
    for name in (*result["opinions"]["items"]["properties"], *result["absent"]["items"]["properties"]):
        assert f"`{name}`" in text
