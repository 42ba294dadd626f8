"""The processes of a system, each of which can be started by itself, on its own machine if need be."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

from mmedagent.cli.options import ControllerUrl, DataDir, Device, Host, ProfileName, worker_token
from mmedagent.cli.paths import PAGE
from mmedagent.cli.profile import Profile, load_profile
from mmedagent.cli.workers import planner_app, tools_app
from mmedagent.serving.logs import configure_logging
from mmedagent.serving.run import bind, run_app, url_of
from mmedagent.serving.worker import WorkerSettings

if TYPE_CHECKING:
    from socket import socket

PARENT_VARIABLE = "MMEDAGENT_PARENT"
LOOPBACK = "127.0.0.1"
PARENT_CHECK_S = 1.0

Port = Annotated[int, typer.Option(envvar="MMEDAGENT_PORT", help="Port to listen on; 0 picks a free one.")]
PublicHost = Annotated[
    str | None,
    typer.Option("--public-host", envvar="MMEDAGENT_PUBLIC_HOST", help="Host name by which others reach this worker."),
]
SharedBlobs = Annotated[
    bool,
    typer.Option(
        "--shared-disk/--no-shared-disk",
        envvar="MMEDAGENT_SHARED_DISK",
        help="Read images from the data folder itself, or ask the controller for them.",
    ),
]


def controller(
    host: Host = LOOPBACK, port: Port = 8000, data_dir: DataDir = Path("data"), profile: ProfileName = "embedded"
) -> None:
    """Run the controller: public API, web page, agent loop. Workers register with it."""
    from mmedagent.controller.app import create_app
    from mmedagent.controller.settings import ControllerSettings

    configure_logging()
    settings = ControllerSettings(
        host=host,
        port=port,
        data_dir=data_dir,
        worker_token=SecretStr(worker_token(data_dir, create=True)),
        page_dir=PAGE,
        expected_tools=tuple(load_profile(profile).tools),
    )
    stop_with_parent()
    run_app(create_app(settings), bind(host, port))


def planner(
    controller: ControllerUrl = "http://127.0.0.1:8000",
    host: Host = LOOPBACK,
    port: Port = 0,
    public_host: PublicHost = None,
    data_dir: DataDir = Path("data"),
    shared_disk: SharedBlobs = True,
    profile: ProfileName = "embedded",
    device: Device = "cpu",
) -> None:
    """Run the planner of a profile as a worker."""
    configure_logging()
    loaded = load_profile(profile)
    listener = bind(host, port)
    settings = worker_settings(loaded, listener, public_host, controller, data_dir, shared_disk, device)
    stop_with_parent()
    app, life = planner_app(loaded, settings)
    run_app(app, listener, life.drain)


def tool(
    names: Annotated[list[str], typer.Argument(help="Tools of the profile to serve from this process.")],
    controller: ControllerUrl = "http://127.0.0.1:8000",
    host: Host = LOOPBACK,
    port: Port = 0,
    public_host: PublicHost = None,
    data_dir: DataDir = Path("data"),
    shared_disk: SharedBlobs = True,
    profile: ProfileName = "embedded",
    device: Device = "cpu",
) -> None:
    """Run one or several tools of a profile as a worker."""
    configure_logging()
    loaded = load_profile(profile)
    listener = bind(host, port)
    settings = worker_settings(loaded, listener, public_host, controller, data_dir, shared_disk, device)
    stop_with_parent()
    app, life = tools_app(loaded, names, settings)
    run_app(app, listener, life.drain)


def worker_settings(
    profile: Profile,
    listener: socket,
    public_host: str | None,
    controller: str,
    data_dir: Path,
    shared_disk: bool,
    device: str,
) -> WorkerSettings:
    """How a worker is placed, from the options of its command."""
    return WorkerSettings(
        url=url_of(listener, public_host),
        controller_url=controller.rstrip("/"),
        token=worker_token(data_dir, create=urlsplit(controller).hostname == LOOPBACK),
        blob_folder=data_dir / "blobs" if shared_disk else None,
        device=device,
        label=profile.label,
    )


def stop_with_parent() -> None:
    """End this process when the supervisor that started it is gone, so that nothing is left behind."""
    if PARENT_VARIABLE not in os.environ:
        return
    parent, pause = os.getppid(), threading.Event()

    def watch() -> None:
        while not pause.wait(PARENT_CHECK_S):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    threading.Thread(target=watch, name="parent", daemon=True).start()
