"""The OpenAPI document says what the server sends: no field more, none less, and every event of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from mmedagent.serving.tool import Tool
from support.images import ct_bytes
from support.script import action, answer, plan, rule
from support.series import brain, nifti_bytes
from support.streams import in_background, read, watched
from support.studies import BOX, BoxMaskTool
from support.system import System, running_system
from support.tools import BrokenTool, EchoTool, NothingTool, SlowTool, StagesTool

MANY = plan(
    action("boxmask", boxes=[BOX]),
    action("broken"),
    action("nothing"),
    action("echo", boxes="$3.boxes"),
    action("stages"),
)
RULES = [
    rule("many", MANY, answer("An area of 12 px [1], and one of 99 mm.")),
    rule("slow", plan(action("slow")), answer("Never.")),
    rule("fail", plan(action("echo"))),
    rule("", answer("Hello.")),
]


class Contract:
    """A system, and the schemas that its document promises, closed to fields that it does not name."""

    def __init__(self, system: System, slow: SlowTool) -> None:
        self.system, self.slow = system, slow
        self.document: dict[str, Any] = system.http.get("/openapi.json").json()
        self.schemas: dict[str, Any] = self.document["components"]["schemas"]
        for schema in self.schemas.values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)

    def check(self, answer: httpx.Response, method: str, path: str) -> dict[str, Any]:
        """An answer of a route is as the route promises."""
        assert answer.status_code == 200, answer.text
        promised = self.document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        body: dict[str, Any] = answer.json()
        self.check_value(body, promised)
        return body

    def check_value(self, value: Any, schema: dict[str, Any]) -> None:
        assert schema, "nothing is promised"
        whole = {**schema, "components": self.document["components"]}
        errors = list(Draft202012Validator(whole).iter_errors(value))
        assert not errors, errors[0]

    def get(self, path: str, **names: str) -> dict[str, Any]:
        return self.check(self.system.http.get(path.format(**names)), "get", path)

    def post(self, path: str, body: dict[str, Any], **names: str) -> dict[str, Any]:
        return self.check(self.system.http.post(path.format(**names), json=body), "post", path)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    slow, stages = SlowTool(), StagesTool()
    stages.release.set()
    tools: list[Tool] = [BoxMaskTool(), BrokenTool(), NothingTool(), EchoTool(), stages, slow]
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools) as system:
        yield Contract(system, slow)


def asked_in_chat(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def asked_about(file_id: str) -> list[dict[str, Any]]:
    content = [{"type": "input_text", "text": "many"}, {"type": "input_image", "file_id": file_id, "slice": 0}]
    return [{"role": "user", "content": content}]


def test_a_turn_is_as_promised_wherever_it_is_told(contract: Contract) -> None:
    file_id = contract.system.upload(ct_bytes())
    told = contract.post("/v1/responses", {"input": asked_about(file_id)})
    statuses = [item["status"] for item in told["output"] if item["type"] == "mcp_call"]
    assert sorted(statuses) == ["completed", "completed", "completed", "failed", "incomplete"]
    assert told["output"][-1]["mmedagent"]["claims"]
    names = {"response_id": told["id"], "conversation_id": told["conversation"]["id"]}
    for path in (
        "/v1/responses/{response_id}",
        "/v1/responses/{response_id}/report",
        "/v1/conversations/{conversation_id}",
        "/v1/conversations/{conversation_id}/items",
        "/v1/conversations/{conversation_id}/turns",
    ):
        contract.get(path, **names)
    call = told["output"][1]["id"].removeprefix("mcp_")
    contract.post("/v1/responses/{response_id}/rerun", {"call_id": call, "parameters": {"boxes": [BOX]}}, **names)
    turns = contract.get("/v1/conversations/{conversation_id}/turns", **names)["data"]
    assert turns[1]["rerun_of"] == told["id"]


def test_a_turn_that_ends_otherwise_is_as_promised(contract: Contract) -> None:
    failed = contract.system.respond("fail", background=True).json()["id"]
    running = in_background(contract.system, "slow")
    assert contract.slow.started.acquire(timeout=10)
    assert contract.get("/v1/responses/{response_id}", response_id=running)["status"] == "in_progress"
    conversation = read(contract.system, running)["conversation"]["id"]
    turns = "/v1/conversations/{conversation_id}/turns"
    assert contract.get(turns, conversation_id=conversation)["data"][0]["ended_at"] is None
    stopped = contract.post("/v1/responses/{response_id}/cancel", {}, response_id=running)
    assert stopped["status"] == "cancelled"
    watched(contract.system, failed)
    assert contract.get("/v1/responses/{response_id}", response_id=failed)["error"]


def test_every_event_of_a_stream_is_as_promised_and_every_promised_event_is_sent(contract: Contract) -> None:
    file_id = contract.system.upload(ct_bytes())
    sent = []
    for question in (asked_about(file_id), "hello", "fail"):
        response = contract.post("/v1/responses", {"input": question, "background": True})["id"]
        sent += watched(contract.system, response)
    content = contract.document["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]
    for event in sent:
        contract.check_value(event, content["text/event-stream"]["schema"])
    promised = contract.schemas["StreamEvent"]["discriminator"]["mapping"]
    # A stream that is broken off ends in `error`, in test_revoked_streams.py.
    assert {event["type"] for event in sent} == promised.keys() - {"error"}


def test_what_there_is_is_listed_as_promised(contract: Contract) -> None:
    contract.system.upload(nifti_bytes(*brain(slices=4)))
    assert contract.system.respond("many").status_code == 200
    for path in ("/v1/me", "/v1/models", "/v1/tools", "/v1/workers", "/v1/conversations", "/v1/files"):
        found = contract.get(path)
        assert found.get("data", True), path
    file_id = contract.get("/v1/files")["data"][0]["id"]
    assert contract.get("/v1/files/{file_id}", file_id=file_id)["volume"]
    contract.get("/v1/files/{file_id}/frames", file_id=file_id)


def test_an_error_is_as_promised(contract: Contract) -> None:
    refused = contract.system.http.get("/v1/files/none")
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
    promised = contract.document["paths"]["/v1/files/{file_id}"]["get"]["responses"]
    assert promised.keys() == {"200", "default"}
    contract.check_value(refused.json(), promised["default"]["content"]["application/problem+json"]["schema"])


def test_no_json_answer_is_left_open(contract: Contract) -> None:
    """Every route that answers with JSON says what is in it."""
    contract.post("/v1/chat/completions", {"messages": asked_in_chat("many")})
    contract.post("/v1/plans", {"messages": asked_in_chat("many")})
    open_routes = [
        f"{method} {path}"
        for path, methods in contract.document["paths"].items()
        for method, route in methods.items()
        if route["responses"]["200"].get("content", {}).get("application/json", {}).get("schema") == {}
    ]
    assert open_routes == []
