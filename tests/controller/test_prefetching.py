"""Images that are prepared before anybody asks about them, when there is nothing else to do."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from mmedagent.protocol.invocation import ImageRef
from support.images import png_bytes
from support.problems import assert_problem
from support.script import answer, rule
from support.system import System, running_system
from support.tools import PreparingTool, wait_until
from support.worker import HEADERS, call, metric

RULES = [rule("", answer("Fine."))]


@pytest.fixture
def tool() -> PreparingTool:
    return PreparingTool()


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory, tool: PreparingTool) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("system"), RULES, [tool], concurrency=1) as running:
        yield running


@pytest.fixture
def worker(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.workers["tools"].url, headers=HEADERS, trust_env=False) as client:
        yield client


def prefetches(worker: httpx.Client, outcome: str) -> float:
    return metric(worker, "mmedagent_tool_prefetches_total", tool="preparing", outcome=outcome)


def test_an_image_is_prepared_on_upload(system: System, worker: httpx.Client, tool: PreparingTool) -> None:
    file_id = system.upload(png_bytes())
    wait_until(lambda: prefetches(worker, "done") == 1, "the image is prepared")
    result = system.http.post("/v1/tools/preparing/invoke", json={"file_id": file_id}).json()
    assert result["data"]["text"] == "prepared"
    assert tool.made == 1
    assert metric(worker, "mmedagent_cache_requests_total", cache="preparing", outcome="hit") == 1


def test_a_busy_worker_prepares_nothing(system: System, worker: httpx.Client, tool: PreparingTool) -> None:
    image = ImageRef(sha256="1" * 64, source_sha256="1" * 64, width=1, height=1).model_dump()
    tool.may_prepare.clear()
    file_id = system.upload(png_bytes())
    assert tool.preparing.wait(10)
    answer = worker.post("/preparing/prefetch", json=image)
    assert (answer.status_code, answer.json()) == (202, {"begun": False})
    assert prefetches(worker, "dropped") == 1
    tool.may_prepare.set()
    assert system.http.post("/v1/tools/preparing/invoke", json={"file_id": file_id}).status_code == 200
    assert tool.made == 1


def test_an_image_that_cannot_be_prepared_harms_nothing(system: System, worker: httpx.Client) -> None:
    gone = ImageRef(sha256="1" * 64, source_sha256="1" * 64, width=1, height=1).model_dump()
    assert worker.post("/preparing/prefetch", json=gone).json() == {"begun": True}
    wait_until(lambda: prefetches(worker, "failed") == 1, "it has failed")
    file_id = system.upload(png_bytes())
    assert system.http.post("/v1/tools/preparing/invoke", json={"file_id": file_id}).status_code == 200


def test_only_the_controller_offers_images(system: System, worker: httpx.Client) -> None:
    image = ImageRef(sha256="1" * 64, source_sha256="1" * 64, width=1, height=1).model_dump()
    stranger = worker.post("/preparing/prefetch", json=image, headers={"Authorization": "Bearer wrong"})
    assert_problem(stranger, 401, "unauthorized")
    assert_problem(worker.post("/preparing/prefetch", json=call("preparing")), 422, "invalid_request")
