"""A whole system inside this process, for one-shot commands: the same applications over the same HTTP."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from pydantic import SecretStr

from mmedagent.cli.profile import Profile, load_profile
from mmedagent.cli.workers import planner_app, tools_app
from mmedagent.protocol.errors import UnavailableError
from mmedagent.serving.logs import configure_logging
from mmedagent.serving.run import BackgroundServer, bind, url_of
from mmedagent.serving.worker import WorkerSettings

READY_TIMEOUT_S = 120.0
CONNECT_RETRIES = 8
"""With pauses that double from half a second: about a minute until the controller listens."""


@contextmanager
def system_at(url: str | None, profile: str) -> Iterator[str]:
    """That address, or without one the address of a system of this profile, started here and silent."""
    if url is not None:
        yield url
        return
    configure_logging(logging.getLevelName(logging.CRITICAL))
    with system_in_process(load_profile(profile)) as started:
        yield started


@contextmanager
def system_in_process(profile: Profile, device: str = "cpu") -> Iterator[str]:
    """The address of a system that lives as long as the context, with a data folder of its own.

    Raises `UnavailableError` when it does not become ready.
    """
    from mmedagent.controller.app import create_app
    from mmedagent.controller.settings import ControllerSettings

    with ExitStack() as stack:
        data_dir = Path(stack.enter_context(TemporaryDirectory(prefix="mmedagent-")))
        token = secrets.token_urlsafe(32)
        settings = ControllerSettings(
            data_dir=data_dir, worker_token=SecretStr(token), api_key=None, expected_tools=tuple(profile.tools)
        )
        controller = stack.enter_context(BackgroundServer(create_app(settings)))
        for names in ((), tuple(profile.tools)):
            _start_worker(stack, profile, names, controller.url, token, settings.blob_folder, device)
        wait_until_ready(controller.url)
        yield controller.url


def _start_worker(
    stack: ExitStack, profile: Profile, tools: Sequence[str], controller: str, token: str, blobs: Path, device: str
) -> None:
    """Start the planner, or with names a worker with those tools."""
    listener = bind("127.0.0.1", 0)
    settings = WorkerSettings(
        url=url_of(listener),
        controller_url=controller,
        token=token,
        blob_folder=blobs,
        device=device,
        label=profile.label,
    )
    app, _ = tools_app(profile, tools, settings) if tools else planner_app(profile, settings)
    stack.enter_context(BackgroundServer(app, listener))


def wait_until_ready(url: str) -> None:
    """Return when planner and tools are there. Raises `UnavailableError` after two minutes."""
    transport = httpx.HTTPTransport(retries=CONNECT_RETRIES)
    with httpx.Client(transport=transport, trust_env=False, timeout=READY_TIMEOUT_S) as http:
        answer = http.get(f"{url}/readyz", params={"wait_s": READY_TIMEOUT_S})
    if answer.is_error:
        raise UnavailableError(f"The system did not start: {answer.json().get('detail', 'no reason given')}")
