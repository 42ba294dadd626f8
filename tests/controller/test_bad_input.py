"""What is wrong with a request is said in a problem document, and nothing is lost by it."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from mmedagent.serving.tool import Tool
from support.images import ct_bytes, png_bytes
from support.problems import assert_problem, assert_unharmed
from support.script import action, answer, plan, rule
from support.system import System, running_system
from support.tools import EchoTool, MaskTool

KEY = "key-of-the-tests"
CAP = 64 * 2**10
RULES = [rule("use", plan(action("echo")), answer("Used.")), rule("", answer("Fine."))]
BOUNDARY = "boundary-of-the-tests"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    tools: list[Tool] = [EchoTool(), MaskTool()]
    folder = tmp_path_factory.mktemp("system")
    with running_system(folder, RULES, tools, api_key=SecretStr(KEY), max_upload_bytes=CAP) as running:
        yield running


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with the default limit of an upload."""
    with running_system(tmp_path_factory.mktemp("roomy"), RULES) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_lost(system: System) -> Iterator[None]:
    """Whatever a test did, the system goes on."""
    yield
    assert_unharmed(system, "use")


def upload(system: System, content: bytes) -> httpx.Response:
    return system.http.post("/v1/files", files={"file": ("x", content)})


def ask(system: System, *parts: dict[str, Any], **fields: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": list(parts)}], **fields}
    return system.http.post("/v1/chat/completions", json=body)


def text(words: str = "What is it?") -> dict[str, Any]:
    return {"type": "text", "text": words}


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n", ct_bytes()[:20_000], ct_bytes()[:200], png_bytes()[:-40]],
    ids=["empty", "text", "signature only", "truncated DICOM", "DICOM header cut", "truncated PNG"],
)
def test_what_is_no_image_is_refused(system: System, content: bytes) -> None:
    answer = upload(system, content)
    assert answer.status_code in (415, 422)
    assert_problem(answer, answer.status_code, "unsupported_image" if answer.status_code == 415 else "unreadable_image")
    assert system.http.get("/v1/files").json()["data"] == []


def test_an_announced_upload_over_the_cap_is_refused_before_it_is_sent(system: System) -> None:
    place = urlsplit(system.url)
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {300 * 2**20}\r\n\r\n"
    )
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
        connection.sendall(head.encode())
        reply = connection.recv(65_536).decode()
    assert reply.startswith("HTTP/1.1 413")
    assert json.loads(reply.partition("\r\n\r\n")[2])["code"] == "too_large"


@pytest.mark.parametrize("size", [CAP + 1, CAP + 2**20, CAP + 3 * 2**20])
def test_an_upload_over_the_cap_is_refused_announced_or_not(system: System, size: int) -> None:
    for content in (form(size), b"".join(form(size))):
        answer = system.http.post("/v1/files", content=content, headers=form_headers())
        assert "MiB" in assert_problem(answer, 413, "too_large")


def test_300_mb_against_the_default_cap_are_refused_fast(roomy: System) -> None:
    started = time.monotonic()
    answer = roomy.http.post("/v1/files", content=form(300 * 10**6), headers=form_headers())
    assert_problem(answer, 413, "too_large")
    assert time.monotonic() - started < 30
    assert list((roomy.settings.blob_folder / "incoming").iterdir()) == []
    assert roomy.upload(ct_bytes()).startswith("file-")


