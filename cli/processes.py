"""The processes of a system, each of which can be started by itself, on its own machine if need be."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from mmedagent.cli.options import (
    DATA_DIR_VARIABLE,
    ControllerUrl,
    DataDir,
    Device,
    Host,
    MemoryMb,
    ProfileName,
    worker_token,
)
from mmedagent.cli.paths import PAGE
from mmedagent.cli.profile import Profile, first_of, load_profile
from mmedagent.cli.workers import planner_app, tools_app
from mmedagent.protocol.errors import ConflictError, InvalidRequestError
from mmedagent.serving.cache import DEFAULT_MEMORY_MB
from mmedagent.serving.logs import configure_logging
from mmedagent.serving.run import bind, run_app, url_of
from mmedagent.serving.worker import WorkerSettings

if TYPE_CHECKING:
    from socket import socket

    from mmedagent.controller.settings import ControllerSettings

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

    configure_logging()
    settings = controller_settings(load_profile(profile), host, port, data_dir)
    listener = listen(host, port)
    stop_with_parent()
    run_app(create_app(settings), listener)


def planner(
    controller: ControllerUrl = "http://127.0.0.1:8000",
    host: Host = LOOPBACK,
    port: Port = 0,
    public_host: PublicHost = None,
    data_dir: DataDir = Path("data"),
    shared_disk: SharedBlobs = True,
    profile: ProfileName = "embedded",
    device: Device = "cpu",
    memory_mb: MemoryMb = DEFAULT_MEMORY_MB,
) -> None:
    """Run the planner of a profile as a worker."""
    configure_logging()
    loaded = load_profile(profile)
    listener = listen(host, port)
    settings = worker_settings(loaded, listener, public_host, controller, data_dir, shared_disk, device, memory_mb)
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
    memory_mb: MemoryMb = DEFAULT_MEMORY_MB,
) -> None:
    """Run one or several tools of a profile as a worker."""
    configure_logging()
    loaded = load_profile(profile)
    listener = listen(host, port)
    settings = worker_settings(loaded, listener, public_host, controller, data_dir, shared_disk, device, memory_mb)
    # Tools are made with a checkpoint alone; one that keeps data, as retrieval keeps corpora, finds the folder here.
    os.environ[DATA_DIR_VARIABLE] = str(data_dir)
    stop_with_parent()
    app, life = tools_app(loaded, names, settings)
    run_app(app, listener, life.drain)


def controller_settings(profile: Profile, host: str, port: int, data_dir: Path) -> ControllerSettings:
    """How a controller is set, from the options of its command and the environment.

    Raises `InvalidRequestError` with a sentence for a setting that is wrong.
    """
    from mmedagent.controller.settings import ControllerSettings

    try:
        return ControllerSettings(
            host=host,
            port=port,
            data_dir=data_dir,
            worker_token=SecretStr(worker_token(data_dir, create=True)),
            page_dir=PAGE,
            expected_tools=tuple(profile.tools),
        )
    except ValidationError as error:
        raise InvalidRequestError(f"The settings are not valid: {first_of(error)}.") from error
    except SettingsError as error:
        raise InvalidRequestError(f"The settings are not valid: {error}.") from error


def listen(host: str, port: int) -> socket:
    """A listening socket. Raises `ConflictError` when the port is taken, or the address is not one of this machine."""
    try:
        return bind(host, port)
    except OSError as error:
        raise ConflictError(
            f"Port {port} on {host} cannot be opened: {error.strerror}. Choose another port, or stop what uses it."
        ) from error


def worker_settings(
    profile: Profile,
    listener: socket,
    public_host: str | None,
    controller: str,
    data_dir: Path,
    shared_disk: bool,
    device: str,
    memory_mb: int,
) -> WorkerSettings:
    """How a worker is placed, from the options of its command."""
    return WorkerSettings(
        url=url_of(listener, public_host),
        controller_url=controller.rstrip("/"),
        token=worker_token(data_dir, create=urlsplit(controller).hostname == LOOPBACK),
        blob_folder=data_dir / "blobs" if shared_disk else None,
        device=device,
        label=profile.label,
        memory_mb=memory_mb,
    )


def stop_with_parent() -> None:
    """End this process when the supervisor that started it is gone, so that nothing is left behind."""
    if PARENT_VARIABLE not in os.environ:
        return
    parent, pause = int(os.environ[PARENT_VARIABLE]), threading.Event()

    def watch() -> None:
        while not pause.wait(PARENT_CHECK_S):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    threading.Thread(target=watch, name="parent", daemon=True).start()
