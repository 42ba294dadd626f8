"""Keys made by the command, and clients that have them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
from typer.testing import CliRunner

from mmedagent.cli.main import app as command_line
from support.system import CLIENT_TIMEOUT_S, System
from support.tools import wait_until


def run_keys(system: System, *arguments: str) -> str:
    """What `mmedagent keys` prints about a system's data folder, when it works.

    The controller is up before that, because Alembic cannot migrate in two threads of one process at once. The command
    has a thread of its own, because it runs an event loop, and a browser's test is in one already.
    """
    assert system.http.get("/healthz").status_code == 200
    folder = str(system.settings.data_dir)
    command = ["keys", *arguments, "--data-dir", folder]
    with ThreadPoolExecutor(1) as elsewhere:
        done = elsewhere.submit(CliRunner().invoke, command_line, command, catch_exceptions=False).result()
    assert done.exit_code == 0, done.output
    return done.stdout


def make_key(system: System, name: str, *options: str) -> str:
    """A key that the running system knows already."""
    key = run_keys(system, "create", name, *options).strip()
    known = client(system, key)
    wait_until(lambda: bool(known.get("/v1/me").json().get("keys_required")), "the key is known")
    return key


def client(system: System, key: str | None) -> httpx.Client:
    """A client with a key, or with none, that ends with the system."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    made = httpx.Client(base_url=system.url, headers=headers, timeout=CLIENT_TIMEOUT_S, trust_env=False)
    return system.stack.enter_context(made)


def status(system: System, key: str | None) -> int:
    """The status with which a key is answered."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(f"{system.url}/v1/me", headers=headers, trust_env=False).status_code
