"""The OpenAPI document, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from mmedagent.cli.processes import LOOPBACK, controller_settings
from mmedagent.cli.profile import load_profile


def openapi() -> None:
    """Print the OpenAPI document of the API, as JSON."""
    from mmedagent.controller.app import create_app

    with TemporaryDirectory() as folder:
        app = create_app(controller_settings(load_profile("embedded"), LOOPBACK, 0, Path(folder)))
    typer.echo(json.dumps(app.openapi(), indent=2))
