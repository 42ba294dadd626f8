"""When the compact planner looks at the image instead of calling a tool, with towers whose answers are chosen."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmedagent.model_worker.compact import CompactPlanner
from mmedagent.model_worker.compact.looking import LookAnswerer
from mmedagent.networks.glance import WEIGHTS
from mmedagent.networks.planner_checkpoint import load_planner
from mmedagent.protocol.cards import built_in_cards, load_card
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest, Step, assemble
from support.towers import PLANNER, Chances, write_tower

IMAGE = ImageRef(sha256="a" * 64, source_sha256="b" * 64, width=128, height=100, modality="MR")
FRAME = np.zeros((100, 128), np.uint8)
SHOWN: Chances = {
    "modality": {"MR": 0.93},
    "anatomy": {"abdomen": 0.9},
    "view": {"axial": 0.9},
    "technique": {"T2": 0.85},
    "structures": {"liver": 0.9, "left kidney": 0.9, "right kidney": 0.9},
    "findings": {"liver lesion": 0.88},
}

WORDS = ["is", "there", "how", "many", "left", "liver", "livers", "view", "at", "a", "glance", "?", ".", "and", "ſide"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tower(tmp_path_factory.mktemp("planner"), SHOWN)


@pytest.fixture(scope="module")
def planner(folder: Path) -> CompactPlanner:
    torch.set_num_threads(1)
    made = CompactPlanner(checkpoint=folder)
    made.load("cpu")
    return made


def request(text: str, *tools: str, image: ImageRef | None = IMAGE) -> PlannerRequest:
    cards = tuple(load_card(name) for name in tools) if tools else built_in_cards()
    return PlannerRequest(
        messages=(ChatMessage(role="user", text=text),), image=image, tools=cards, correlation_id="test"
    )


def plan(planner: CompactPlanner, asked: PlannerRequest) -> Plan:
    return assemble(planner.step(asked, FRAME, lambda: None))


def test_with_grounding_presence_is_grounded(planner: CompactPlanner) -> None:
    made = plan(planner, request("Is there a liver?"))
    assert [action.API_name for action in made.actions] == ["grounding"]
    assert "seems" not in made.value


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ("At a glance, is there a liver?", "It seems to show “liver” (90%)"),
        ("Is there a liver? No tools please.", "It seems to show “liver” (90%)"),
        ("Without tools: how many kidneys are visible?", "so two (90%)"),
        ("Just from a glance, is anything abnormal?", "It looks abnormal: it seems to show “liver lesion” (88%)"),
        ("Don't use any tool. Which plane is this?", "“axial” (90%)"),
        ("Without tools, what colour is the liver?", "The demonstration model cannot tell this from the image."),
    ],
)
def test_who_wants_no_tool_gets_a_look(planner: CompactPlanner, ask: str, words: str) -> None:
    made = plan(planner, request(ask))
    assert made.actions == ()
    assert words in made.value


@pytest.mark.parametrize(
    ("ask", "tool", "words"),
    [
        ("Is there a liver?", "grounding", "It seems to show “liver” (90%)"),
        ("Which side is the liver lesion on?", "grounding", "not trained to tell the side of “liver lesion”"),
        ("What modality is this?", "classification", "an MR image (93%)"),
        ("Is this abnormal?", "classification", "It looks abnormal"),
    ],
)
def test_a_look_stands_in_for_a_tool_that_is_not_there(
    planner: CompactPlanner, ask: str, tool: str, words: str
) -> None:
    made = plan(planner, request(ask, "segmentation", "retrieval"))
    assert made.actions == ()
    assert words in made.value
    assert f"the {tool} tool is needed, which is not available" in made.value


def test_a_look_does_not_stand_in_for_a_place(planner: CompactPlanner) -> None:
    made = plan(planner, request("Where is the liver in this scan?", "segmentation"))
    assert "seems" not in made.value
    assert "grounding tool is needed" in made.value


def test_a_plain_question_is_answered_rather_than_asked_back(planner: CompactPlanner) -> None:
    for ask, words in (("Which plane?", "“axial”"), ("Which weighting is this?", "“T2” (85%)")):
        assert words in plan(planner, request(ask)).value


@pytest.mark.parametrize("ask", ["Segment it.", "Do it.", "", "qzx wvk jjj", "How old is the patient?", "Count them."])
def test_other_asks_are_still_asked_back_or_declined(planner: CompactPlanner, ask: str) -> None:
    made = plan(planner, request(ask))
    assert made.actions == ()
    assert "small network" not in made.value


def test_the_answer_after_other_tools_holds_the_look(planner: CompactPlanner) -> None:
    asked = request("At a glance, which plane is this?\nWhat does the handbook say about gout?")
    first = plan(planner, asked)
    assert [action.API_name for action in first.actions] == ["retrieval"]
    step = Step(plan=Plan(thoughts="", value=""), outcomes=())
    assert "“axial” (90%)" in plan(planner, asked.model_copy(update={"steps": (step,)})).value


def test_without_an_image_one_is_asked_for(planner: CompactPlanner) -> None:
    assert "attach" in plan(planner, request("At a glance, which plane is this?", image=None)).value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(WORDS)))
def test_any_words_give_a_plan(planner: CompactPlanner, words: list[str]) -> None:
    assert plan(planner, request(f"Without tools, {' '.join(words)}")).value


def test_the_header_is_trusted(planner: CompactPlanner) -> None:
    ct = IMAGE.model_copy(update={"modality": "CT"})
    made = plan(planner, request("At a glance, is there a liver?", image=ct))
    assert "Trust the header." in made.value
    assert "liver" not in made.value


def test_a_planner_without_a_tower_does_not_look(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(PLANNER / name, tmp_path / name)
    blind = CompactPlanner(checkpoint=tmp_path)
    blind.load("cpu")
    made = plan(blind, request("Describe the image."))
    assert "cannot look at the image" in made.value
    assert "128 x 100 pixels" in made.value
    assert [action.API_name for action in plan(blind, request("Is there a liver?")).actions] == ["grounding"]


def test_a_damaged_tower_stops_the_planner(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(CheckpointError):
        CompactPlanner(checkpoint=tmp_path).load("cpu")


def test_pairs_of_questions_and_truths_can_be_asked_in_one_line_each(folder: Path) -> None:
    looker = LookAnswerer(load_planner(folder))
    cases = [("Is the liver in view?", "yes"), ("How many kidneys?", "2"), ("Which view is it?", "axial")]
    for question, truth in cases:
        (impression,) = looker.answer(question, FRAME).impressions
        assert impression.value == truth
        assert impression.probability == pytest.approx(0.9, abs=2e-3)
