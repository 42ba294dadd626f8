"""docs/profiles.md explains every key of a planner's endpoint with its default, and names the bounds of the code."""

from __future__ import annotations

from docs.pages import read, table
from mmedagent.model_worker.openai_compatible.calls import MAX_PREAMBLE
from mmedagent.serving.chat.picture import MAX_SIDE
from mmedagent.serving.endpoint import RESERVED, Endpoint

DEFAULTS: dict[str, object] = {"true": True, "false": False, "none": None, "empty": {}}


def test_every_key_is_explained_with_its_default() -> None:
    text = read("docs/profiles.md")
    rows = {row[0]: row[1] for row in table(text, "key of the endpoint", "default")}
    fields = Endpoint.model_fields
    assert rows.keys() == fields.keys()
    for name, field in fields.items():
        default = field.get_default(call_default_factory=True)
        shown = rows[name].replace(",", "")
        assert shown == "required" if field.is_required() else DEFAULTS.get(shown, shown) in (default, str(default))
    assert all(f"`{name}`" in text for name in RESERVED)


def test_bounds_are_those_of_the_code() -> None:
    text = read("docs/profiles.md")
    assert f"at most {MAX_SIDE:,} pixels wide and high" in text
    assert f"The first {MAX_PREAMBLE} characters of text are held back" in text
