"""What the tests of whole processes share: a scripted profile, and a place for measured times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from system.profiles import write_profile

TIMES = Path(__file__).resolve().parents[2] / "build" / "system-times.jsonl"
Measured = Callable[[str, float], None]


@pytest.fixture(scope="module")
def scripted_profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a profile with a scripted planner and the tools of these tests."""
    return write_profile(tmp_path_factory.mktemp("profile"))


@pytest.fixture
def measured(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Measured:
    """Keeps a measured number of seconds with the test's report and in `build/system-times.jsonl`."""

    def keep(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 2))
        TIMES.parent.mkdir(exist_ok=True)
        row = {"test": request.node.name, "what": what, "seconds": round(seconds, 2)}
        with TIMES.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return keep
