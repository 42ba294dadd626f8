"""What belongs to one owner does not exist for another: every route of the OpenAPI document is tried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from mmedagent.serving.blobs import FolderBlobStore
from support.images import png_bytes
from support.keys import client, make_key
from support.problems import assert_problem
from support.script import action, answer, rule, told
from support.system import System, running_controller
from support.tools import CallingTool, EchoTool, MaskTool

METHODS = ("get", "put", "post", "patch", "delete")
TOOLS = (MaskTool(), EchoTool(), CallingTool())


@dataclass
class Households:
    """Two owners and a stranger, and what the first of them has."""

    system: System
    alice: httpx.Client
    bob: httpx.Client
    stranger: httpx.Client
    ids: dict[str, str]

    def routes(self) -> Iterator[tuple[str, str]]:
        """Every method and path under /v1."""
        for path, methods in self.system.http.get("/openapi.json").json()["paths"].items():
            if path.startswith("/v1/"):
                yield from ((method.upper(), path) for method in methods if method in METHODS)

    def request(self, who: httpx.Client, method: str, path: str) -> httpx.Response:
        """A request that is valid but for who sends it, about what the first owner has."""
        body: dict[str, Any] = {"parameters": {}, "file_id": self.ids["file_id"]}
        if not path.startswith("/v1/tools/"):
            body |= {"title": "Mine", "call_id": self.ids["call_id"], "state": "reviewed", "sections": []}
        url = re.sub(r"\{(\w+)\}", lambda found: self.ids[found.group(1)], path)
        content = None if method in {"GET", "DELETE"} else body
        return who.request(method, url, headers={"If-Match": '"0"'}, json=content)


def ask(who: httpx.Client, text: str, file_id: str | None = None, **fields: Any) -> httpx.Response:
    content: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
    if file_id:
        content.append({"type": "input_image", "file_id": file_id})
    return who.post("/v1/responses", json={"input": [{"role": "user", "content": content}], **fields})


def upload(who: httpx.Client, content: bytes) -> dict[str, Any]:
    sent = who.post("/v1/files", files={"file": content})
    assert sent.status_code == 200, sent.text
    return dict(sent.json())


@pytest.fixture(scope="module")
def households(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Households]:
    with running_controller(tmp_path_factory.mktemp("system"), expected_tools=("mask", "echo")) as system:
        clients = [client(system, make_key(system, name)) for name in ("alice", "bob")]
        alice, bob = clients
        file = upload(alice, png_bytes(seed=1))
        system.add_tools(TOOLS)
        rules = [told("outline", action("mask")), told("look", action("mask", image=file["id"]))]
        system.add_script([*rules, rule("", answer("Hello."))])
        system.wait_until_ready()
        response = ask(alice, "outline", file["id"]).json()
        call = next(item for item in response["output"] if item["type"] == "mcp_call")
        ids = {
            "file_id": file["id"],
            "conversation_id": response["conversation"]["id"],
            "response_id": response["id"],
            "sha256": json.loads(call["output"])["artifacts"][0]["sha256"],
            "call_id": call["id"].removeprefix("mcp_"),
            "index": "0",
            "format": "json",
            "name": "mask",
        }
        yield Households(system, alice, bob, client(system, None), ids)


def test_without_a_key_every_route_is_closed(households: Households) -> None:
    for method, path in households.routes():
        assert_problem(households.request(households.stranger, method, path), 401, "unauthorized")


def test_what_belongs_to_another_owner_does_not_exist(households: Households) -> None:
    """On every route that names something, whatever is done to it; and nothing has happened to it afterwards."""
    tried = 0
    named = [(method, path) for method, path in households.routes() if "{" in path]
    for method, path in named:
        assert_problem(households.request(households.bob, method, path), 404, "not_found")
        tried += 1
    assert tried > 10
    for method, path in named:
        if method == "GET":
            assert households.request(households.alice, method, path).status_code == 200, path


def test_lists_show_the_callers_own(households: Households) -> None:
    own, foreign = [], []
    for method, path in households.routes():
        if method == "GET" and "{" not in path:
            own.append(households.request(households.alice, method, path).text)
            foreign.append(households.request(households.bob, method, path).text)
    for name in ("file_id", "conversation_id"):
        assert any(households.ids[name] in text for text in own)
        assert not any(households.ids[name] in text for text in foreign)


def test_nobody_asks_about_what_is_anothers(households: Households) -> None:
    bob, ids = households.bob, households.ids
    assert_problem(ask(bob, "outline", ids["file_id"]), 404, "not_found")
    assert_problem(ask(bob, "And now?", conversation=ids["conversation_id"]), 404, "not_found")
    assert_problem(ask(bob, "And now?", previous_response_id=ids["response_id"]), 404, "not_found")
    parts = [{"type": "text", "text": "outline"}, {"type": "file", "file": {"file_id": ids["file_id"]}}]
    for path in ("/v1/chat/completions", "/v1/plans"):
        sent = bob.post(path, json={"messages": [{"role": "user", "content": parts}]})
        assert_problem(sent, 404, "not_found")


def test_a_plan_cannot_fetch_the_image_of_another_owner(households: Households) -> None:
    """The planner names the file by its id, as if it had read it somewhere."""
    statuses = {}
    for name, who in (("alice", households.alice), ("bob", households.bob)):
        own = upload(who, png_bytes(seed=2))
        items = ask(who, "look", own["id"]).json()["output"]
        statuses[name] = next(item["status"] for item in items if item["type"] == "mcp_call")
    assert statuses == {"alice": "completed", "bob": "failed"}


def test_what_an_inner_tool_makes_belongs_to_whoever_has_the_image(households: Households) -> None:
    file = upload(households.bob, png_bytes(seed=5))
    body = {"parameters": {"tool": "mask", "parameters": {}}, "file_id": file["id"]}
    assert households.bob.post("/v1/tools/calling/invoke", json=body).status_code == 200
    store = FolderBlobStore(households.system.settings.blob_folder)
    mask = store.put(b"mask of " + file["frame"]["sha256"].encode())
    assert households.bob.get(f"/v1/artifacts/{mask}").status_code == 200
    assert_problem(households.alice.get(f"/v1/artifacts/{mask}"), 404, "not_found")


def test_the_same_picture_of_two_owners_is_deleted_for_one(households: Households) -> None:
    alice, bob = households.alice, households.bob
    first, second = upload(alice, png_bytes(seed=3)), upload(bob, png_bytes(seed=3))
    frame = f"/v1/artifacts/{first['frame']['sha256']}"
    assert first["frame"] == second["frame"]
    assert alice.delete(f"/v1/files/{first['id']}").status_code == 200
    assert_problem(alice.get(frame), 404, "not_found")
    assert bob.get(frame).status_code == 200
    assert bob.get(f"/v1/files/{second['id']}/content").status_code == 200


def test_keys_of_one_owner_share_everything_and_sign_with_their_own_name(households: Households) -> None:
    desk = client(households.system, make_key(households.system, "reading-desk", "--owner", "alice"))
    report = f"/v1/responses/{households.ids['response_id']}/report"
    assert desk.get(report).json() == households.alice.get(report).json()
    assert households.alice.post(f"{report}/state", json={"state": "reviewed"}).json()["reviewed_by"] == "alice"
    signed = desk.post(f"{report}/state", json={"state": "signed"}).json()
    assert (signed["reviewed_by"], signed["signed_by"]) == ("alice", "reading-desk")
