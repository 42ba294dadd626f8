"""Exports hold everything, draw what was found, and let no text become markup."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmedagent.controller.exports.bundle import NOTICE
from mmedagent.controller.exports.drawing import Drawing, Easel
from mmedagent.imaging.masks import encode_mask
from mmedagent.imaging.overlay import COLOURS
from mmedagent.imaging.png import decode_frame, encode_frame
from mmedagent.protocol.errors import MMedAgentError, WorkerError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.claims import claim, set_claims
from support.images import png_bytes
from support.problems import assert_problem
from support.script import action, answer, plan, rule
from support.system import LABEL, System, running_system
from support.tools import BOXES, EchoTool, MaskTool, make_card

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}{% raw %}"
WIDTH, HEIGHT = 24, 16
RULES = [
    rule("outline", plan(action("outline"), thoughts=HOSTILE), answer(f"An area of 96 px. [1] {HOSTILE}")),
    rule("crowd", plan(action("crowd")), answer("Everywhere.")),
    rule("fail", plan(action("fail"), action("fail", boxes="$1.boxes")), answer("It did not work. [1]")),
    rule("old mask", plan(action("mask")), answer("Outlined.")),
    rule("", answer("Hello.")),
]


class OutlineTool(EchoTool):
    """Outlines the left half of the image, with a box and a hostile phrase."""

    def __init__(self) -> None:
        super().__init__("outline")
        phrases = {"type": "array", "items": {"type": "string"}}
        masks = {"type": "array", "items": {"type": "object"}}
        result = {"boxes": BOXES, "phrases": phrases, "masks": masks}
        self.card = make_card("outline", {}, result, needs_image=True)

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[:, : WIDTH // 2] = True
        artifact = context.store(encode_mask(mask), "mask", "image/png", HOSTILE)
        boxes: Any = [[0.0, 0.0, 0.5, 1.0], [0.75, 0.0, 1.0, 0.5]]
        data: Any = {"boxes": boxes, "phrases": [HOSTILE, ""], "masks": [{"artifact": artifact.sha256}]}
        return [ToolOutput(data, (artifact,), "none") for _ in calls]


class CrowdTool(EchoTool):
    """Outlines the same thing five times, on whatever image."""

    def __init__(self) -> None:
        super().__init__("crowd")
        self.card = make_card("crowd", {}, {"masks": {"type": "array", "items": {"type": "object"}}}, needs_image=True)

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        artifact = context.store(encode_mask(np.ones((HEIGHT, WIDTH), np.bool_)), "mask", "image/png", "all")
        return [ToolOutput({"masks": [{"artifact": artifact.sha256}] * 5}, (artifact,), "none") for _ in calls]


class FailTool(EchoTool):
    """Fails in words that are no markup."""

    def __init__(self) -> None:
        super().__init__("fail")

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [WorkerError(HOSTILE) for _ in calls]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    tools = [OutlineTool(), CrowdTool(), FailTool(), MaskTool()]
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools) as running:
        yield running


def ask(system: System, text: str, file_id: str | None, **fields: Any) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
    if file_id:
        content.append({"type": "input_image", "file_id": file_id})
    response = system.http.post("/v1/responses", json={"input": [{"role": "user", "content": content}], **fields})
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.fixture(scope="module")
def told(system: System) -> dict[str, Any]:
    """A conversation with a result, a failure, claims and a signed report."""
    file_id = system.upload(png_bytes(WIDTH, HEIGHT))
    first = ask(system, f"outline {HOSTILE}", file_id)
    conversation = first["conversation"]["id"]
    second = ask(system, "fail", None, conversation=conversation)
    text = first["output"][-1]["content"][0]["text"]
    set_claims(system, first["id"], [claim(text, "96", "number", tool="outline"), claim(text, "7", "number", False)])
    report = f"/v1/responses/{first['id']}/report"
    sections = [{"name": "findings", "sentences": [{"text": HOSTILE}, {"text": "Left half."}]}]
    edited = system.http.put(report, json={"sections": sections}, headers={"If-Match": '"0"'})
    assert edited.status_code == 200, edited.text
    for state in ("reviewed", "signed"):
        assert system.http.post(f"{report}/state", json={"state": state}).status_code == 200
    return {"id": conversation, "file": file_id, "first": first, "second": second}


def export(system: System, conversation: str, name: str) -> bytes:
    answer = system.http.get(f"/v1/conversations/{conversation}/export/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{conversation}.{name}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.content


def test_the_json_has_everything_that_is_stored(system: System, told: dict[str, Any]) -> None:
    document = json.loads(export(system, told["id"], "json"))
    assert (document["schema"], document["schema_version"]) == ("mmedagent.conversation", 1)
    assert document["conversation"]["id"] == told["id"]
    first, second = document["turns"]
    assert [first["id"], second["id"]] == [told["first"]["id"], told["second"]["id"]]
    assert (first["parent_id"], second["parent_id"]) == (None, first["id"])
    assert (first["question"], first["file_id"]) == (f"outline {HOSTILE}", told["file"])
    kinds = [event["event"]["type"] for event in first["events"]]
    assert kinds == ["turn.started", "plan.completed", "call.started", "call.ended", "turn.completed"]
    assert [event["sequence"] for event in first["events"]] == sorted(event["sequence"] for event in first["events"])
    outcome = first["events"][3]["event"]["outcome"]
    assert (outcome["provenance"]["tool"], outcome["provenance"]["label"]) == ("outline", LABEL)
    assert [one["text"] for one in first["claims"]] == ["96", "7"]
    assert (first["report"]["state"], first["report"]["signed_by"]) == ("signed", "local")
    assert second["report"] is None
    assert second["events"][3]["event"]["outcome"]["kind"] == "failure"
    assert [file["id"] for file in document["files"]] == [told["file"]]
    assert [picture["kind"] for picture in document["pictures"]] == ["frame", "artifact"]
    assert "owner" not in json.dumps(document)


def test_the_zip_has_the_pictures_as_they_are_stored(system: System, told: dict[str, Any]) -> None:
    with zipfile.ZipFile(io.BytesIO(export(system, told["id"], "zip"))) as archive:
        assert archive.testzip() is None
        document = json.loads(archive.read("conversation.json"))
        overlay = f"overlays/{told['first']['id']}-1.png"
        names = {picture["path"] for picture in document["pictures"]}
        assert set(archive.namelist()) == {"README.txt", "conversation.json", overlay, *names}
        for picture in document["pictures"]:
            assert hashlib.sha256(archive.read(picture["path"])).hexdigest() == picture["sha256"]
        assert archive.read(overlay) == overlay_of(system, told["first"]["id"])
        assert "not a medical device" in archive.read("README.txt").decode()


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_everything_and_runs_nothing(system: System, told: dict[str, Any]) -> None:
    page = export(system, told["id"], "html").decode()
    found = Tags(page)
    assert "script" not in found.tags
    assert not {name for name, _ in found.attributes} & {"onerror", "onload", "href", "style"}
    pictures = [value or "" for name, value in found.attributes if name == "src"]
    assert len(pictures) == 2
    assert all(one.startswith("data:image/png;base64,") for one in pictures)
    assert found.text.count(HOSTILE) == 5, "question, thoughts, answer, failure, report"
    assert json.dumps(HOSTILE) in found.text, "a phrase in a result"
    for text in (NOTICE, LABEL, "Signed by local", "(no source)", "(edited)", "failure: ", "skipped: ", "outline"):
        assert text in found.text


def test_the_page_allows_its_own_style_and_nothing_else(system: System, told: dict[str, Any]) -> None:
    answer = system.http.get(f"/v1/conversations/{told['id']}/export/html")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert policy.endswith("sandbox")
    (style,) = re.findall(r"<style>(.*)</style>", answer.text, re.DOTALL)
    (wanted,) = re.findall(r"sha256-([^']+)'", policy)
    assert hashlib.sha256(style.encode()).digest() == base64.b64decode(wanted)
    assert "@media print" in style


def overlay_of(system: System, response: str) -> bytes:
    answer = system.http.get(f"/v1/responses/{response}/overlay.png")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return answer.content


def test_an_overlay_shows_masks_and_boxes_in_their_place(system: System, told: dict[str, Any]) -> None:
    drawn = decode_frame(overlay_of(system, told["first"]["id"]))
    plain = ask(system, "hello", told["file"])
    bare = decode_frame(overlay_of(system, plain["id"]))
    assert drawn.shape == bare.shape
    factor = drawn.shape[1] // WIDTH
    changed = (drawn != bare).any(axis=2)
    left, right = changed[:, : WIDTH // 2 * factor], changed[:, WIDTH // 2 * factor :]
    assert left.mean() > 0.95
    assert 0 < right.mean() < 0.3
    assert (drawn[factor, -2] == COLOURS[1]).all(), "the second box is in the second colour"


def test_there_is_no_overlay_without_an_image(system: System, told: dict[str, Any]) -> None:
    without = ask(system, "hello", None)
    assert_problem(system.http.get(f"/v1/responses/{without['id']}/overlay.png"), 404, "not_found")
    assert_problem(system.http.get("/v1/responses/resp_nothing/overlay.png"), 404, "not_found")


def test_a_mask_that_is_no_picture_is_left_out(system: System) -> None:
    response = ask(system, "old mask", system.upload(png_bytes(WIDTH, HEIGHT, seed=3)))
    assert decode_frame(overlay_of(system, response["id"])).shape[2] == 3


def test_what_was_deleted_is_not_exported(system: System) -> None:
    file_id = system.upload(png_bytes(WIDTH, HEIGHT, seed=4))
    response = ask(system, "outline", file_id)
    assert system.http.delete(f"/v1/files/{file_id}").status_code == 200
    conversation = response["conversation"]["id"]
    with zipfile.ZipFile(io.BytesIO(export(system, conversation, "zip"))) as archive:
        assert set(archive.namelist()) == {"README.txt", "conversation.json"}
    assert "<img" not in export(system, conversation, "html").decode()
    assert_problem(system.http.get(f"/v1/responses/{response['id']}/overlay.png"), 404, "not_found")


@pytest.mark.parametrize(("name", "size"), [("zip", 2 * 2**30 + 1), ("html", 64 * 2**20 + 1)])
def test_an_export_is_bounded(system: System, name: str, size: int) -> None:
    """A stored picture becomes a large file with nothing in it, which takes no room on the disk."""
    file_id = system.upload(png_bytes(WIDTH, HEIGHT, seed=size % 1_000))
    response = ask(system, "hello", file_id)
    frame = system.http.get(f"/v1/files/{file_id}").json()["frame"]["sha256"]
    os.truncate(FolderBlobStore(system.settings.blob_folder).path(frame), size)
    answer = system.http.get(f"/v1/conversations/{response['conversation']['id']}/export/{name}")
    assert "pictures" in assert_problem(answer, 413, "too_large")


def test_an_overlay_that_is_too_much_to_draw_is_left_out_and_said_to_be(system: System) -> None:
    """Five outlines on an image of 64 million pixels, beside a picture that can be drawn."""
    small = ask(system, "outline", system.upload(png_bytes(WIDTH, HEIGHT, seed=5)))
    file = io.BytesIO()
    Image.new("L", (8_000, 8_000)).save(file, "PNG")
    conversation = small["conversation"]["id"]
    large = ask(system, "crowd", system.upload(file.getvalue()), conversation=conversation)
    with zipfile.ZipFile(io.BytesIO(export(system, conversation, "zip"))) as archive:
        drawn = {name for name in archive.namelist() if name.startswith("overlays/")}
        assert drawn == {f"overlays/{small['id']}-1.png", "overlays/left_out.txt"}
        assert f"overlays/{large['id']}-1.png" in archive.read("overlays/left_out.txt").decode().splitlines()
    page = export(system, conversation, "html").decode()
    assert page.count("is left out: it is too much to draw") == 1
    assert page.count("drawn over the image") == 1


def test_an_export_draws_so_many_pictures_and_pixels_and_no_more(tmp_path: Path) -> None:
    blobs = FolderBlobStore(tmp_path)
    sizes = ((30, 40), (20, 20), (20, 20), (10, 10))
    drawings = [Drawing(blobs.put(encode_frame(np.full(size, n, np.uint8)))) for n, size in enumerate(sizes)]
    easel = Easel(blobs.get, pictures=3, pixels=1_700)
    assert [easel.draw(one) is not None for one in drawings] == [True, True, False, True]
    assert easel.draw(drawings[3]) is None, "three pictures are drawn"
    gone = Easel(blobs.get)
    blobs.path(drawings[0].frame_sha256).unlink()
    assert gone.draw(drawings[0]) is None
    assert gone.draw(drawings[1]) is not None


def test_an_empty_conversation_can_be_exported(system: System) -> None:
    conversation = system.http.post("/v1/conversations").json()["id"]
    for name in ("json", "zip", "html"):
        assert export(system, conversation, name)


def test_another_format_is_not_found(system: System, told: dict[str, Any]) -> None:
    answer = system.http.get(f"/v1/conversations/{told['id']}/export/pdf")
    assert "html, json, zip" in assert_problem(answer, 404, "not_found")
    assert_problem(system.http.get("/v1/conversations/conv_x/export/json"), 404, "not_found")
