"""A worker as others meet it: its HTTP interface, its membership at a controller, and blobs over HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import MMedAgentError, NotFoundError, WorkerError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.blobs import FolderBlobStore, HttpBlobStore, sha256_of
from mmedagent.serving.run import BackgroundServer, bind, url_of
from mmedagent.serving.tool import Placement, ToolContext, ToolOutput
from mmedagent.serving.tool_service import HostedTool
from mmedagent.serving.tool_worker import create_tool_worker
from mmedagent.serving.worker import WorkerSettings
from support.images import png_bytes
from support.problems import assert_problem
from support.script import answer, rule
from support.system import LABEL, WORKER_TOKEN, System, running_controller, running_system
from support.tools import (
    PATIENCE_S,
    BrokenTool,
    EchoTool,
    MaskTool,
    SlowTool,
    StagesTool,
    UnloadableTool,
    wait_until,
)
from support.worker import HEADERS, call, running_worker

RULES = [rule("", answer("Fine."))]


class LateTool(EchoTool):
    """Loads only when it is told to."""

    def __init__(self) -> None:
        super().__init__("late")
        self.may_load = threading.Event()

    def load(self, device: str) -> None:
        assert self.may_load.wait(PATIENCE_S)
        super().load(device)


class WildTool(EchoTool):
    """Gives a number that is none."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [ToolOutput({"boxes": [[0.0, 0.0, 1.0, float("nan")]]})]


def test_a_worker_shows_its_card_and_answers_with_provenance(tmp_path: Path) -> None:
    echo = EchoTool()
    with running_worker(tmp_path, echo) as client:
        assert ToolCard.model_validate(client.get("/echo/card").json()) == echo.card
        assert echo.loaded_on == "cpu"
        answer = client.post("/echo/invoke", json=call("echo", text="words"), headers={"X-Request-Id": "request-1"})
        assert answer.headers["x-request-id"] == "request-1"
        result = answer.json()
        assert result["data"]["text"] == "words"
        provenance = result["provenance"]
        assert (provenance["tool"], provenance["version"], provenance["label"]) == ("echo", "1.0.0", LABEL)
        assert len(provenance["output_sha256"]) == 64
        assert "mmedagent_tool_seconds_count" in client.get("/metrics").text


def test_an_image_is_read_from_its_blob_and_artifacts_are_stored(tmp_path: Path) -> None:
    blobs = FolderBlobStore(tmp_path / "blobs")
    frame = blobs.put(png_bytes(24, 16))
    image = {"sha256": frame, "source_sha256": "0" * 64, "width": 24, "height": 16}
    with running_worker(tmp_path, MaskTool()) as client:
        result = client.post("/mask/invoke", json={**call("mask"), "image": image}).json()
        (artifact,) = result["artifacts"]
        assert blobs.get(artifact["sha256"]) == b"mask of " + frame.encode()
        assert result["provenance"]["input_sha256"] == ["0" * 64, frame]
        assert result["provenance"]["preprocessing"] == "none at all"
        missing = {**call("mask"), "image": {**image, "sha256": "1" * 64}}
        assert_problem(client.post("/mask/invoke", json=missing), 404, "not_found")
        assert_problem(client.post("/mask/invoke", json=call("mask")), 422, "invalid_parameters")


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("error", 502, "worker_failed"),
        ("raise", 502, "worker_failed"),
        ("crash", 502, "worker_failed"),
        ("lie", 502, "worker_failed"),
        ("none", 502, "worker_failed"),
        ("deadline", 504, "deadline_exceeded"),
    ],
)
def test_a_tool_that_fails_says_so(tmp_path: Path, how: str, status: int, code: str) -> None:
    with running_worker(tmp_path, BrokenTool()) as client:
        assert "secret" not in assert_problem(client.post("/broken/invoke", json=call("broken", how=how)), status, code)
        assert client.get("/broken/health").json()["in_flight"] == 0


def test_a_result_that_is_not_json_is_a_failure(tmp_path: Path) -> None:
    with running_worker(tmp_path, WildTool()) as client:
        assert_problem(client.post("/echo/invoke", json=call("echo")), 502, "worker_failed")


