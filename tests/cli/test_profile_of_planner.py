"""What a profile says about the endpoint of a planner reaches the planner."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedagent.cli.profile import load_profile
from mmedagent.cli.workers import planner_of
from mmedagent.protocol.errors import CheckpointError, InvalidRequestError

OPENAI = "mmedagent.model_worker.openai_compatible:OpenAIPlanner"
ENDPOINT = ("[planner.endpoint]", 'url = "http://127.0.0.1:8001/v1"', 'model = "medical-7b"')


def write(folder: Path, backend: str, *lines: str) -> str:
    path = folder / "own.toml"
    path.write_text("\n".join(("[planner]", f'backend = "{backend}"', *lines, "[tools]")), "utf-8")
    return str(path)


def test_the_planner_is_connected_to_its_endpoint(tmp_path: Path) -> None:
    card = planner_of(load_profile(write(tmp_path, OPENAI, *ENDPOINT))).card
    assert (card.name, card.backend) == ("medical-7b", "openai")


def test_an_endpoint_for_a_planner_that_runs_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="scripted runs here and has no use for an endpoint"):
        planner_of(load_profile(write(tmp_path, "scripted", *ENDPOINT)))


@pytest.mark.parametrize("line", ['url = "models.example"', 'plans = "regex"', 'api_key = "sk-1"', "vision = 3"])
def test_what_makes_no_sense_is_named_when_the_profile_is_read(tmp_path: Path, line: str) -> None:
    lines = [one for one in ENDPOINT if one.split(" ")[0] != line.split(" ")[0]]
    with pytest.raises(InvalidRequestError, match=rf"planner\.endpoint\.{line.split(' ')[0]}") as raised:
        load_profile(write(tmp_path, OPENAI, *lines, line))
    assert "sk-1" not in raised.value.detail


@pytest.mark.parametrize(
    ("lines", "words"), [((), r"\[planner.endpoint\]"), (('checkpoint = "planner"', *ENDPOINT), "no checkpoint")]
)
def test_what_is_missing_or_too_much_is_said_when_loading(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    planner = planner_of(load_profile(write(tmp_path, OPENAI, *lines)))
    with pytest.raises(CheckpointError, match=words):
        planner.load("cpu")
