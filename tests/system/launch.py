"""Starting `mmedagent` as processes of their own. Whatever a test starts ends with the test, children included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from mmedagent.serving.run import bind
from support.tools import wait_until

COMMAND = (sys.executable, "-m", "mmedagent.cli")
LOOPBACK = "127.0.0.1"
READY_S = 250.0
"""How long a start may take on a busy machine before a test gives up. What is measured has limits of its own."""

END_S = 45.0
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


def free_port() -> int:
    listener = bind(LOOPBACK, 0)
    with listener:
        return int(listener.getsockname()[1])


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables a process gets: none of the tester's settings, one thread for each model, no network for hubs."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **(more or {})}


class Launched:
    """A process that a test started, and the file with what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self.output = output
        self._psutil = psutil.Process(process.pid)
        self._seen: set[psutil.Process] = set()

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8", errors="replace")

    @property
    def last_words(self) -> str:
        return self.text[-2_000:]

    def children(self) -> list[psutil.Process]:
        """Every process below this one, now."""
        found = self._psutil.children(recursive=True)
        self._seen.update(found)
        return found

    def child(self, word: str) -> psutil.Process | None:
        """The child whose `mmedagent` command is `word`, while it runs."""
        return next((child for child in self.children() if _command_of(child) == word), None)

    def end(self) -> None:
        """Ask the process to stop. Whatever is still there after a while, or was left by it, is killed."""
        if self.process.poll() is None:
            self.children()
            self.process.terminate()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for left in self._seen:
            if left.is_running():
                left.kill()


def _command_of(process: psutil.Process) -> str:
    try:
        arguments = process.cmdline()
    except psutil.Error:
        return ""
    return arguments[len(COMMAND)] if len(arguments) > len(COMMAND) else ""


@contextmanager
def launched(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    name: str = "",
    command: Sequence[str] = COMMAND,
    complete: bool = False,
) -> Iterator[Launched]:
    """A running process, with `folder` as its working directory and the log `<name>.log` in it.

    `complete` says that `environment` is all it gets. At the end the process and all its children are gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{name or arguments[0]}.log"
    given = dict(environment or {}) if complete else clean_environment(environment)
    with output.open("ab") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=folder, env=given, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    running = Launched(process, output)
    try:
        yield running
    finally:
        running.end()


def run_command(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, timeout_s: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """Run `mmedagent` with these arguments to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=clean_environment({"COLUMNS": "200", **(environment or {})}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def client(url: str, api_key: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return httpx.Client(base_url=url, headers=headers, timeout=READY_S, trust_env=False)


def answers(http: httpx.Client, path: str) -> bool:
    """Whether there is a good answer from that path at this moment."""
    try:
        return http.get(path).is_success
    except httpx.TransportError:
        return False


def wait_until_listening(http: httpx.Client, running: Launched) -> None:
    """Return when the process answers. Fails with its last words when it ended."""

    def listening() -> bool:
        assert running.process.poll() is None, running.last_words
        return answers(http, "/healthz")

    wait_until(listening, f"{running.output.name}: listening", READY_S)


def wait_until_ready(http: httpx.Client, running: Launched) -> None:
    """Return when the system is ready. Fails with the process's last words when it ended or did not get ready."""
    wait_until_listening(http, running)
    answer = http.get("/readyz", params={"wait_s": READY_S - 10})
    assert answer.is_success, f"{answer.text}\n{running.last_words}"


def ask(http: httpx.Client, text: str, **fields: object) -> httpx.Response:
    """Ask without streaming."""
    return http.post("/v1/responses", json={"input": text, **fields})


def answer_text(response: httpx.Response) -> str:
    """The answer of a turn that ended well."""
    assert response.status_code == 200, response.text
    return str(response.json()["output"][-1]["content"][0]["text"])


def worker_is_ready(url: str, tool: str) -> bool:
    """Whether a tool's own GET /health says ready."""
    try:
        answer = httpx.get(f"{url}/{tool}/health", trust_env=False, timeout=2.0)
    except httpx.TransportError:
        return False
    return bool(answer.is_success and answer.json()["status"] == "ready")


def listening_url(process: psutil.Process) -> str | None:
    """The address on which a process listens, or None as long as it does not."""
    try:
        rows = process.net_connections(kind="tcp4")
    except psutil.Error:
        return None
    ports = [row.laddr.port for row in rows if row.status == psutil.CONN_LISTEN]
    return f"http://{LOOPBACK}:{ports[0]}" if ports else None