def test_a_worker_checks_token_parameters_and_deadline(tmp_path: Path) -> None:
    with running_worker(tmp_path, EchoTool(), SlowTool()) as client:
        stranger = {"Authorization": "Bearer wrong"}
        assert_problem(client.post("/echo/invoke", json=call("echo"), headers=stranger), 401, "unauthorized")
        assert_problem(client.post("/echo/invoke", json=call("echo", size=1)), 422, "invalid_parameters")
        assert_problem(client.post("/echo/invoke", json={**call("echo"), "more": 1}), 422, "invalid_request")
        assert_problem(client.post("/echo/invoke", json=call("echo", deadline_s=0)), 422, "invalid_request")
        assert_problem(client.post("/slow/invoke", json=call("slow", deadline_s=0.1)), 504, "deadline_exceeded")
        assert_problem(client.post("/nothing/invoke", json=call("nothing")), 404, "not_found")


def test_a_caller_that_leaves_cancels_the_work(tmp_path: Path) -> None:
    slow = SlowTool()
    with running_worker(tmp_path, slow) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/slow/invoke", json=call("slow"), timeout=0.5)
        assert slow.was_cancelled.wait(PATIENCE_S)
        assert slow.ended == ["cancelled"]
        wait_until(lambda: client.get("/slow/health").json()["in_flight"] == 0, "its place is free")


@pytest.mark.parametrize("error", [WorkerError("No checkpoint."), RuntimeError("not foreseen")])
def test_a_tool_that_does_not_load_says_so_and_harms_no_other(tmp_path: Path, error: Exception) -> None:
    with running_worker(tmp_path, UnloadableTool(error), EchoTool()) as client:
        assert client.get("/unloadable/health").json()["status"] == "failed"
        assert_problem(client.post("/unloadable/invoke", json=call("unloadable")), 503, "unavailable")
        assert client.post("/echo/invoke", json=call("echo")).status_code == 200


def names(system: System) -> set[str]:
    return {str(row["name"]) for row in system.http.get("/v1/workers").json()["data"]}


def test_a_worker_registers_after_it_has_loaded_and_leaves_before_it_ends(tmp_path: Path) -> None:
    late = LateTool()
    with running_controller(tmp_path, expected_tools=("late",), lease_s=60.0) as system:
        server = system.add_tools([EchoTool(), late, UnloadableTool()])
        wait_until(lambda: names(system) == {"echo"}, "the first tool registers")
        loading = httpx.post(f"{server.url}/late/invoke", json=call("late"), headers=HEADERS)
        assert_problem(loading, 503, "unavailable")
        assert "late" in assert_problem(system.http.get("/readyz"), 503, "unavailable")
        late.may_load.set()
        wait_until(lambda: names(system) == {"echo", "late"}, "the second tool registers")
        server.__exit__()
        assert names(system) == set()


def test_a_worker_comes_back_when_the_controller_does(tmp_path: Path) -> None:
    """The controller is away when the worker starts, comes, forgets everything, and comes again."""
    place = bind("127.0.0.1", 0)
    host, port = place.getsockname()[:2]
    place.close()
    listener = bind("127.0.0.1", 0)
    settings = WorkerSettings(
        url=url_of(listener), controller_url=f"http://{host}:{port}", token=WORKER_TOKEN, blob_folder=tmp_path
    )
    app, _ = create_tool_worker([HostedTool(EchoTool())], settings)
    with BackgroundServer(app, listener):
        for _ in range(2):
            with running_controller(tmp_path, listener=bind(host, port), lease_s=1.0) as system:
                wait_until(lambda system=system: names(system) == {"echo"}, "it registers")  # type: ignore[misc]


def test_a_lost_lease_is_registered_again(tmp_path: Path) -> None:
    with running_controller(tmp_path, lease_s=0.6) as system:
        system.add_tools([EchoTool()])
        wait_until(lambda: names(system) == {"echo"}, "it registers")
        (row,) = system.http.get("/v1/workers").json()["data"]
        forgotten = system.http.delete(f"/internal/workers/{row['worker_id']}", headers=HEADERS)
        assert forgotten.status_code == 204
        wait_until(lambda: names(system) == {"echo"}, "it registers again")


def test_blobs_travel_over_http_to_workers_elsewhere(tmp_path: Path) -> None:
    with running_system(tmp_path, RULES) as system:
        system.add_tools([MaskTool()], shared_disk=False)
        wait_until(lambda: "mask" in names(system), "it registers")
        file_id = system.upload(png_bytes(24, 16))
        result = system.http.post("/v1/tools/mask/invoke", json={"file_id": file_id}).json()
        (artifact,) = result["artifacts"]
        kept = system.http.get(f"/v1/artifacts/{artifact['sha256']}").content
        assert hashlib.sha256(kept).hexdigest() == artifact["sha256"]
        with closing(HttpBlobStore(system.url, WORKER_TOKEN)) as store:
            assert store.get(store.put(b"content")) == b"content"
            assert sha256_of(b"content") == store.put(b"content")
            with pytest.raises(NotFoundError):
                store.get("0" * 64)
        with closing(HttpBlobStore(system.url, "wrong")) as stranger, pytest.raises(WorkerError):
            stranger.get("0" * 64)


