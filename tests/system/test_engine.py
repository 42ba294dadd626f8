"""`mmedagent serve`: the system on one machine, and what becomes of it when processes die."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from mmedagent.serving.run import bind
from support.tools import wait_until
from system.conftest import Measured
from system.launch import (
    LOOPBACK,
    READY_S,
    Launched,
    answer_text,
    answers,
    ask,
    client,
    free_port,
    launched,
    listening_url,
    run_command,
    wait_until_ready,
    worker_is_ready,
)
from system.profiles import HELLO, HELLO_ANSWER, IMPORTABLE, WAIT, meeting_of
from system.tools_for_tests import RELEASE, STARTED

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

RESTART_S = 15.0
BACK_S = 5.0
END_S = 10.0


class Engine:
    """A running `mmedagent serve` and a client of it."""

    def __init__(self, running: Launched, http: httpx.Client, meeting: Path) -> None:
        self.running = running
        self.http = http
        self._meeting = meeting

    def child(self, word: str) -> psutil.Process:
        found = self.running.child(word)
        assert found is not None, self.running.text
        return found

    def hold_calls(self) -> None:
        """From now on the waiting tool waits."""
        for name in (STARTED, RELEASE):
            (self._meeting / name).unlink(missing_ok=True)

    def release_calls(self) -> None:
        (self._meeting / RELEASE).touch()

    def call_has_begun(self) -> bool:
        return (self._meeting / STARTED).exists()


def serve(folder: Path, profile: Path, port: int) -> list[str]:
    return ["serve", "--port", str(port), "--profile", str(profile), "--data-dir", str(folder / "data")]


@contextmanager
def running_engine(folder: Path, profile: Path) -> Iterator[Engine]:
    port = free_port()
    with (
        launched(serve(folder, profile, port), folder, IMPORTABLE) as running,
        client(f"http://{LOOPBACK}:{port}") as http,
    ):
        wait_until_ready(http, running)
        yield Engine(running, http, meeting_of(profile))


@pytest.fixture
def engine(tmp_path: Path, scripted_profile: Path) -> Iterator[Engine]:
    """A ready system that a test may end."""
    with running_engine(tmp_path, scripted_profile) as running:
        yield running


@pytest.fixture(scope="module")
def lasting_engine(tmp_path_factory: pytest.TempPathFactory, scripted_profile: Path) -> Iterator[Engine]:
    """A system for the tests that leave it as they found it."""
    with running_engine(tmp_path_factory.mktemp("engine"), scripted_profile) as running:
        yield running


def new_child_url(engine: Engine, word: str, old: psutil.Process) -> str | None:
    """Where the process that took the place of `old` listens, once it does."""
    found = engine.running.child(word)
    return listening_url(found) if found is not None and found.pid != old.pid else None


def test_a_killed_tool_is_disclosed_and_comes_back(lasting_engine: Engine, measured: Measured) -> None:
    engine = lasting_engine
    engine.hold_calls()
    tools = engine.child("tool")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, engine.http, WAIT)
        wait_until(engine.call_has_begun, "the call has begun", READY_S)
        tools.kill()
        killed_at = time.monotonic()
        response = asked.result(READY_S)
    measured("end of the turn after the tool was killed", time.monotonic() - killed_at)
    answer = answer_text(response)
    call = next(item for item in response.json()["output"] if item["type"] == "mcp_call")
    assert call["status"] == "failed"
    assert call["output"] is None
    assert call["error"]["type"] == "mcp_tool_execution_error"
    assert "no result, because waiting failed" in answer

    engine.release_calls()

    def is_ready() -> bool:
        url = new_child_url(engine, "tool", tools)
        return url is not None and worker_is_ready(url, "waiting")

    wait_until(is_ready, "a new tool process is ready", READY_S)
    ready_at = time.monotonic()
    wait_until(lambda: '{"waited": true}' in answer_text(ask(engine.http, WAIT)), "the tool is used again", READY_S)
    used_at = time.monotonic()
    measured("restart of a killed tool until /health is ready", ready_at - killed_at)
    measured("from /health ready until it is used again", used_at - ready_at)
    assert ready_at - killed_at <= RESTART_S
    assert used_at - ready_at <= BACK_S


def test_a_killed_controller_forgets_nothing(lasting_engine: Engine, measured: Measured) -> None:
    engine = lasting_engine
    conversation = engine.http.post("/v1/conversations").json()["id"]
    assert answer_text(ask(engine.http, HELLO, conversation=conversation)) == HELLO_ANSWER
    items = engine.http.get(f"/v1/conversations/{conversation}/items").json()["data"]
    assert items

    controller = engine.child("controller")
    decoders = controller.children(recursive=True)
    controller.kill()
    killed_at = time.monotonic()
    psutil.wait_procs([controller], READY_S)
    wait_until(lambda: answers(engine.http, "/healthz"), "the controller listens again", READY_S)
    listens_at = time.monotonic()
    ready = engine.http.get("/readyz", params={"wait_s": READY_S - 10})
    ready_at = time.monotonic()
    assert ready.is_success, ready.text
    measured("restart of a killed controller until it listens", listens_at - killed_at)
    measured("from listening until all workers are back", ready_at - listens_at)
    assert listens_at - killed_at <= RESTART_S
    assert ready_at - listens_at <= BACK_S
    assert engine.http.get(f"/v1/conversations/{conversation}/items").json()["data"] == items
    assert answer_text(ask(engine.http, HELLO, conversation=conversation)) == HELLO_ANSWER
    assert psutil.wait_procs(decoders, END_S)[1] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_serve_ends(engine: Engine, number: signal.Signals, measured: Measured) -> None:
    below = [engine.child(word) for word in ("controller", "planner", "tool")] + engine.running.children()
    engine.running.process.send_signal(number)
    sent_at = time.monotonic()
    code = engine.running.process.wait(END_S)
    left = psutil.wait_procs(below, END_S)[1]
    measured(f"end of every process after {number.name}", time.monotonic() - sent_at)
    assert left == []
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert "Traceback" not in engine.running.text


def test_files_beside_the_user_are_not_taken_for_libraries(tmp_path: Path, scripted_profile: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('shadowed')\n")
    port, command = free_port(), (sys.executable, "-P", "-m", "mmedagent.cli")
    with (
        launched(serve(tmp_path, scripted_profile, port), tmp_path, IMPORTABLE, command=command) as running,
        client(f"http://{LOOPBACK}:{port}") as http,
    ):
        wait_until_ready(http, running)


def test_children_that_are_still_starting_end_with_serve_too(tmp_path: Path, scripted_profile: Path) -> None:
    with launched(serve(tmp_path, scripted_profile, free_port()), tmp_path, IMPORTABLE) as running:
        wait_until(lambda: len(running.children()) == 3, "three processes are started", READY_S)
        below = running.children()
        running.process.kill()
        assert psutil.wait_procs(below, READY_S)[1] == []


def test_ctrl_c_ends_everything_quietly(engine: Engine) -> None:
    """A terminal sends the signal to every process of the command, not only to the first."""
    below = [engine.child(word) for word in ("controller", "planner", "tool")]
    everything = engine.running.children()
    before = engine.running.text
    engine.running.process.send_signal(signal.SIGINT)
    for process in below:
        process.send_signal(signal.SIGINT)
    assert engine.running.process.wait(END_S) == 0
    assert psutil.wait_procs(everything, END_S)[1] == []
    assert engine.running.text == before


def test_a_port_in_use_is_one_sentence(tmp_path: Path, scripted_profile: Path) -> None:
    with bind(LOOPBACK, 0) as taken:
        port = int(taken.getsockname()[1])
        ended = run_command(*serve(tmp_path, scripted_profile, port), folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Conflict: Port {port} on {LOOPBACK} cannot be opened: Address already in use.")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no profile"),
        ("[planner", "is not valid"),
        ("[planner]\nbackend = 'scripted'\ncolour = 'red'", "is not valid: planner.colour"),
        ("[planner]\nbackend = 'nobody'\n[tools]", "Nothing is installed under the name nobody"),
        ("[planner]\nbackend = 'scripted'\n[tools.nowhere]", "Nothing is installed under the name nowhere"),
    ],
)
def test_a_bad_profile_is_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    profile = tmp_path / "bad.toml"
    if text is not None:
        profile.write_text(text)
    ended = run_command(*serve(tmp_path, profile, free_port()), folder=tmp_path, timeout_s=60)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_an_open_door_is_refused(tmp_path: Path, scripted_profile: Path) -> None:
    arguments = [*serve(tmp_path, scripted_profile, free_port()), "--host", "0.0.0.0"]  # noqa: S104
    ended = run_command(*arguments, folder=tmp_path, timeout_s=60)
    assert ended.returncode == 1
    assert "set MMEDAGENT_API_KEY" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
