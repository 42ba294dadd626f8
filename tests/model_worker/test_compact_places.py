"""The planner sees the image: what the image cannot show is not looked for, and the answer says so."""

import numpy as np
import pytest

from mmedagent.cli.ask_pictures import phantom_pixels, reference
from mmedagent.cli.paths import MODELS
from mmedagent.model_worker.compact.places import is_out_of_place
from mmedagent.model_worker.compact.planner import CompactPlanner
from mmedagent.networks.glance import Glance
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.plan import ChatMessage, Plan, PlannerRequest, assemble
from support.towers import Chances, filled

BRAIN: Chances = {"modality": {"MR": 0.98}, "anatomy": {"brain": 0.97}}
UNSURE: Chances = {"modality": {"MR": 0.9, "X-ray": 0.06}, "anatomy": {"brain": 0.9}}


@pytest.mark.parametrize(
    ("name", "chances", "expected"),
    [
        ("left lung", BRAIN, True), ("left lung", UNSURE, False), ("ventricles", BRAIN, False),
        ("optic disc", BRAIN, True), ("liver", BRAIN, False), ("a name of no group", BRAIN, False),
    ],
)  # fmt: skip
def test_out_of_place_is_only_what_is_surely_elsewhere(name: str, chances: Chances, expected: bool) -> None:
    assert is_out_of_place(name, Glance(filled(chances))) is expected


@pytest.fixture(scope="module")
def planner() -> CompactPlanner:
    made = CompactPlanner(checkpoint=MODELS / "planner")
    made.load("cpu")
    return made


def asked(planner: CompactPlanner, text: str, modality: str, header: str | None = None) -> Plan:
    pixels = phantom_pixels(modality)
    image = reference(pixels).model_copy(update={"modality": header})
    message = ChatMessage(role="user", text=text)
    request = PlannerRequest(messages=(message,), image=image, tools=built_in_cards(), correlation_id="test")
    return assemble(planner.step(request, np.asarray(pixels), lambda: None))


def test_lungs_are_not_outlined_in_a_brain(planner: CompactPlanner) -> None:
    plan = asked(planner, "Segment the lungs.", "MRI")
    assert plan.actions == ()
    assert "looks like MR" in plan.value
    assert "lungs" in plan.value
    assert "draw a box" in plan.value


def test_what_can_be_there_is_looked_for(planner: CompactPlanner) -> None:
    assert [one.API_name for one in asked(planner, "Segment the lungs.", "X-ray").actions] == ["grounded_segmentation"]
    assert asked(planner, "Segment the ventricles of the brain.", "MRI").actions


def test_the_header_goes_before_a_look(planner: CompactPlanner) -> None:
    assert asked(planner, "Segment the lungs.", "MRI", header="CT").actions


def test_a_tool_for_one_modality_does_not_run_on_another(planner: CompactPlanner) -> None:
    plan = asked(planner, "Write a radiology report for this image.", "fundus")
    assert plan.actions == ()
    assert "for X-ray images only" in plan.value
    assert asked(planner, "Write a radiology report for this image.", "X-ray").actions


def test_the_other_parts_of_an_ask_go_on(planner: CompactPlanner) -> None:
    plan = asked(planner, "Which modality is this? And outline the lungs.", "MRI")
    assert [one.API_name for one in plan.actions] == ["classification"]
    assert "does not show" in plan.value
