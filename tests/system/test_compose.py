"""docker-compose.yml, without a container engine: what it says, and its services run as processes and wired by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mmedagent.cli.profile import load_profile
from support.tools import wait_until
from system.compose import (
    DOCKERFILE,
    ROOT,
    Stack,
    dockerfile_list,
    interpolated,
    mounts_of,
    read_compose,
    running_stack,
)
from system.launch import LOOPBACK, READY_S, answer_text, ask, client, wait_until_ready

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SECRETS = {"MMEDAGENT_API_KEY": "key-of-this-test", "MMEDAGENT_WORKER_TOKEN": "token-of-this-test"}
SERVICES: dict[str, Any] = read_compose()["services"]
QUESTION = "What is pneumonia and how is it treated?"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("compose"), SECRETS) as running:
        yield running


@pytest.fixture(scope="module")
def url(stack: Stack) -> str:
    """The published address of the ready system."""
    [(name, host, port)] = stack.published()
    with client(f"http://{host}:{port}") as http:
        wait_until_ready(http, stack.processes[name])
    return f"http://{host}:{port}"


def test_a_turn_goes_through_the_published_port(stack: Stack, url: str) -> None:
    with client(url, SECRETS["MMEDAGENT_API_KEY"]) as http:
        workers = {row["name"] for row in http.get("/v1/workers").json()["data"]}
        response = ask(http, QUESTION)
    assert set(load_profile("embedded").tools) < workers
    assert "pneumonia" in answer_text(response).lower()
    calls = [item for item in response.json()["output"] if item["type"] == "mcp_call"]
    assert [(call["name"], call["status"]) for call in calls] == [("retrieval", "completed")]


def test_an_image_travels_over_http_to_a_worker_without_the_disk(stack: Stack, url: str) -> None:
    with client(url, SECRETS["MMEDAGENT_API_KEY"]) as http:
        content = (ROOT / "examples" / "abdomen-ct.dcm").read_bytes()
        file_id = http.post("/v1/files", files={"file": ("ct.dcm", content)}).json()["id"]
        body = {"file_id": file_id, "parameters": {"boxes": [[0.25, 0.25, 0.75, 0.7]]}}
        answer = http.post("/v1/tools/segmentation/invoke", json=body)
        assert answer.status_code == 200, answer.text
        pictures = {one["kind"]: one["sha256"] for one in answer.json()["artifacts"]}
        assert http.get(f"/v1/artifacts/{pictures['overlay']}").content.startswith(b"\x89PNG")


def test_the_key_is_needed(url: str) -> None:
    with client(url) as http:
        assert http.get("/healthz").is_success
        assert http.get("/v1/tools").status_code == 401


def test_another_host_name_is_refused(url: str) -> None:
    assert httpx.get(f"{url}/healthz", headers={"Host": "elsewhere.example"}, trust_env=False).status_code == 403


@pytest.mark.parametrize("name", SERVICES)
def test_its_health_check_says_healthy(stack: Stack, url: str, name: str) -> None:
    wait_until(lambda: stack.is_healthy(name), f"{name} is healthy", READY_S)


def test_health_checks_can_fail(stack: Stack, url: str) -> None:
    name = next(iter(stack.services))
    nobody = {**stack.environments[name], "MMEDAGENT_HEALTH_URL": f"{url}/nowhere"}
    other = Stack(stack.services, {**stack.environments, name: nobody}, stack.processes, stack.places)
    assert not other.is_healthy(name)


def test_only_volumes_are_written_to(stack: Stack, url: str, tmp_path: Path) -> None:
    for name in stack.services:
        folder = stack.places.folder / name
        assert [path.name for path in folder.iterdir()] == ["output.log"], name
    assert any((stack.places.folder / "volumes" / "data").iterdir())


def test_every_tool_of_the_profile_has_a_service() -> None:
    tools = [service["command"][1] for service in SERVICES.values() if service["command"][0] == "tool"]
    assert sorted(tools) == sorted(load_profile("embedded").tools)
    assert [service["command"] for service in SERVICES.values() if service["command"][0] != "tool"] == [
        ["controller"],
        ["planner"],
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_little(name: str) -> None:
    service = SERVICES[name]
    uid, gid = service["user"].split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()


def test_only_the_controller_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["controller"]
    inside = SERVICES["controller"]["environment"]["MMEDAGENT_PORT"]
    assert [interpolated(one, {}) for one in published["controller"]] == [f"{LOOPBACK}:{inside}:{inside}"]


def test_only_the_controller_has_the_data() -> None:
    assert {name: mounts_of(service) for name, service in SERVICES.items() if mounts_of(service)} == {
        "controller": [("data", "/data")]
    }
    assert list(read_compose()["volumes"]) == ["data"]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_must_be_given_and_are_nowhere_written(name: str) -> None:
    others = {key: value for key, value in SECRETS.items() if key != name}
    with pytest.raises(KeyError, match=name):
        interpolated(SERVICES, others)
    given = {service["environment"][name] for service in SERVICES.values() if name in service["environment"]}
    assert all(re.fullmatch(rf"\$\{{{name}:\?[^}}]+\}}", value) for value in given)
    assert name not in DOCKERFILE.read_text("utf-8")


def test_no_other_secret_is_written_down() -> None:
    words = re.compile("KEY|TOKEN|SECRET|PASSWORD")
    names = {key for service in SERVICES.values() for key in service["environment"] if words.search(key)}
    assert names == set(SECRETS)


def test_the_image_runs_as_an_ordinary_user() -> None:
    text = DOCKERFILE.read_text("utf-8")
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == [service["user"] for service in list(SERVICES.values())[:1]]


def test_image_and_services_share_one_health_check() -> None:
    command = ("CMD", *dockerfile_list("HEALTHCHECK"))
    assert {tuple(service["healthcheck"]["test"]) for service in SERVICES.values()} == {command}
