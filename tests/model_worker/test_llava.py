"""The LLaVA planner on a tiny checkpoint: trained in the test to plan, and every way in which a folder can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmedagent.model_worker.llava import LlavaPlanner
from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.generation import TextAssembler
from mmedagent.model_worker.llava.weights import attach_adapter, load_base, load_llava, load_processor
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CancelledError, MalformedPlanError, TooLargeError
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step, StepDone, ThoughtsDelta, assemble
from mmedagent.protocol.planner_format import ACTIONS, THOUGHTS, VALUE
from mmedagent.protocol.prompts import render_prompt, render_reply
from mmedagent.serving.tool import PixelArray
from support.results import provenance
from tiny_llava import Lesson, edit_json, edit_tensors, next_logits, train_adapter, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

BRIGHT: PixelArray = np.full((40, 60), 220, np.uint8)
DARK: PixelArray = np.random.default_rng(0).integers(0, 60, (40, 60, 3), dtype=np.uint8)
FIND_LIVER = Plan(
    thoughts="I will find the liver.",
    actions=(Action(API_name="grounding dino", API_params={"prompts": ["liver"]}),),
    value="Let me look.",
)
FIND_NUCLEI = Plan(
    thoughts="I will find the nuclei.",
    actions=(Action(API_name="grounding dino", API_params={"prompts": ["cell nuclei"]}),),
    value="Let me look.",
)
ANSWER = Plan(thoughts="No more tools.", value="The liver covers 12 mm² 🩺.")
MENDED = Plan(thoughts="I will segment.", value="It is done.")
BROKEN = f'{THOUGHTS} I will segment.\n{ACTIONS} [{{"API_name": }}]\n{VALUE} It is done.\n'


def ask(text: str, *steps: Step, earlier: tuple[ChatMessage, ...] = ()) -> PlannerRequest:
    return PlannerRequest(messages=(*earlier, ChatMessage(role="user", text=text)), steps=steps, correlation_id="test")


def carry_on() -> None:
    """Nobody cancels."""


def found_liver() -> Step:
    made = provenance("grounding")
    boxes = {"boxes": [[0.1, 0.2, 0.5, 0.6]], "scores": [0.9]}
    return Step(plan=FIND_LIVER, outcomes=(ToolResult(call_id="c1", tool="grounding", data=boxes, provenance=made),))


WHERE = ask("Where is it?")
AFTER_TOOL = ask("Where is it?", found_liver())
SEGMENT = ask("Segment it.")
LESSONS = (
    Lesson(WHERE, BRIGHT, render_reply(FIND_LIVER)),
    Lesson(WHERE, DARK, render_reply(FIND_NUCLEI)),
    Lesson(AFTER_TOOL, BRIGHT, render_reply(ANSWER)),
    Lesson(SEGMENT, None, BROKEN),
    Lesson(
        SEGMENT,
        None,
        f" []\n{VALUE} It is done.\n",
        start=f"{THOUGHTS} I will segment.\n{ACTIONS}",
        correction="The actions are not valid JSON.",
    ),
)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained")
    torch.set_num_threads(1)
    write_checkpoint(folder, LESSONS)
    return folder


@pytest.fixture(scope="session")
def trained(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "planner"
    shutil.copytree(untrained, folder)
    assert train_adapter(folder, LESSONS, steps=150, loss_below=0.02) < 0.02
    return folder


@pytest.fixture(scope="session")
def planner(trained: Path) -> LlavaPlanner:
    loaded = LlavaPlanner(checkpoint=trained)
    loaded.load("cpu")
    return loaded


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained checkpoint to be damaged."""
    shutil.copytree(trained, tmp_path / "planner")
    return tmp_path / "planner"


# Planning


@pytest.mark.parametrize(
    ("request_", "frame", "plan"),
    [(WHERE, BRIGHT, FIND_LIVER), (WHERE, DARK, FIND_NUCLEI), (AFTER_TOOL, BRIGHT, ANSWER)],
    ids=["bright image", "dark image", "tool output"],
)
def test_a_trained_adapter_plans_from_image_question_and_tool_output(
    planner: LlavaPlanner, request_: PlannerRequest, frame: PixelArray, plan: Plan
) -> None:
    events = list(planner.step(request_, frame, carry_on))

    assert assemble(events) == plan
    assert len([event for event in events if isinstance(event, ThoughtsDelta)]) > 2
    assert [event.type for event in events].count("actions") == 1
    assert events[-1] == StepDone(planner="tiny", checkpoint_sha256=planner.card.checkpoint_sha256)


def test_shuffled_adapter_weights_do_not_plan(folder: Path) -> None:
    def shuffle(tensors: dict[str, torch.Tensor]) -> None:
        torch.manual_seed(0)
        for key, tensor in tensors.items():
            tensors[key] = tensor.flatten()[torch.randperm(tensor.numel())].reshape(tensor.shape)

    edit_tensors(folder / "adapter" / "adapter_model.safetensors", shuffle)
    planner = LlavaPlanner(checkpoint=folder)
    planner.load("cpu")
    with pytest.raises(MalformedPlanError):
        list(planner.step(WHERE, BRIGHT, carry_on))


