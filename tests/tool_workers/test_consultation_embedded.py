"""The demonstration panel with its shipped weights: how right it is, what it refuses, and what it does in chat."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mmedagent.cli.paths import MODELS
from mmedagent.cli.profile import load_profile
from mmedagent.model_worker.compact import CompactPlanner
from mmedagent.networks.checkpoints import CheckpointError
from mmedagent.networks.consultation_panel import (
    ADAPTERS,
    ATTENDING,
    BASE,
    ROLES,
    TRIAGE,
    PanelNetwork,
    load_panel_network,
)
from mmedagent.networks.consultation_words import attending_prompt, triage_prompt
from mmedagent.networks.glance import load_glance
from mmedagent.protocol.consultation import SPECIALTIES, read_reply
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.serving.tool import PixelArray
from mmedagent.tool_workers.consultation import ConsultationTool
from mmedagent.training.rl.specialists import field_of, panel
from mmedagent.training.rl.world import Item, draw_world
from support.desk import desk, image_call
from support.doctors import consult
from support.system import LABEL, running_controller

PANEL, PLANNER = MODELS / "consultation", MODELS / "planner"
WORLD, QUESTIONS, TOKENS = 515_151, 120, 20
"""A world that nothing was trained on, and how many of its questions are asked."""

LEAST = {"triage": 0.5, "specialists": 0.02, "attending": 0.68}
"""How often triage and attending physician are right at least; guessing is in a seventh of the cases, and in a fourth.
How much more probable right replies are to a specialist than to the base."""


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(draw_world(WORLD, {"warm": QUESTIONS}))


@pytest.fixture(scope="module")
def frames(items: list[Item]) -> list[PixelArray]:
    return [np.asarray(item.picture()) for item in items]


@pytest.fixture(scope="module")
def tool() -> ConsultationTool:
    torch.set_num_threads(1)
    made = ConsultationTool(checkpoint=PANEL)
    made.load("cpu")
    return made


def right(
    network: PanelNetwork,
    role: str,
    asked: Sequence[tuple[Item, PixelArray]],
    prompt: Callable[[Item], str],
    truth: Callable[[Item], str],
) -> list[float]:
    """The probability of each reply that is right, and 0 for each that is wrong."""
    said = network.write(role, [prompt(item) for item, _ in asked], [frame for _, frame in asked], TOKENS)
    replies = [read_reply(one.text) for one in said]
    return [
        one.probability if reply is not None and reply.answer == truth(item) else 0.0
        for one, reply, (item, _) in zip(said, replies, asked, strict=True)
    ]


def in_fields(network: PanelNetwork, items: list[Item], frames: list[PixelArray], who: Callable[[str], str]) -> float:
    """How probable the right replies are to whoever is asked about the field of each specialty, on average."""
    found = []
    for specialty in SPECIALTIES:
        own = [(item, frame) for item, frame in zip(items, frames, strict=True) if field_of(item) == specialty]
        found += right(network, who(specialty), own, plain, letter) if own else []
    return float(np.mean(found))


def plain(item: Item) -> str:
    return attending_prompt(item.question, item.options)


def heard(item: Item) -> str:
    return attending_prompt(item.question, item.options, panel(item, field_of(item)))


def letter(item: Item) -> str:
    return item.letter


def measured(network: PanelNetwork, items: list[Item], frames: list[PixelArray]) -> dict[str, float]:
    asked = list(zip(items, frames, strict=True))
    triage = right(network, TRIAGE, asked, lambda item: triage_prompt(item.question), field_of)
    attending = right(network, ATTENDING, asked, heard, letter)
    alone = in_fields(network, items, frames, lambda _: BASE)
    return {
        "triage": float(np.mean(np.array(triage) > 0)),
        "specialists": in_fields(network, items, frames, lambda specialty: specialty) - alone,
        "attending": float(np.mean(np.array(attending) > 0)),
    }


def shuffled(folder: Path, *files: str) -> Path:
    """A copy of the panel in which the numbers of each tensor of the files are in another order."""
    shutil.copytree(PANEL, folder)
    for name in files:
        state = load_file(folder / name)
        mixed = {
            key: value.flatten()[torch.randperm(value.numel(), generator=torch.Generator().manual_seed(0))].view_as(
                value
            )
            for key, value in state.items()
        }
        save_file(mixed, folder / name)
    return folder


def test_every_role_has_learnt_its_part(items: list[Item], frames: list[PixelArray]) -> None:
    network = load_panel_network(PANEL, PLANNER)
    figures = measured(network, items, frames)
    assert all(figures[name] >= least for name, least in LEAST.items()), figures
    colleagues = dict(zip(SPECIALTIES, (*SPECIALTIES[1:], SPECIALTIES[0]), strict=True))
    own = in_fields(network, items, frames, lambda specialty: specialty)
    assert own > in_fields(network, items, frames, colleagues.__getitem__) + LEAST["specialists"]


@pytest.mark.parametrize(
    ("files", "fallen"),
    [
        (("base/model.safetensors",), set(LEAST)),
        ((f"{ADAPTERS}/{TRIAGE}/adapter_model.safetensors",), {"triage"}),
        ((f"{ADAPTERS}/{ATTENDING}/adapter_model.safetensors",), {"attending"}),
        (tuple(f"{ADAPTERS}/{one}/adapter_model.safetensors" for one in SPECIALTIES), {"specialists"}),
    ],
    ids=["base", "triage", "attending", "specialists"],
)
def test_no_role_has_with_its_weights_shuffled(
    files: tuple[str, ...], fallen: set[str], items: list[Item], frames: list[PixelArray], tmp_path: Path
) -> None:
    figures = measured(load_panel_network(shuffled(tmp_path / "panel", *files), PLANNER), items, frames)
    assert {name for name, least in LEAST.items() if figures[name] < least} == fallen, figures


def test_a_question_in_other_words_is_answered_by_the_whole_panel(
    tool: ConsultationTool, items: list[Item], frames: list[PixelArray]
) -> None:
    right = []
    for item, frame in zip(items[:10], frames, strict=False):
        first, _, structure = item.question.partition("\n")
        question = first.replace("this", f"the {structure}") if structure else first
        call = image_call("consultation", question=f"Please tell me: {question.lower()}", options=list(item.options))
        data = consult(tool, call, desk(frame, calls=[call]))
        assert (data["absent"], data["note"]) == ([], "")
        fields = [one["specialty"] for one in data["opinions"]]
        assert fields[0] == data["specialty"] != fields[1] != fields[2]
        assert [one["model"] for one in data["opinions"]] == [f"small-consultation:{field}" for field in fields]
        assert all(one["rationale"].endswith(("; certain", "; unsure")) for one in data["opinions"])
        assert data["attending"]["model"] == "small-consultation:attending"
        right.append(data["choice"] == item.answer)
    assert sum(right) >= 5


def test_without_options_the_panel_chooses_among_all_that_it_knows(
    tool: ConsultationTool, items: list[Item], frames: list[PixelArray]
) -> None:
    known = [
        place for place, item in enumerate(items) if item.family == "organ" and item.modality in ("fundus", "X-ray")
    ]
    right = []
    for place in known[:8]:
        call = image_call("consultation", question="Which part of the body is this?", options=["moon", "sun"])
        data = consult(tool, call, desk(frames[place], calls=[call]))
        assert "none of the options" in data["note"]
        right.append(data["answer"] == items[place].options[items[place].answer])
    assert sum(right) >= 4


def test_of_two_options_one_is_the_answer(tool: ConsultationTool, items: list[Item], frames: list[PixelArray]) -> None:
    right = []
    for place in [place for place, item in enumerate(items) if item.family == "modality"][:8]:
        item = items[place]
        options = [item.options[item.lure], item.options[item.answer]]
        call = image_call("consultation", question="Which modality is this?", options=options)
        data = consult(tool, call, desk(frames[place], calls=[call]))
        assert data["choice"] in (0, 1)
        right.append(data["choice"] == 1)
    assert sum(right) >= 6


REFUSED = {
    "another question": ("What is the prognosis?", "CT", "another question"),
    "an unknown structure": ("In which quarter is the thymus?", "CT", "another question, or about a structure"),
    "a structure of other images": ("In which quarter is the optic disc?", "CT", "images of the kind CT"),
    "MR": ("Which modality is this?", "MR", "no images of the kind MR"),
    "mammography": ("Which finding is shown?", "MG", "no images of the kind MG"),
    "photographs have no findings": ("Which finding is shown?", "XC", "images of the kind photograph"),
    "noise": ("Which modality is this?", None, "none of the kinds of images"),
    "no image": ("Which modality is this?", "", "no image"),
}


@pytest.mark.parametrize(("question", "modality", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_the_panel_does_not_know_it_refuses(
    tool: ConsultationTool, question: str, modality: str | None, reason: str
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    call = image_call("consultation", question=question)
    assert call.image is not None
    image = None if modality == "" else call.image.model_copy(update={"modality": modality})
    call = call.model_copy(update={"image": image})
    (error,) = tool.run([call], desk(frame, calls=[call]))
    assert isinstance(error, InvalidRequestError), error
    for part in (reason, "demonstration panel can be asked which modality", "docs/consultation.md"):
        assert part in error.detail


def test_in_chat_the_default_planner_asks_it_and_says_what_it_cannot_be_asked(
    tmp_path: Path, items: list[Item]
) -> None:
    item = next(one for one in items if one.family == "finding" and one.modality == "fundus")
    buffer = io.BytesIO()
    item.picture().resize((640, 640), Image.Resampling.BICUBIC).save(buffer, "PNG")
    with running_controller(tmp_path, expected_tools=("consultation",)) as system:
        system.add_planner(CompactPlanner(checkpoint=PLANNER))
        system.add_tools([ConsultationTool(checkpoint=PANEL)])
        system.wait_until_ready()
        file = system.upload(buffer.getvalue())

        def asked_about_it(text: str) -> tuple[dict[str, Any], str]:
            content = [{"type": "input_text", "text": text}, {"type": "input_image", "file_id": file}]
            answer = system.http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
            assert answer.status_code == 200, answer.text
            (call,) = [one for one in answer.json()["output"] if one["type"] == "mcp_call"]
            (message,) = [one for one in answer.json()["output"] if one["type"] == "message"]
            return call, message["content"][0]["text"]

        call, text = asked_about_it("Ask the panel: Which finding is shown?")
        assert (call["name"], call["status"]) == ("consultation", "completed")
        for part in ("Triage chose", "The attending's answer is", "opinions of models and not a diagnosis"):
            assert part in text
        assert LABEL in str(call)
        call, text = asked_about_it("I want a consult: what is the prognosis?")
        assert (call["name"], call["status"]) == ("consultation", "failed")
        for part in ("can be asked which modality", "docs/consultation.md", "no second opinion can be given"):
            assert part in text
        problem = system.http.post(
            "/v1/tools/consultation/invoke", json={"parameters": {"question": "Is it benign?"}, "file_id": file}
        )
        assert (problem.status_code, problem.json()["code"]) == (422, "invalid_request")


def test_the_default_profile_seats_it() -> None:
    profile = load_profile("embedded")
    assert profile.checkpoint(profile.tools["consultation"]) == PANEL
    assert sum(file.stat().st_size for file in PANEL.rglob("*")) <= 4 << 20


@pytest.mark.parametrize("role", ["questions.json", f"{ADAPTERS}/{TRIAGE}/adapter_model.safetensors", "base"])
def test_a_part_that_is_missing_stops_the_start(role: str, tmp_path: Path) -> None:
    folder = shuffled(tmp_path / "panel")
    shutil.rmtree(folder / role, ignore_errors=True)
    (folder / role).unlink(missing_ok=True)
    with pytest.raises(CheckpointError):
        load_panel_network(folder, PLANNER)


def test_a_part_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    weights = f"{ADAPTERS}/{ROLES[-1]}/adapter_model.safetensors"
    folder = shuffled(tmp_path / "panel")
    state = load_file(folder / weights)
    key = next(iter(state))
    for changed in ({**state, key: state[key] * torch.nan}, {name: state[name] for name in state if name != key}):
        save_file(changed, folder / weights)
        with pytest.raises(CheckpointError, match="does not fit"):
            load_panel_network(folder, PLANNER)
    questions = folder / "questions.json"
    questions.write_text(questions.read_text("utf-8").replace(load_glance(PLANNER).config.sha256, "0" * 64), "utf-8")
    with pytest.raises(CheckpointError, match="image tower"):
        load_panel_network(folder, PLANNER)
