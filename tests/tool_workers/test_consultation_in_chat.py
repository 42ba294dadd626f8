"""Asking the panel in chat: a scripted planner, and specialists behind real servers, one of which fails."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmedagent.model_worker.compact import CompactPlanner
from mmedagent.tool_workers.consultation import ConsultationTool
from support.chat_endpoint import Reply, chunk, said
from support.clinic import QUESTION, SENTENCE, Clinic, running_clinic
from support.doctors import because
from support.script import action, answer, rule, told
from support.system import running_controller, running_system

PLANNER = Path(__file__).parents[2] / "models" / "planner"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as made:
        yield made


@pytest.fixture(scope="module")
def result(clinic: Clinic) -> dict[str, Any]:
    """Two who disagree, and one whose server fails."""
    thinking = Reply(
        [chunk(reasoning_content="The border is ragged."), chunk(content="<answer>melanoma</answer>"), chunk("stop")]
    )
    return clinic.ask([thinking, said(*because("A", "It is round.")), Reply([b"secret"], 500)])


def test_the_panel_is_asked_and_every_step_is_in_the_result(result: dict[str, Any]) -> None:
    data = result["data"]
    assert (data["specialty"], data["triage"]["reason"]) == ("dermatologist", "It is skin.")
    opinions = [(one["specialist"], one["model"], one["answer"], one["rationale"]) for one in data["opinions"]]
    assert opinions == [
        ("dermatologist 1", "doctor-1", "melanoma", "The border is ragged."),
        ("dermatologist 2", "doctor-2", "naevus", "It is round."),
    ]
    (absent,) = data["absent"]
    assert (absent["doctor"], absent["reason"]) == ("dermatologist 3", "The endpoint failed with status 500.")
    assert (data["answer"], data["choice"], data["overruled"]) == ("melanoma", 1, ["dermatologist 2"])
    assert data["attending"]["model"] == "scripted"
    assert result["provenance"]["checkpoint_sha256"]
    assert "secret" not in json.dumps(result)


def test_what_a_specialist_is_sent(clinic: Clinic, result: dict[str, Any]) -> None:
    assert result
    first, second = (seat.asked[0] for seat in clinic.seats[:2])
    assert (first["model"], first["temperature"], first["seed"], first["max_tokens"]) == ("doctor-1", 0.5, 0, 512)
    assert second["seed"] == 1
    system, user = second["messages"]
    assert "dermatologist" in system["content"]
    for part in (QUESTION, "A. naevus", "B. melanoma", "C. wart", "<think>"):
        assert part in user["content"]
    picture, text = first["messages"][1]["content"]
    assert QUESTION in text["text"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["image_url"]["url"].partition(",")[2]))))
    assert pixels.shape[1] == 1_024


def test_the_default_planner_asks_the_panel_and_puts_it_into_words(clinic: Clinic, tmp_path: Path) -> None:
    """It writes no free text itself: every role is at an endpoint, triage and attending at the same one."""
    house, *specialists = clinic.seats
    house.replies.extend([said(because("oncologist")), said(because("malignant", "The border is irregular."))])
    for seat, reply in zip(specialists, (said(because("benign")), Reply([], 500)), strict=True):
        seat.replies.append(reply)
    backends = [
        f'[backends.{name}]\nkind = "endpoint"\nmodel = "{name}"\nurl = "{seat.url}"\n'
        for name, seat in zip(("default", "first", "second"), clinic.seats, strict=True)
    ]
    seats = [f'[[specialists]]\nbackend = "{name}"\n' for name in ("first", "second")]
    (tmp_path / "panel.toml").write_text("".join([*seats, *backends]))
    with running_controller(tmp_path, expected_tools=("consultation",)) as system:
        system.add_planner(CompactPlanner(checkpoint=PLANNER))
        system.add_tools([ConsultationTool(checkpoint=tmp_path)])
        system.wait_until_ready()
        items = system.outputs("Get a second opinion: is this lesion benign?")
    assert [item["name"] for item in items if item["type"] == "mcp_call"] == ["consultation"]
    (message,) = [item for item in items if item["type"] == "message"]
    assert message["content"][0]["text"] == (
        "Triage chose oncologist. [1] oncologist 1: “benign”. [1] "
        "No answer came from oncologist 2: The endpoint failed with status 500. [1] "
        "The attending's answer is “malignant”. [1] The attending overruled oncologist 1. [1] "
        "The reasons given are “The border is irregular.”. [1] "
        "These are opinions of models and not a diagnosis. [1]"
    )


def test_an_open_question_and_a_panel_of_which_nobody_comes(clinic: Clinic) -> None:
    data = clinic.ask([Reply([], 503), Reply([b"<html>"]), said("x", finish="content_filter")], "open")["data"]
    assert (data["opinions"], data["answer"]) == ([], "B. melanoma")
    assert [one["doctor"] for one in data["absent"]] == [f"dermatologist {number}" for number in (1, 2, 3)]
    assert "answered alone" in data["note"]


def test_opinions_are_shown_as_they_come(clinic: Clinic) -> None:
    """The second specialist speaks only when the first one's opinion has been seen."""
    seen = threading.Event()
    first, second, third = clinic.seats
    first.replies.append(said(because("A")))
    second.replies.append(Reply([seen, chunk(content=because("B")), chunk("stop")]))
    third.replies.append(said(because("C")))
    with clinic.system.http.stream("POST", "/v1/responses", json={"input": SENTENCE, "stream": True}) as stream:
        lines = []
        for line in stream.iter_lines():
            lines.append(line)
            if "dermatologist 1: naevus." in line:
                assert seen.is_set() or "dermatologist 2:" not in line
                seen.set()
    assert seen.is_set()
    assert "event: response.completed" in lines


def test_a_panel_of_which_nobody_can_speak_is_a_failed_call(tmp_path: Path) -> None:
    """One of all defaults, whose only model has nothing to say."""
    rules = [told("panel", action("consultation", question=QUESTION)), rule("", answer("Fine."))]
    with running_system(tmp_path, rules, [ConsultationTool(checkpoint=None)]) as system:
        items = system.outputs("Ask the panel")
        (call,) = [item for item in items if item["type"] == "mcp_call"]
        assert call["status"] == "failed"
        assert "no text for these messages" in json.dumps(call)
