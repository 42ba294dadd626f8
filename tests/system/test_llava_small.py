"""Whole turns through the small LLaVA: it plans, the tools run, and it answers from their output."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmedagent.cli.ask_pictures import as_file
from mmedagent.cli.client import ApiClient
from mmedagent.cli.profile import load_profile
from mmedagent.cli.system import system_in_process


@pytest.fixture(scope="module")
def client() -> Iterator[ApiClient]:
    with system_in_process(load_profile("llava-small")) as url, ApiClient(url) as found:
        yield found


def turn(client: ApiClient, text: str, file_id: str | None = None) -> tuple[list[dict[str, str]], str]:
    """The calls of a turn, and the answer."""
    (end,) = [event for event in client.ask(text, file_id) if event["type"] == "response.completed"]
    items = end["response"]["output"]
    answer = "".join(part["text"] for one in items if one["type"] == "message" for part in one["content"])
    return [one for one in items if one["type"] == "mcp_call"], answer


def test_it_looks_up_and_says_where_the_answer_stands(client: ApiClient) -> None:
    ((call,), answer) = turn(client, "What are the symptoms of gout?")
    assert call["name"] == "retrieval"
    assert json.loads(call["arguments"])["query"] in "What are the symptoms of gout?"
    assert "[1]" in answer


def test_it_outlines_a_box_and_repeats_the_measured_area(client: ApiClient, tmp_path: Path) -> None:
    file_id = client.upload(as_file("CT", tmp_path))["id"]
    ((call,), answer) = turn(client, "Segment the structure in the box [0.3, 0.2, 0.7, 0.8].", str(file_id))
    assert call["name"] == "segmentation"
    area = json.loads(call["output"])["data"]["masks"][0]["area_px"]
    assert str(area) in answer.replace(",", "")
