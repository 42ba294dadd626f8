"""The tool that docs/tools.md shows is the one that runs here, in a real worker behind a real controller."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docs.exposure import CARD, ExposureTool
from docs.pages import ROOT, blocks, read
from support.images import ct_bytes, png_bytes
from support.script import action, told
from support.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    rules = [told("exposure", action("exposure", above=0.9))]
    with running_system(tmp_path_factory.mktemp("system"), rules, [ExposureTool(checkpoint=None)]) as running:
        yield running


def test_the_page_shows_the_file() -> None:
    assert (ROOT / "tests/docs/exposure.py").read_text("utf-8") in list(
        blocks(read("docs/tools.md"), "python runnable")
    )


def test_the_tool_measures(system: System) -> None:
    file_id = system.upload(png_bytes(64, 64))
    body = {"file_id": file_id, "parameters": {"above": 0.9}}
    answer = system.http.post("/v1/tools/exposure/invoke", json=body)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    # Noise that is spread evenly from 0 to 255 has its mean in the middle, and a tenth of it is above nine tenths.
    assert result["data"] == {"mean": pytest.approx(0.5, abs=0.02), "share": pytest.approx(0.1, abs=0.02)}
    assert result["provenance"]["version"] == CARD.version


def test_the_card_guards_the_tool(system: System) -> None:
    file_id = system.upload(ct_bytes())
    bodies: list[dict[str, object]] = [{"file_id": file_id, "parameters": {"above": 2}}, {"parameters": {}}]
    for body in bodies:
        answer = system.http.post("/v1/tools/exposure/invoke", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")


def test_a_planner_can_use_it(system: System) -> None:
    image = {"type": "input_image", "file_id": system.upload(ct_bytes())}
    text = {"type": "input_text", "text": "How is the exposure?"}
    answer = system.http.post("/v1/responses", json={"input": [{"role": "user", "content": [text, image]}]})
    calls = [item for item in answer.json()["output"] if item["type"] == "mcp_call"]
    assert [(call["name"], call["status"]) for call in calls] == [("exposure", "completed")]
