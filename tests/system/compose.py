"""Reading docker-compose.yml, and starting its services as processes of this machine.

What differs from containers is derived from the file: a service's name, where it stands for a host, becomes the
loopback address; the port inside a container becomes a free port; a mount becomes a folder of the test.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from system.launch import LOOPBACK, Launched, clean_environment, free_port, launched

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PORT_VARIABLE = "MMEDAGENT_PORT"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
_LAST_STAGE = re.compile(r"(?s).*^FROM ", re.MULTILINE)

Service = dict[str, Any]


def read_compose() -> dict[str, Any]:
    """The file as it is written, with its anchors merged."""
    content: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
    return content


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` filled in, as compose does it.

    Raises `KeyError` with the message for a variable that has to be set and is not.
    """
    if isinstance(value, dict):
        return {key: interpolated(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, variables) for one in value]
    return _VARIABLE.sub(lambda match: _filled(match, variables), value) if isinstance(value, str) else value


def _filled(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if given := variables.get(match["name"]):
        return given
    if match["kind"] == "?":
        raise KeyError(f"{match['name']}: {match['rest']}")
    return match["rest"] or ""


def dockerfile_list(instruction: str) -> list[str]:
    """The JSON list after an instruction of the last stage, such as ENTRYPOINT or HEALTHCHECK."""
    last_stage = _LAST_STAGE.sub("", DOCKERFILE.read_text("utf-8").replace("\\\n", " "))
    found = re.search(rf"^{instruction} [^\[]*(\[.*\])$", last_stage, re.MULTILINE)
    assert found, instruction
    row: list[str] = json.loads(found[1])
    return row


@dataclass(frozen=True)
class Places:
    """Where on this machine the services are: their ports, and the folders behind their mounts."""

    ports: Mapping[str, int]
    folder: Path

    def environment(self, name: str, service: Service) -> dict[str, str]:
        """The variables of a service with hosts, ports and mounts of this machine."""
        return {key: self._value(name, service, key, str(value)) for key, value in service["environment"].items()}

    def _value(self, name: str, service: Service, key: str, value: str) -> str:
        if key == PORT_VARIABLE:
            return str(self.ports[name])
        inside = service["environment"][PORT_VARIABLE]
        value = value.replace(f"//{LOOPBACK}:{inside}", f"//{LOOPBACK}:{self.ports[name]}")
        for other, port in self.ports.items():
            value = value.replace(f"//{other}:{inside}", f"//{LOOPBACK}:{port}")
            value = re.sub(rf'^{other}$|(?<="){other}(?=")', LOOPBACK, value)
        for source, target in mounts_of(service):
            value = re.sub(rf"^{re.escape(target)}(?=/|$)", str(self.folder / "volumes" / source), value)
        return value


def mounts_of(service: Service) -> list[tuple[str, str]]:
    """The named volumes of a service with the folders inside the container."""
    return [(source, target) for source, _, target in (one.partition(":") for one in service.get("volumes", []))]


@dataclass(frozen=True)
class Stack:
    """The services while they run as processes."""

    services: dict[str, Service]
    environments: dict[str, dict[str, str]]
    processes: dict[str, Launched]
    places: Places

    def published(self) -> list[tuple[str, str, int]]:
        """Service, host address, and the port of this machine for every published port."""
        rows = []
        for name, service in self.services.items():
            for one in service.get("ports", []):
                host, _, _ = one.rsplit(":", 2)
                rows.append((name, host, self.places.ports[name]))
        return rows

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says, run as a process with the service's environment."""
        kind, program, *arguments = self.services[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        ended = subprocess.run(
            [sys.executable, *arguments], env=self.environments[name], capture_output=True, check=False, timeout=30
        )
        return ended.returncode == 0


@contextmanager
def running_stack(folder: Path, variables: Mapping[str, str]) -> Iterator[Stack]:
    """Every service of the file as a process, each in an empty folder of its own and with nothing but its variables."""
    services: dict[str, Service] = interpolated(read_compose()["services"], variables)
    places = Places({name: free_port() for name in services}, folder)
    entry = [str(Path(sys.executable).with_name(dockerfile_list("ENTRYPOINT")[0]))]
    environments, processes = {}, {}
    with ExitStack() as stack:
        for name, service in services.items():
            for source, _ in mounts_of(service):
                (folder / "volumes" / source).mkdir(parents=True, exist_ok=True)
            environments[name] = {**clean_environment(), **places.environment(name, service)}
            processes[name] = stack.enter_context(
                launched(service["command"], folder / name, environments[name], "output", entry, complete=True)
            )
        yield Stack(services, environments, processes, places)
