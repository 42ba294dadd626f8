"""Controller, planner and tools, each started by its own command on its own port, with nothing shared but HTTP."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mmedagent.serving.run import bind
from support.images import ct_bytes
from support.tools import wait_until
from system.launch import (
    LOOPBACK,
    READY_S,
    Launched,
    answer_text,
    ask,
    client,
    free_port,
    launched,
    run_command,
    wait_until_listening,
    wait_until_ready,
)
from system.profiles import BRIGHT, IMPORTABLE, WAIT, meeting_of
from system.tools_for_tests import RELEASE, STARTED

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

TOKEN = {"MMEDAGENT_WORKER_TOKEN": "token-of-these-processes"}


@dataclass(frozen=True)
class Shape:
    """The processes by name, and a client of the controller."""

    processes: dict[str, Launched]
    http: httpx.Client
    meeting: Path


def arguments_of(name: str, profile: Path, port: int, controller: str) -> list[str]:
    """The command of one process as a user types it."""
    here = ["--port", str(port), "--profile", str(profile)]
    elsewhere = [*here, "--controller", controller, "--no-shared-disk"]
    match name:
        case "controller":
            return [name, *here, "--data-dir", "data"]
        case "planner":
            return [name, *elsewhere]
        case _:
            return ["tool", name, *elsewhere]


@pytest.fixture
def shape(tmp_path: Path, scripted_profile: Path) -> Iterator[Shape]:
    ports = {name: free_port() for name in ("controller", "planner", "waiting", "bright")}
    url = f"http://{LOOPBACK}:{ports['controller']}"
    with ExitStack() as stack:
        http = stack.enter_context(client(url))
        processes = {
            name: stack.enter_context(
                launched(arguments_of(name, scripted_profile, port, url), tmp_path / name, {**IMPORTABLE, **TOKEN})
            )
            for name, port in ports.items()
        }
        wait_until_ready(http, processes["controller"])
        yield Shape(processes, http, meeting_of(scripted_profile))


def test_a_turn_goes_through_and_a_leaving_tool_finishes_its_call(shape: Shape) -> None:
    file_id = shape.http.post("/v1/files", files={"file": ("ct.dcm", ct_bytes())}).json()["id"]
    content = [{"type": "input_text", "text": BRIGHT}, {"type": "input_image", "file_id": file_id}]
    response = shape.http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
    assert '"total_px": 16384' in answer_text(response)
    for name in ("planner", "waiting", "bright"):
        written = [path.name for path in shape.processes[name].output.parent.iterdir()]
        assert written == [shape.processes[name].output.name]

    for name in (STARTED, RELEASE):
        (shape.meeting / name).unlink(missing_ok=True)
    waiting = shape.processes["waiting"].process
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, shape.http, WAIT)
        wait_until((shape.meeting / STARTED).exists, "the call has begun", READY_S)
        waiting.send_signal(signal.SIGTERM)
        wait_until(lambda: "waiting" not in tools_of(shape.http), "the tool has left the list", READY_S)
        assert waiting.poll() is None
        (shape.meeting / RELEASE).touch()
        assert '{"waited": true}' in answer_text(asked.result(READY_S))
    assert waiting.wait(READY_S) in (0, -signal.SIGTERM)
    assert tools_of(shape.http) == {"bright"}


def tools_of(http: httpx.Client) -> set[str]:
    return {card["name"] for card in http.get("/v1/tools").json()["data"]}


@pytest.mark.parametrize("name", ["controller", "planner", "bright"])
def test_a_process_without_its_port_says_so(name: str, tmp_path: Path, scripted_profile: Path) -> None:
    with bind(LOOPBACK, 0) as taken:
        port = int(taken.getsockname()[1])
        arguments = arguments_of(name, scripted_profile, port, f"http://{LOOPBACK}:{port}")
        ended = run_command(*arguments, folder=tmp_path, environment={**IMPORTABLE, **TOKEN})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Conflict: Port {port} on {LOOPBACK} cannot be opened: Address already in use.")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"MMEDAGENT_HOST": "0.0.0.0"}, "set MMEDAGENT_API_KEY, or use 127.0.0.1"),  # noqa: S104
        ({"MMEDAGENT_MAX_STEPS": "many"}, "max_steps: Input should be a valid integer"),
        ({"MMEDAGENT_ALLOWED_HOSTS": "my-host"}, "allowed_hosts"),
    ],
)
def test_a_bad_setting_is_one_sentence(
    environment: dict[str, str], sentence: str, tmp_path: Path, scripted_profile: Path
) -> None:
    arguments = arguments_of("controller", scripted_profile, free_port(), "")
    ended = run_command(*arguments, folder=tmp_path, environment={**IMPORTABLE, **TOKEN, **environment})
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_tool_that_the_profile_does_not_have(tmp_path: Path, scripted_profile: Path) -> None:
    arguments = arguments_of("nowhere", scripted_profile, 0, f"http://{LOOPBACK}:1")
    ended = run_command(*arguments, folder=tmp_path, environment={**IMPORTABLE, **TOKEN})
    assert ended.returncode == 1
    assert ended.stderr == "Invalid request: The profile has no tool nowhere; it has: bright, waiting.\n"


def test_processes_started_at_once_make_one_token(tmp_path: Path, scripted_profile: Path) -> None:
    """Without a token in the environment the first process makes one in the data folder, which all then use."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    shared = ["--profile", str(scripted_profile), "--data-dir", str(tmp_path / "data")]
    worker = ["--controller", url, *shared]
    commands = {
        "controller": ["controller", "--port", str(port), *shared],
        "planner": ["planner", *worker],
        "tool": ["tool", "bright", "waiting", *worker],
    }
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(launched(arguments, tmp_path, IMPORTABLE)) for name, arguments in commands.items()
        }
        http = stack.enter_context(client(url))
        wait_until_listening(http, processes["controller"])
        wait_until_ready(http, processes["controller"])
    token = tmp_path / "data" / "worker_token"
    assert token.stat().st_mode & 0o777 == 0o600