def form(size: int) -> Iterator[bytes]:
    """A form with a file of zeros, piece by piece, so that its length is not announced."""
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="zeros"\r\n\r\n'.encode()
    piece = bytes(2**20)
    for start in range(0, size, len(piece)):
        yield piece[: size - start]
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def form_headers() -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def test_a_json_body_over_its_limit_is_refused(system: System) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"input": "'
        for _ in range(100):
            yield b"a" * 2**20

    answer = system.http.post("/v1/responses", content=endless(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "too_large")


@pytest.mark.parametrize("path", ["/v1/files", "/v1/files/x/content", "/v1/responses/x", "/v1/conversations/x/items"])
def test_unknown_things_are_not_found(system: System, path: str) -> None:
    if path == "/v1/files":
        assert_problem(ask(system, text(), {"type": "file", "file": {"file_id": "file-0"}}), 404, "not_found")
    else:
        assert_problem(system.http.get(path), 404, "not_found")


def test_unknown_names_are_not_found(system: System) -> None:
    assert_problem(system.http.post("/v1/tools/xray/invoke", json={}), 404, "not_found")
    assert "scripted" in assert_problem(ask(system, text(), model="gpt-9"), 404, "not_found")
    assert_problem(system.respond("Hi", previous_response_id="resp_0"), 404, "not_found")
    assert_problem(system.respond("Hi", conversation="conv_0"), 404, "not_found")
    assert_problem(system.http.get(f"/v1/artifacts/{'0' * 64}"), 404, "not_found")
    assert_problem(system.http.delete("/v1/files/file-0"), 404, "not_found")
    assert_problem(system.http.delete("/v1/conversations/conv_0"), 404, "not_found")


@pytest.mark.parametrize(
    "parameters",
    [
        '{"boxes": [[0, 0, 1]]}',
        '{"boxes": [[0, 0, 1, 7]]}',
        '{"boxes": [[0, 0, 1, NaN]]}',
        '{"boxes": [[0, 0, 1, 1e999]]}',
        '{"size": 3}',
        '{"text": 3}',
        '{"text": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"text": "' + "a" * 2_000 + '"}',
        '{"boxes": ' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=["short", "outside", "NaN", "infinite", "unknown", "number", "surrogate", "surrogate name", "long", "deep"],
)
def test_parameters_against_the_schema_are_refused(system: System, parameters: str) -> None:
    answer = system.http.post(
        "/v1/tools/echo/invoke", content=f'{{"parameters": {parameters}}}', headers={"Content-Type": "application/json"}
    )
    assert answer.json()["code"] in ("invalid_parameters", "invalid_request")
    assert_problem(answer, 422, answer.json()["code"])


def test_a_tool_that_needs_an_image_asks_for_it(system: System) -> None:
    answer = system.http.post("/v1/tools/mask/invoke", json={"parameters": {}})
    assert "image" in assert_problem(answer, 422, "invalid_parameters")


@pytest.mark.parametrize(
    "url",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/picture.png",
        "https://example.org/picture.png",
        "data:text/html;base64,AAAA",
        "data:image/png;base64,%%%%",
        "data:image/png;base64,AAA",
        "data:image/png,AAAA",
        "",
    ],
)
def test_images_are_never_fetched(system: System, url: str) -> None:
    assert_problem(ask(system, text(), image_url(url)), 422, "invalid_request")
    part = {"type": "input_image", "image_url": url}
    assert_problem(
        system.http.post("/v1/responses", json={"input": [{"role": "user", "content": [text(), part]}]}),
        422,
        "invalid_request",
    )


def test_a_data_uri_with_a_broken_image_is_refused(system: System) -> None:
    broken = base64.b64encode(png_bytes()[:50]).decode()
    assert_problem(ask(system, text(), image_url(f"data:image/png;base64,{broken}")), 422, "unreadable_image")


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "null",
        '"words"',
        "{}",
        '{"input": 3}',
        '{"input": []}',
        '{"input": "\\ud800"}',
        "[" * 100_000,
        "\xff",
    ],
    ids=["cut", "list", "null", "text", "empty", "number", "no message", "surrogate", "deep", "not UTF-8"],
)
def test_a_malformed_body_is_refused(system: System, body: str) -> None:
    answer = system.http.post(
        "/v1/responses", content=body.encode("latin-1"), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code, "bad_request" if answer.status_code == 400 else "invalid_request")


@pytest.mark.parametrize(
    "content",
    [
        "",
        " \n\t",
        "a" * 100_000,
        [text("a" * 15_000), text("b" * 15_000)],
        [text(), *[text("word")] * 20],
        [text(), image_url("data:image/png;base64,AAAA"), image_url("data:image/png;base64,AAAA")],
        [{"type": "input_audio", "data": "AAAA"}],
        [{"type": "input_image"}, text()],
    ],
    ids=["empty", "blank", "long", "long in two parts", "many parts", "two images", "audio", "no image in the part"],
)
def test_messages_that_cannot_be_asked_are_refused(system: System, content: Any) -> None:
    messages = [{"role": "user", "content": content}]
    for path, key in (("/v1/chat/completions", "messages"), ("/v1/responses", "input"), ("/v1/plans", "messages")):
        assert_problem(system.http.post(path, json={key: messages}), 422, "invalid_request")


def test_the_last_message_is_the_users(system: System) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    answer = system.http.post("/v1/chat/completions", json={"messages": messages})
    assert_problem(answer, 422, "invalid_request")
    many = [{"role": "user", "content": "Hi"}] * 201
    assert_problem(system.http.post("/v1/chat/completions", json={"messages": many}), 422, "invalid_request")


def test_a_long_conversation_can_go_on(system: System) -> None:
    made = system.http.post("/v1/conversations", json={}).json()["id"]
    for _ in range(3):
        assert system.respond("Hi", conversation=made).status_code == 200
    most = [{"role": "user", "content": "Hi"}] * 200
    answer = system.http.post("/v1/responses", json={"input": most, "conversation": made})
    assert answer.status_code in (200, 422), answer.text


def test_a_conversation_and_a_previous_response_exclude_each_other(system: System) -> None:
    first = system.respond("Hi").json()
    answer = system.respond("Hi", previous_response_id=first["id"], conversation=first["conversation"]["id"])
    assert_problem(answer, 422, "invalid_request")
