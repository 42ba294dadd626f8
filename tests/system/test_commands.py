"""The commands that run to an end, with the embedded models: ask, plan, doctor, tools list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from mmedagent.cli.profile import load_profile
from mmedagent.protocol.cards import load_card
from mmedagent.serving.run import bind
from support.images import CT_FILE, CT_SIDE
from system.launch import LOOPBACK, free_port, run_command

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

BOX = [0.25, 0.05, 0.75, 0.70]
QUESTION = f"Segment the structure in the box {BOX} and give me its area."


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What `mmedagent ask` printed and saved for a question about a CT slice."""
    folder = tmp_path_factory.mktemp("ask")
    ended = run_command("ask", str(CT_FILE), QUESTION, "--json", "--save", "saved", folder=folder)
    assert ended.returncode == 0, ended.stderr
    printed: dict[str, Any] = json.loads(ended.stdout)
    return printed, folder


def call_of(printed: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one tool call, and its output."""
    [call] = [item for item in printed["response"]["output"] if item["type"] == "mcp_call"]
    return call, json.loads(call["output"])


def test_ask_segments_and_measures(asked: tuple[dict[str, Any], Path]) -> None:
    printed, _ = asked
    call, output = call_of(printed)
    assert (call["name"], call["status"]) == ("segmentation", "completed")
    assert json.loads(call["arguments"])["boxes"] == [BOX]
    rows, columns = (float(number) for number in pydicom.dcmread(CT_FILE)["PixelSpacing"].value)
    data = output["data"]
    [mask] = data["masks"]
    assert data["spacing_source"] == "PixelSpacing"
    assert data["spacing_mm"] == [rows, columns]
    assert mask["area_px"] > 0
    assert mask["area_mm2"] == pytest.approx(mask["area_px"] * rows * columns, abs=1e-3)


def test_ask_says_where_the_result_comes_from(asked: tuple[dict[str, Any], Path]) -> None:
    printed, _ = asked
    provenance = call_of(printed)[1]["provenance"]
    assert provenance["tool"] == "segmentation"
    assert len(provenance["checkpoint_sha256"]) == 64
    assert len(provenance["input_sha256"]) == 2
    assert provenance["label"] == load_profile("embedded").label


def test_ask_answers_with_the_area(asked: tuple[dict[str, Any], Path]) -> None:
    printed, _ = asked
    area = call_of(printed)[1]["data"]["masks"][0]["area_mm2"]
    answer = printed["response"]["output"][-1]["content"][0]["text"]
    assert f"{area:,.0f} mm²" in answer


def test_ask_saves_mask_and_overlay(asked: tuple[dict[str, Any], Path]) -> None:
    printed, folder = asked
    saved = {path.name: folder / path for path in map(Path, printed["saved"])}
    assert list(saved) == ["1-segmentation-mask-1.png", "1-segmentation-overlay-2.png"]
    with (
        Image.open(saved["1-segmentation-mask-1.png"]) as mask,
        Image.open(saved["1-segmentation-overlay-2.png"]) as seen,
    ):
        assert mask.size == (CT_SIDE, CT_SIDE)
        assert int(np.array(mask).sum()) == call_of(printed)[1]["data"]["masks"][0]["area_px"]
        colours = np.array(seen.convert("RGB"))
    assert (colours.max(axis=2) != colours.min(axis=2)).any()


def test_plan_runs_nothing(tmp_path: Path) -> None:
    ended = run_command("plan", "What is pneumonia and how is it treated?", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    plan = json.loads(ended.stdout)
    [action] = plan["actions"]
    assert load_card("retrieval").answers_to(action["API_name"])
    assert plan["thoughts"]


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    ended = run_command("ask", "nowhere.png", "What is this?", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "Unreadable image: There is no file nowhere.png.\n"


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    ended = run_command("plan", "Hello", "--server", f"http://{LOOPBACK}:{free_port()}", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("Unavailable: The server cannot be reached")


def test_tools_list(tmp_path: Path) -> None:
    ended = run_command("tools", "list", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    listed = {line.strip("│ ").split()[0] for line in ended.stdout.splitlines() if "mmedagent" in line}
    assert set(load_profile("embedded").tools) <= listed


def test_doctor_finds_what_is_wrong_and_what_is_not(tmp_path: Path) -> None:
    with bind(LOOPBACK, 0) as taken:
        port = int(taken.getsockname()[1])
        ended = run_command("doctor", "--port", str(port), folder=tmp_path)
    assert ended.returncode == 1
    wrong = [line for line in ended.stdout.splitlines() if line.startswith("│ no")]
    assert len(wrong) == 1, ended.stdout
    assert f"port {port}" in wrong[0]
    assert "tool segmentation" in ended.stdout
