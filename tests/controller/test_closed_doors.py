"""Who may not come in does not come in: foreign hosts and pages, wrong keys, forged workers, unknown addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from support.images import ct_bytes
from support.problems import assert_problem, assert_unharmed
from support.script import action, answer, plan, rule
from support.system import WORKER_TOKEN, System, running_system
from support.tools import PATIENCE_S, EchoTool, make_card

KEY = "key-of-the-tests"
RULES = [rule("", plan(action("echo")), answer("Used."))]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    with running_system(folder, RULES, [EchoTool()], api_key=SecretStr(KEY)) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_lost(system: System) -> Iterator[None]:
    """Whatever a test did, the system goes on."""
    yield
    assert_unharmed(system, "Hi")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1@evil.example"},
    ],
)
def test_foreign_hosts_and_origins_are_forbidden(system: System, headers: dict[str, str]) -> None:
    for method, path in (
        ("GET", "/v1/tools"),
        ("POST", "/v1/responses"),
        ("GET", "/healthz"),
        ("OPTIONS", "/v1/files"),
    ):
        assert_problem(system.http.request(method, path, headers=headers), 403, "forbidden")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {WORKER_TOKEN}", "Bearer \xe9"]
)
def test_without_the_key_every_door_is_closed(system: System, authorization: str) -> None:
    doors = [("GET", f"/v1/{name}") for name in ("files", "models", "tools", "workers", "conversations")]
    doors += [("POST", "/v1/conversations"), ("GET", "/v1/files/x"), ("GET", "/v1/responses/x")]
    doors += [("DELETE", "/v1/files/x"), ("GET", f"/v1/artifacts/{'0' * 64}")]
    with httpx.Client(base_url=system.url, trust_env=False) as stranger:
        for method, path in doors:
            answer = stranger.request(
                method, path, headers=httpx.Headers({"Authorization": authorization}, encoding="latin-1")
            )
            assert_problem(answer, 401, "unauthorized")
        for path in ("responses", "chat/completions", "plans"):
            body = {"input": "Hi", "messages": [{"role": "user", "content": "Hi"}]}
            assert_problem(stranger.post(f"/v1/{path}", json=body), 401, "unauthorized")
        assert_problem(stranger.post("/v1/tools/echo/invoke", json={}), 401, "unauthorized")
        assert_problem(stranger.post("/v1/files", files={"file": ct_bytes()}), 401, "unauthorized")


def register(system: System, token: str, **fields: Any) -> httpx.Response:
    offer = {"kind": "tool", "card": make_card("forged").model_dump()}
    body = {"url": "http://127.0.0.1:1/forged", "offer": offer, "concurrency": 1, **fields}
    return system.http.post("/internal/workers", json=body, headers={"Authorization": f"Bearer {token}"})


def test_a_worker_needs_the_token_and_a_host_that_is_allowed(system: System) -> None:
    assert_problem(register(system, KEY), 401, "unauthorized")
    assert_problem(register(system, "-"), 401, "unauthorized")
    for url in ("http://evil.example:1/forged", "http://127.0.0.1.evil.example/x", "http://169.254.169.254/x"):
        assert_problem(register(system, WORKER_TOKEN, url=url), 403, "forbidden")
    for url in ("file:///etc/passwd", "http://127.0.0.1:1/../x", "http://user@127.0.0.1/x", "//127.0.0.1/x"):
        assert_problem(register(system, WORKER_TOKEN, url=url), 422, "invalid_request")
    card = make_card("forged").model_dump() | {"parameters": {"type": "nonsense"}}
    answer = register(system, WORKER_TOKEN, offer={"kind": "tool", "card": card})
    assert "parameters" in assert_problem(answer, 422, "invalid_request")
    assert "forged" not in [card["name"] for card in system.http.get("/v1/tools").json()["data"]]


def test_blobs_and_leases_need_the_token(system: System) -> None:
    for method, path in (("GET", f"blobs/{'0' * 64}"), ("PUT", f"blobs/{'0' * 64}"), ("PUT", "workers/x")):
        assert_problem(system.http.request(method, f"/internal/{path}", json={}), 401, "unauthorized")
    headers = {"Authorization": f"Bearer {WORKER_TOKEN}"}
    wrong = system.http.put(f"/internal/blobs/{'0' * 64}", content=b"other bytes", headers=headers)
    assert_problem(wrong, 422, "invalid_request")
    assert_problem(system.http.get("/internal/blobs/..%2f..%2fx", headers=headers), 404, "not_found")


def test_unknown_routes_and_wrong_methods(system: System) -> None:
    assert_problem(system.http.get("/v1/nothing"), 404, "not_found")
    assert_problem(system.http.get("/v1/../etc/passwd"), 404, "not_found")
    wrong = system.http.put("/v1/models")
    assert_problem(wrong, 405, "bad_request")
    assert wrong.headers["allow"] == "GET"


@pytest.mark.parametrize("given", ["my-request-1", "a" * 65, "a b", "<script>", ""])
def test_a_correlation_id_is_taken_over_when_it_is_one(system: System, given: str) -> None:
    answer = system.http.get("/v1/nothing", headers={"X-Request-Id": given})
    assert_problem(answer, 404, "not_found")
    assert (answer.headers["x-request-id"] == given) is (given == "my-request-1")


def test_a_stranger_is_turned_away_before_the_body_is_read(system: System) -> None:
    host, port = system.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        head = ("POST /v1/files HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {2**20}", "", "")
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(1_024).startswith(b"HTTP/1.1 401")


def test_a_page_from_another_port_is_refused(system: System) -> None:
    assert system.http.get("/v1/tools", headers={"Origin": system.url}).status_code == 200
    assert system.http.get("/v1/tools", headers={"Origin": "http://127.0.0.1:1"}).status_code == 403
