"""Tools in a worker without a controller, and the calls that are sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from mmedagent.serving.run import BackgroundServer, bind, url_of
from mmedagent.serving.tool import Tool
from mmedagent.serving.tool_service import HostedTool
from mmedagent.serving.tool_worker import create_tool_worker
from mmedagent.serving.worker import WorkerSettings
from support.system import LABEL, WORKER_TOKEN
from support.tools import PATIENCE_S, wait_until

HEADERS = {"Authorization": f"Bearer {WORKER_TOKEN}"}


@contextmanager
def running_worker(
    folder: Path, *tools: Tool | HostedTool, concurrency: int = 1, **settings: Any
) -> Iterator[httpx.Client]:
    """Tools without a controller, and a client that has the token."""
    listener = bind("127.0.0.1", 0)
    hosted = [tool if isinstance(tool, HostedTool) else HostedTool(tool, concurrency) for tool in tools]
    made = WorkerSettings(
        url=url_of(listener), token=WORKER_TOKEN, blob_folder=folder / "blobs", label=LABEL, **settings
    )
    app, _ = create_tool_worker(hosted, made)
    with (
        BackgroundServer(app, listener) as server,
        httpx.Client(base_url=server.url, headers=HEADERS, trust_env=False, timeout=PATIENCE_S) as client,
    ):
        for one in hosted:
            path = f"/{one.tool.card.name}/health"
            wait_until(lambda path=path: client.get(path).json()["status"] != "loading", "it loads")  # type: ignore[misc]
        yield client


def call(tool: str, deadline_s: float = PATIENCE_S, **parameters: Any) -> dict[str, Any]:
    return {
        "call_id": "call_1",
        "tool": tool,
        "parameters": parameters,
        "deadline_s": deadline_s,
        "correlation_id": "request-1",
    }


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The value of a metric at a worker; 0 where there is none yet."""
    wanted = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    line = f"{name}{{{wanted}}} " if wanted else f"{name} "
    found = [row for row in client.get("/metrics").text.splitlines() if row.startswith(line)]
    return float(found[0].split()[-1]) if found else 0.0
