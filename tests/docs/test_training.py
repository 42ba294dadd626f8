"""docs/training.md: every field of a run with its default, and examples that are what they say."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.pages import blocks, read, table
from mmedagent.training.instructions.importer import read_dialogues
from mmedagent.training.sft.settings import TrainingSettings

PAGE = read("docs/training.md")


def fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from fields(type(field.default), f"{name}.")
        else:
            yield f"{before}{name}", field


def shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.default
    if default is None:
        return "none"
    if isinstance(default, float):
        return f"{default:g}"
    return default if isinstance(default, str) else json.dumps(default)


def test_every_field_has_its_row_with_its_default() -> None:
    rows = {name: default for name, default, _ in table(PAGE, "field", "default")}
    assert rows == {name: shown(field) for name, field in fields(TrainingSettings)}


def test_the_first_example_is_a_run() -> None:
    settings = TrainingSettings.model_validate(tomllib.loads(next(blocks(PAGE, "toml"))))
    assert (settings.lora.r, settings.lora.alpha) == (128, 256)


def test_the_example_of_a_dialogue_is_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(next(blocks(PAGE, "json")), "utf-8")
    (dialogue,) = read_dialogues(path).dialogues
    assert len(dialogue.exchanges) == 2
