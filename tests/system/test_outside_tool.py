"""A tool from a package that knows mmedagent while mmedagent does not know it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from mmedagent.cli.profile import load_profile
from support.tools import wait_until
from system.launch import (
    LOOPBACK,
    READY_S,
    Launched,
    clean_environment,
    client,
    free_port,
    launched,
    run_command,
    wait_until_listening,
)
from system.profiles import IMPORTABLE

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "outside-tool"
WITHOUT_TOOLS = '[planner]\nbackend = "scripted"\ncheckpoint = "script.json"\n[tools]\n'
WITH_BRIGHTNESS = '[planner]\nbackend = "scripted"\n[tools.brightness]\n'


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables with which a process finds the package, after building and installing it."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(PACKAGE)], check=True, env=clean_environment(), timeout=120)
    return {"PYTHONPATH": str(target)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Launched, str, Path]]:
    """A controller that expects no tool and does not have the package, with its address and data folder."""
    folder = tmp_path_factory.mktemp("controller")
    (folder / "plain.toml").write_text(WITHOUT_TOOLS, "utf-8")
    port = free_port()
    arguments = ["controller", "--port", str(port), "--profile", "plain.toml", "--data-dir", "data"]
    with launched(arguments, folder, IMPORTABLE) as controller:
        yield controller, f"http://{LOOPBACK}:{port}", folder / "data"


def tool_names(http: httpx.Client) -> list[str]:
    return [card["name"] for card in http.get("/v1/tools").json()["data"]]


def test_its_profile_names_checkpoints_that_are_there() -> None:
    profile = load_profile(str(PACKAGE / "brightness.toml"))
    assert "brightness" in profile.tools
    for entry in (profile.planner, profile.tools["segmentation"]):
        folder = profile.checkpoint(entry)
        assert folder is not None
        assert (folder / "model.safetensors").is_file()


def test_it_is_listed(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(WITH_BRIGHTNESS, "utf-8")
    ended = run_command("tools", "list", "--profile", "own.toml", folder=tmp_path, environment=installed)
    assert ended.returncode == 0, ended.stderr
    row = next(line for line in ended.stdout.splitlines() if "brightness" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "brightness",
        "Brightness",
        "1.0.0",
        "yes",
        "yes",
        "mmedagent-brightness",
    ]


def test_it_joins_a_running_controller_and_answers(
    installed: dict[str, str], running: tuple[Launched, str, Path], tmp_path: Path
) -> None:
    controller, url, data = running
    (tmp_path / "own.toml").write_text(WITH_BRIGHTNESS, "utf-8")
    arguments = ["tool", "brightness", "--profile", "own.toml", "--controller", url, "--data-dir", str(data)]
    with client(url) as http:
        wait_until_listening(http, controller)
        assert tool_names(http) == []
        with launched(arguments, tmp_path, installed):
            wait_until(lambda: tool_names(http) == ["brightness"], "the tool is registered", READY_S)
            levels = np.full((10, 20), 10, np.uint8)
            levels[2:6, 5:10] = 200
            file_id = http.post("/v1/files", files={"file": ("levels.png", png_of(levels))}).json()["id"]
            body = {"file_id": file_id, "parameters": {"box": [0.25, 0.2, 0.5, 0.6]}}
            answer = http.post("/v1/tools/brightness/invoke", json=body)
        wait_until(lambda: tool_names(http) == [], "the tool has left", READY_S)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["data"] == {"mean": 200, "standard_deviation": 0, "lowest": 200, "highest": 200, "pixels": 20}
    assert result["provenance"]["tool"] == "brightness"
    assert result["provenance"]["version"] == "1.0.0"
    assert result["provenance"]["preprocessing"] == "gray levels of the display frame"


def png_of(levels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()
