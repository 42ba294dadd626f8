"""What a profile says about a tool reaches the worker that serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedagent.cli.profile import load_profile
from mmedagent.cli.workers import hosted_tool
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.serving.tool import Batching

BACKEND = 'backend = "docs.exposure:ExposureTool"'


def write(folder: Path, *lines: str) -> str:
    path = folder / "own.toml"
    path.write_text("\n".join(("[planner]", 'backend = "scripted"', "[tools.exposure]", BACKEND, *lines)), "utf-8")
    return str(path)


def test_a_tool_is_hosted_as_the_profile_says(tmp_path: Path) -> None:
    lines = ('device = "cuda:1"', 'precision = "bf16"', "compile = true", "batch_size = 4", "batch_wait_ms = 5")
    hosted = hosted_tool(load_profile(write(tmp_path, "concurrency = 3", *lines)), "exposure")
    assert (hosted.concurrency, hosted.device, hosted.precision, hosted.compile) == (3, "cuda:1", "bf16", True)
    assert hosted.chosen_batching() == Batching(4, 0.005)


def test_without_a_word_a_tool_is_hosted_as_it_likes_best(tmp_path: Path) -> None:
    hosted = hosted_tool(load_profile(write(tmp_path)), "exposure")
    assert (hosted.concurrency, hosted.device, hosted.precision, hosted.compile) == (1, None, "fp32", False)
    assert hosted.chosen_batching() == Batching()


@pytest.mark.parametrize(
    "line", ['precision = "int4"', "batch_size = 0", "batch_wait_ms = -1", "compile = 3", "memory = 1"]
)
def test_what_makes_no_sense_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidRequestError, match=line.split(" ", maxsplit=1)[0]):
        load_profile(write(tmp_path, line))


def test_a_tool_that_the_profile_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no tool xray"):
        hosted_tool(load_profile(write(tmp_path)), "xray")
