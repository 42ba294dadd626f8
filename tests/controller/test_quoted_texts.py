"""A text around a quoted passage lives and dies with the conversation that quotes it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmedagent.cli.paths import MODELS
from mmedagent.tool_workers.retrieval import RetrievalTool
from support.images import png_bytes
from support.script import action, answer, plan, rule
from support.system import System, running_system

QUERY = "How is a cataract treated?"
RULES = [rule("", plan(action("retrieval", query=QUERY, top_k=1)), answer("Quoted. [1]"))]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("quoted")
    tool = RetrievalTool(checkpoint=MODELS / "retrieval", corpora=folder / "corpora")
    with running_system(folder, RULES, [tool]) as made:
        yield made


def quoted(system: System, file_id: str | None = None) -> tuple[str, str]:
    """Ask; the conversation, and the text that its passage stands in."""
    conversation = str(system.http.post("/v1/conversations", json={}).json()["id"])
    image = [] if file_id is None else [{"type": "input_image", "file_id": file_id}]
    content = [{"type": "input_text", "text": "What helps?"}, *image]
    body = {"input": [{"role": "user", "content": content}], "conversation": conversation}
    outputs = system.http.post("/v1/responses", json=body).json()["output"]
    (call,) = [item for item in outputs if item["type"] == "mcp_call"]
    return conversation, str(json.loads(call["output"])["data"]["passages"][0]["document"])


def text_of(system: System, sha256: str) -> int:
    return system.http.get(f"/v1/artifacts/{sha256}").status_code


def blob(system: System, sha256: str) -> Path:
    return next(system.settings.blob_folder.rglob(f"*{sha256}*"), Path("gone"))


def test_it_goes_with_the_last_conversation_that_quotes_it(system: System) -> None:
    first, document = quoted(system)
    second, again = quoted(system)
    assert document == again
    system.http.delete(f"/v1/conversations/{first}")
    assert text_of(system, document) == 200
    system.http.delete(f"/v1/conversations/{second}")
    assert text_of(system, document) == 404
    assert not blob(system, document).exists()


def test_it_does_not_hang_on_an_image_of_the_same_turn(system: System) -> None:
    file = system.upload(png_bytes(32, 24))
    conversation, document = quoted(system, file)
    assert system.http.delete(f"/v1/files/{file}").status_code == 200
    assert text_of(system, document) == 200
    system.http.delete(f"/v1/conversations/{conversation}")


def test_it_is_not_exported(system: System) -> None:
    conversation, document = quoted(system)
    content = system.http.get(f"/v1/conversations/{conversation}/export/zip").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert not [name for name in archive.namelist() if document in name]
    system.http.delete(f"/v1/conversations/{conversation}")


def test_of_a_call_without_a_conversation_it_is_not_kept(system: System) -> None:
    body = {"parameters": {"query": QUERY, "top_k": 1}}
    result = system.http.post("/v1/tools/retrieval/invoke", json=body).json()
    assert text_of(system, result["data"]["passages"][0]["document"]) == 404
