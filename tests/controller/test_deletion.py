"""A deleted file takes its frame, and what tools made from it, along; a picture that is still in use stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.images import png_bytes
from support.script import action, told
from support.system import System, running_system
from support.tools import MaskTool

RULES = [told("", action("mask"))]


def ask_about(system: System, file_id: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": "Go"}, {"type": "input_image", "file_id": file_id}]
    answer = system.http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def artifacts_of(system: System, response: dict[str, Any]) -> list[str]:
    call = next(item for item in response["output"] if item["type"] == "mcp_call")
    return [artifact["sha256"] for artifact in json.loads(call["output"])["artifacts"]]


def test_what_was_made_from_a_file_goes_with_it(tmp_path: Path) -> None:
    with running_system(tmp_path, RULES, [MaskTool()]) as system:
        first, second = system.upload(png_bytes(24, 16)), system.upload(png_bytes(24, 16))
        frame = system.http.get(f"/v1/files/{first}").json()["frame"]["sha256"]
        response = ask_about(system, first)
        made = [frame, *artifacts_of(system, response)]
        assert len(made) > 1
        assert system.http.delete(f"/v1/files/{first}").status_code == 200
        assert [system.http.get(f"/v1/artifacts/{one}").status_code for one in made] == [200] * len(made)
        assert system.http.delete(f"/v1/files/{second}").status_code == 200
        assert [system.http.get(f"/v1/artifacts/{one}").status_code for one in made] == [404] * len(made)
        blobs = [path for path in system.settings.blob_folder.rglob("*") if path.is_file()]
        assert blobs == []
        again = system.respond("And now?", conversation=response["conversation"]["id"])
        assert again.status_code == 200