def test_a_malformed_plan_is_asked_for_again_and_goes_on_from_what_was_streamed(
    planner: LlavaPlanner, caplog: pytest.LogCaptureFixture
) -> None:
    events = list(planner.step(SEGMENT, None, carry_on))
    assert caplog.messages == ["asking again for a plan: The actions are not valid JSON."]
    assert assemble(events) == MENDED
    assert [event.type for event in events].count("actions") == 1


def test_within_the_grammar_a_trained_planner_plans_the_same_and_an_untrained_one_at_least_a_plan(
    trained: Path, untrained: Path, tmp_path: Path
) -> None:
    request = WHERE.model_copy(update={"tools": built_in_cards()})
    for folder, expected in ((trained, FIND_LIVER), (untrained, None)):
        shutil.copytree(folder, tmp_path / folder.name)
        edit_json(tmp_path / folder.name / "planner.json", constrained=True)
        planner = LlavaPlanner(checkpoint=tmp_path / folder.name)
        planner.load("cpu")
        plan = assemble(planner.step(request, BRIGHT, carry_on))
        assert plan == expected or (expected is None and plan.value)


def test_an_untrained_model_raises_after_it_was_asked_again(untrained: Path) -> None:
    planner = LlavaPlanner(checkpoint=untrained)
    planner.load("cpu")
    with pytest.raises(MalformedPlanError, match="also when asked again"):
        list(planner.step(WHERE, BRIGHT, carry_on))


def test_an_answer_cut_off_by_the_token_limit_is_not_passed_off_as_whole(folder: Path) -> None:
    text = render_reply(ANSWER)
    whole = len(load_processor(folder / "base").tokenizer(text)["input_ids"])
    edit_json(folder / "planner.json", max_new_tokens=whole - 3)
    planner = LlavaPlanner(checkpoint=folder)
    planner.load("cpu")
    with pytest.raises(MalformedPlanError, match="did not end"):
        list(planner.step(AFTER_TOOL, BRIGHT, carry_on))


def test_earlier_turns_give_way_when_the_context_is_full(planner: LlavaPlanner) -> None:
    earlier = (ChatMessage(role="user", text="a b c " * 400), ChatMessage(role="assistant", text="Yes."))
    assert assemble(planner.step(ask("Where is it?", earlier=earlier), BRIGHT, carry_on)) == FIND_LIVER
    with pytest.raises(TooLargeError, match="1024 tokens"):
        list(planner.step(ask("a b c " * 400), None, carry_on))


def test_cancelling_stops_between_two_tokens(planner: LlavaPlanner) -> None:
    asked = 0

    def cancel_at_the_sixth() -> None:
        nonlocal asked
        asked += 1
        if asked == 6:
            raise CancelledError("The caller left.")

    events = planner.step(WHERE, BRIGHT, cancel_at_the_sixth)
    with pytest.raises(CancelledError):
        list(events)
    assert asked == 6


# The network


def test_merged_and_unmerged_adapter_agree_and_differ_from_the_base(trained: Path) -> None:
    base, processor = load_base(trained / "base", torch.float32), load_processor(trained / "base")
    inputs = processor(text=[render_prompt(WHERE, has_image=False)], return_tensors="pt")
    plain = next_logits(base.eval(), inputs)
    unmerged = next_logits(attach_adapter(base, trained / "adapter"), inputs)
    merged = next_logits(load_llava(trained, read_manifest(trained), "cpu").model, inputs)

    torch.testing.assert_close(merged, unmerged, atol=1e-3, rtol=1e-4)
    assert (merged - plain).abs().max() > 1.0


def test_the_image_and_its_border_reach_the_logits(trained: Path) -> None:
    loaded = load_llava(trained, read_manifest(trained), "cpu")
    bordered = BRIGHT.copy()
    bordered[:, :6] = bordered[:, -6:] = 0

    def logits(frame: PixelArray) -> torch.Tensor:
        images = [Image.fromarray(frame).convert("RGB")]
        prompt = render_prompt(WHERE, has_image=True)
        return next_logits(loaded.model, loaded.processor(text=[prompt], images=images, return_tensors="pt"))

    assert not torch.allclose(logits(BRIGHT), logits(DARK), atol=1e-2)
    assert not torch.allclose(logits(BRIGHT), logits(bordered), atol=1e-3)


def test_text_comes_out_whole_although_characters_are_made_of_several_tokens(trained: Path) -> None:
    tokenizer = load_processor(trained / "base").tokenizer
    text = "sehr 🧠 groß: 日本, µ² 🩻"
    assembler = TextAssembler(tokenizer)
    pieces = [assembler.push(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
    assert "".join([*pieces, assembler.flush()]) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_a_base_without_adapter_is_a_planner_too(folder: Path) -> None:
    edit_json(folder / "planner.json", adapter=None)
    planner = LlavaPlanner(checkpoint=folder)
    planner.load("cpu")
    with pytest.raises(MalformedPlanError):
        list(planner.step(WHERE, BRIGHT, carry_on))