def events_of(
    client: httpx.Client, tool: str, after_first: Callable[[], None] = lambda: None, **parameters: Any
) -> list[dict[str, Any]]:
    """What a worker streams about a call, to its end; `after_first` is called when the first event is there."""
    headers = {"Accept": "text/event-stream"}
    with client.stream("POST", f"/{tool}/invoke", json=call(tool, **parameters), headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines: list[str] = []
        for line in stream.iter_lines():
            lines.append(line)
            if line.startswith("data: ") and sum(one.startswith("data: ") for one in lines) == 1:
                after_first()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [f"event: {event['kind']}" for event in events] == [line for line in lines if line.startswith("event: ")]
    return events


def test_a_call_can_be_watched(tmp_path: Path) -> None:
    tool = StagesTool()
    with running_worker(tmp_path, tool) as client:
        # The tool goes on only when the first event has been read, which a later one could otherwise replace.
        first, *others, last = events_of(client, "stages", after_first=tool.release.set, text="words")
        assert first == {"kind": "progress", "fraction": 0.25, "text": "Looking"}
        assert {event["kind"] for event in others} <= {"progress"}
        assert (last["kind"], last["data"]["text"]) == ("result", "words")
        plain = client.post("/stages/invoke", json=call("stages", text="words"))
        assert plain.json()["data"] == last["data"]


def test_a_call_that_is_watched_fails_in_the_stream(tmp_path: Path) -> None:
    with running_worker(tmp_path, BrokenTool(), SlowTool()) as client:
        (failure,) = events_of(client, "broken", how="raise")
        assert (failure["kind"], failure["code"]) == ("failure", "worker_failed")
        (failure,) = events_of(client, "broken", how="sideways")
        assert failure["code"] == "invalid_parameters"
        (failure,) = events_of(client, "slow", deadline_s=0.1)
        assert failure["code"] == "deadline_exceeded"


def test_leaving_the_stream_cancels_the_call(tmp_path: Path) -> None:
    slow = SlowTool()
    with running_worker(tmp_path, slow) as client:
        with (
            pytest.raises(httpx.ReadTimeout),
            client.stream(
                "POST", "/slow/invoke", json=call("slow"), headers={"Accept": "text/event-stream"}, timeout=0.5
            ) as stream,
        ):
            list(stream.iter_lines())
        assert slow.was_cancelled.wait(PATIENCE_S)
        assert slow.ended == ["cancelled"]


class PlacedTool(EchoTool):
    """Can compute in any way, and remembers in which."""

    def __init__(self) -> None:
        super().__init__("placed")
        self.placement: Placement | None = None

    def place(self, placement: Placement) -> None:
        self.placement = placement


def test_a_tool_is_placed_before_it_is_loaded(tmp_path: Path) -> None:
    placed, plain = PlacedTool(), EchoTool()
    hosted = [HostedTool(placed, device="cuda:1", precision="bf16", compile=True), HostedTool(plain)]
    with running_worker(tmp_path, *hosted, device="cuda:0"):
        assert (placed.placement, placed.loaded_on) == (Placement("cuda:1", "bf16", compile=True), "cuda:1")
        assert plain.loaded_on == "cuda:0"


@pytest.mark.parametrize(
    "hosted",
    [
        HostedTool(EchoTool("placed"), device="cuda", precision="fp16"),
        HostedTool(EchoTool("placed"), device="cuda", compile=True),
        HostedTool(PlacedTool(), precision="bf16"),
        HostedTool(PlacedTool(), compile=True),
    ],
    ids=["no half", "not compiled", "half on a CPU", "compiled on a CPU"],
)
def test_a_tool_that_cannot_compute_so_is_not_started(tmp_path: Path, hosted: HostedTool) -> None:
    with running_worker(tmp_path, hosted, EchoTool()) as client:
        assert client.get("/placed/health").json()["status"] == "failed"
        assert client.get("/echo/health").json()["status"] == "ready"
