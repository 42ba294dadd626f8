"""What was read of a prompt is read once: by the next turn of a conversation, and by nobody else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.network import LlavaNetwork, Prompt, Reading
from mmedagent.model_worker.llava.prefix import BLOCK, Block, PrefixStore, block_keys
from mmedagent.model_worker.llava.weights import LoadedLlava, load_llava
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step
from mmedagent.serving.tool import PixelArray
from support.results import provenance
from tiny_llava import Lesson, next_logits, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

ONE: PixelArray = np.full((40, 60), 220, np.uint8)
OTHER: PixelArray = np.random.default_rng(0).integers(0, 60, (40, 60, 3), dtype=np.uint8)
FIND = Plan(
    thoughts="I will look for it.",
    actions=(Action(API_name="grounding dino", API_params={"prompts": ["liver"]}),),
    value="Let me look.",
)
BOXES = ToolResult(
    call_id="c1",
    tool="grounding",
    data={"boxes": [[0.1, 0.2, 0.5, 0.6]], "scores": [0.9]},
    provenance=provenance("grounding"),
)
QUESTION = "Where is the liver, and how large is it, in the picture that I have just given you? Please look closely."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("prefix")
    write_checkpoint(made, [Lesson(ask(), ONE, "I will look for it.")], constrained=True)
    return made


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedLlava:
    return load_llava(folder, read_manifest(folder), "cpu")


@pytest.fixture
def writer(loaded: LoadedLlava, folder: Path) -> PlanWriter:
    return PlanWriter(loaded, read_manifest(folder), "checkpoint")


def ask(*steps: Step) -> PlannerRequest:
    messages = (ChatMessage(role="user", text=QUESTION),)
    return PlannerRequest(messages=messages, steps=steps, tools=built_in_cards(), correlation_id="test")


AFTER_TOOL = ask(Step(plan=FIND, outcomes=(BOXES,)))


def read(network: LlavaNetwork, prompt: Prompt) -> Reading:
    reading = network.begin(prompt)
    while reading.scores is None:
        network.read_on(reading)
    return reading


def scores(reading: Reading) -> torch.Tensor:
    assert reading.scores is not None
    return reading.scores


def test_the_answer_reads_only_what_the_plan_did_not_and_scores_the_same(
    loaded: LoadedLlava, writer: PlanWriter
) -> None:
    plan, answer = writer.encode(ask(), ONE), writer.encode(AFTER_TOOL, ONE)
    first = read(writer.network, plan)
    second = read(writer.network, answer)
    alone = read(LlavaNetwork(loaded.model, "checkpoint", 0), answer)

    assert first.reused == alone.reused == 0
    assert second.reused == len(plan.ids) // BLOCK * BLOCK > 0
    assert torch.equal(scores(second), scores(alone))
    assert all(
        torch.equal(one.keys, other.keys) and torch.equal(one.values, other.values)
        for one, other in zip(second.cache.layers, alone.cache.layers, strict=True)
    )


def test_reading_in_blocks_scores_as_the_model_does(loaded: LoadedLlava, writer: PlanWriter) -> None:
    prompt = writer.encode(AFTER_TOOL, ONE)
    assert prompt.pixels is not None
    inputs = {"input_ids": torch.tensor([prompt.ids]), "pixel_values": prompt.pixels}
    for _ in range(2):
        torch.testing.assert_close(writer.network.read(prompt), next_logits(loaded.model, inputs), atol=1e-4, rtol=1e-4)


def test_the_image_is_looked_at_once(loaded: LoadedLlava, writer: PlanWriter) -> None:
    looks: list[int] = []
    hook = loaded.model.model.vision_tower.register_forward_hook(lambda *_: looks.append(1))
    for request in (ask(), AFTER_TOOL, ask()):
        read(writer.network, writer.encode(request, ONE))
    shorter = ask().model_copy(update={"messages": (ChatMessage(role="user", text="Another question."),)})
    read(writer.network, writer.encode(shorter, ONE))
    assert looks == [1]
    read(writer.network, writer.encode(shorter, OTHER))
    hook.remove()
    assert looks == [1, 1]


def test_nothing_is_shared_between_images_checkpoints_and_different_beginnings(
    loaded: LoadedLlava, writer: PlanWriter
) -> None:
    network = writer.network
    prompt = writer.encode(AFTER_TOOL, ONE)
    read(network, prompt)
    other_image = read(network, writer.encode(AFTER_TOOL, OTHER))
    assert other_image.reused == 0
    assert torch.equal(scores(other_image), LlavaNetwork(loaded.model, "", 0).read(other_image.prompt))

    changed = list(prompt.ids)
    place = 2 * BLOCK - 1
    changed[place] = changed[place] + 1
    assert network.begin(Prompt(tuple(changed), prompt.pixels)).reused == BLOCK
    changed[1] = changed[1] + 1
    assert network.begin(Prompt(tuple(changed), prompt.pixels)).reused == 0
    assert not set(block_keys("one adapter", prompt.ids)) & set(block_keys("another adapter", prompt.ids))


def test_a_prompt_that_is_all_known_still_reads_its_last_token(writer: PlanWriter) -> None:
    whole = Prompt(writer.encode(AFTER_TOOL, ONE).ids[: 2 * BLOCK], writer.encode(AFTER_TOOL, ONE).pixels)
    first = read(writer.network, whole)
    again = read(writer.network, whole)
    assert (first.reused, again.reused) == (0, BLOCK)
    assert torch.equal(scores(first), scores(again))


# The store


def block() -> Block:
    return Block(((torch.zeros(1, 2, BLOCK, 4), torch.zeros(1, 2, BLOCK, 4)),))


def test_the_store_drops_what_was_not_used_for_longest_from_the_end_of_a_prompt_on() -> None:
    size = block().nbytes
    store = PrefixStore(5 * size)
    one, two, three = ([f"{prompt}{place}".encode() for place in range(2)] for prompt in "abc")
    for keys in (one, two):
        store.keep([(key, block()) for key in keys])
    assert len(store.longest(one)) == 2
    store.keep([(key, block()) for key in three])

    assert store.nbytes == 5 * size
    assert [len(store.longest(keys)) for keys in (one, two, three)] == [2, 1, 2]


def test_the_store_keeps_the_beginning_of_a_prompt_that_is_too_long_for_it() -> None:
    store = PrefixStore(2 * block().nbytes)
    keys = [bytes([place]) for place in range(5)]
    store.keep([(key, block()) for key in keys])
    assert len(store.longest(keys)) == 2
    assert store.nbytes == 2 * block().nbytes


def test_without_memory_nothing_is_kept() -> None:
    store = PrefixStore(0)
    store.keep([(b"a", block())])
    assert store.nbytes == 0
    assert not store.longest([b"a"])


def test_keys_depend_on_every_token_before_them() -> None:
    tokens = list(range(3 * BLOCK))
    keys = block_keys("origin", tokens)
    assert len(keys) == 3
    assert block_keys("origin", tokens[:-1]) == keys[:2]
    assert block_keys("origin", [7, *tokens[1:]])[2] != keys[2]
