"""A controller, a planner and tools as real servers on the loopback interface, with real files and a real database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from mmedagent.controller.app import create_app
from mmedagent.controller.settings import ControllerSettings
from mmedagent.model_worker.app import create_planner_worker
from mmedagent.model_worker.planner import Planner
from mmedagent.model_worker.scripted import ScriptedPlanner, ScriptRule
from mmedagent.serving.run import BackgroundServer, bind, url_of
from mmedagent.serving.tool import Tool
from mmedagent.serving.tool_service import HostedTool
from mmedagent.serving.tool_worker import create_tool_worker
from mmedagent.serving.worker import WorkerSettings
from support.script import write_script

WORKER_TOKEN = "worker-token-of-the-tests"  # noqa: S105
READY_S = 60.0
CLIENT_TIMEOUT_S = 60.0
LABEL = "Demonstration weights"


@dataclass
class System:
    """Addresses and parts. More workers can be added while it runs; everything ends with `stack`."""

    stack: ExitStack
    folder: Path
    settings: ControllerSettings
    url: str
    http: httpx.Client
    workers: dict[str, BackgroundServer] = field(default_factory=dict)

    def worker_settings(self, url: str, shared_disk: bool = True) -> WorkerSettings:
        return WorkerSettings(
            url=url,
            controller_url=self.url,
            token=WORKER_TOKEN,
            blob_folder=self.settings.blob_folder if shared_disk else None,
            label=LABEL,
        )

    def add_tools(
        self, tools: Sequence[Tool], concurrency: int = 4, name: str = "tools", shared_disk: bool = True
    ) -> BackgroundServer:
        listener = bind("127.0.0.1", 0)
        settings = self.worker_settings(url_of(listener), shared_disk)
        app, _ = create_tool_worker([HostedTool(tool, concurrency) for tool in tools], settings)
        self.workers[name] = self.stack.enter_context(BackgroundServer(app, listener))
        return self.workers[name]

    def add_script(self, rules: list[ScriptRule]) -> BackgroundServer:
        script = self.folder / "script.json"
        script.write_text(write_script(rules), "utf-8")
        return self.add_planner(ScriptedPlanner(checkpoint=script))

    def add_planner(self, planner: Planner, concurrency: int = 8) -> BackgroundServer:
        listener = bind("127.0.0.1", 0)
        app, _ = create_planner_worker(planner, self.worker_settings(url_of(listener)), concurrency)
        self.workers["planner"] = self.stack.enter_context(BackgroundServer(app, listener))
        return self.workers["planner"]

    def serve(self, app: FastAPI) -> str:
        """Serve another application beside the system, and return its address."""
        return self.stack.enter_context(BackgroundServer(app)).url

    def wait_until_ready(self) -> None:
        answer = self.http.get("/readyz", params={"wait_s": READY_S})
        assert answer.status_code == 200, answer.text

    def upload(self, content: bytes, name: str = "picture") -> str:
        answer = self.http.post("/v1/files", files={"file": (name, content)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def respond(self, text: str, **fields: Any) -> httpx.Response:
        """Ask without streaming."""
        return self.http.post("/v1/responses", json={"input": text, **fields})

    def outputs(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        """The output items of a question that works."""
        answer = self.respond(text, **fields)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["output"])

    def workers_info(self) -> dict[str, dict[str, Any]]:
        """The rows of GET /v1/workers by name; of replicas only the last."""
        return {row["name"]: row for row in self.http.get("/v1/workers").json()["data"]}


@contextmanager
def running_controller(folder: Path, listener: socket | None = None, **settings: Any) -> Iterator[System]:
    """A controller alone, with a client that has its key if there is one."""
    made = ControllerSettings(data_dir=folder / "data", worker_token=SecretStr(WORKER_TOKEN), **settings)
    headers = {"Authorization": f"Bearer {made.api_key.get_secret_value()}"} if made.api_key else {}
    with ExitStack() as stack:
        server = stack.enter_context(BackgroundServer(create_app(made), listener))
        client = httpx.Client(base_url=server.url, headers=headers, timeout=CLIENT_TIMEOUT_S, trust_env=False)
        yield System(stack, folder, made, server.url, stack.enter_context(client))


@contextmanager
def running_system(
    folder: Path, rules: list[ScriptRule], tools: Sequence[Tool] = (), concurrency: int = 4, **settings: Any
) -> Iterator[System]:
    """A controller with a scripted planner and one worker that serves all the tools, ready to be asked."""
    names = tuple(tool.card.name for tool in tools)
    with running_controller(folder, expected_tools=names, **settings) as system:
        system.add_script(rules)
        if tools:
            system.add_tools(tools, concurrency)
        system.wait_until_ready()
        yield system
