"""The small LLaVA's dialogues: output that follows the cards, answers that rest on it, batches that teach the reply."""

import re
from pathlib import Path
from random import Random

import pytest
import torch
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from mmedagent.model_worker.llava.numbers import numbers_known, text_with
from mmedagent.model_worker.llava.planner import LlavaPlanner
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.plan import Action
from mmedagent.protocol.planner_format import parse_plan, render_plan
from mmedagent.training.pool import Pool
from mmedagent.training.sft.tokens import IGNORED
from mmedagent.training.small_llava.__main__ import vocabulary_texts, write_base
from mmedagent.training.small_llava.dialogues import DialogueDrawer, Drawn
from mmedagent.training.small_llava.feed import DialogueFeed
from mmedagent.training.small_llava.network import IMAGE_SIZE, small_llava, small_processor
from mmedagent.training.small_llava.outputs import drawn_output
from training.small_pool import write_small_pool

CARDS = {card.name: card for card in built_in_cards()}
EACH = 12
BOXES: JsonValue = [[0.1, 0.2, 0.5, 0.6]]


@pytest.mark.parametrize("tool", sorted(CARDS))
def test_drawn_output_follows_the_card_and_its_answer_has_only_numbers_that_are_in_it(tool: str) -> None:
    random = Random(7)  # noqa: S311 - training data, not secrets
    for example in CARDS[tool].examples * EACH:
        output = drawn_output(random, Action(API_name=tool, API_params=example.parameters))
        Draft202012Validator(CARDS[tool].result).validate(output.data)
        known = numbers_known([example.ask], [output.data], 1)
        assert re.fullmatch(text_with(known), output.said), output.said


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Drawn]:
    pool = Pool(write_small_pool(tmp_path_factory.mktemp("pool"), ("ct", "other")), ("ct", "other"))
    pool.refresh()
    rows = [*pool.rows(), None]
    drawer = DialogueDrawer("train", [3])
    asks = [ask for ask, _ in zip(drawer.draw(3), range(600), strict=False)]
    return [drawer.dialogue(ask, asks[place - 1], rows[place % len(rows)]) for place, ask in enumerate(asks)]


def test_every_reply_is_a_plan_that_reads_back_and_keeps_to_the_cards(drawn: list[Drawn]) -> None:
    kinds = {one.dialogue.name for one in drawn}
    assert kinds == {"plan", "answer", "history", "look"}
    for one in drawn:
        for exchange in one.dialogue.exchanges:
            plan = exchange.plan
            assert parse_plan(render_plan(plan)) == plan.model_copy(update={"value": plan.value.strip()})
            for action in plan.actions:
                resolved = {
                    key: BOXES if re.fullmatch(r"\$\d\.boxes", str(value)) else value
                    for key, value in action.API_params.items()
                }
                Draft202012Validator(CARDS[action.API_name].parameters).validate(resolved)
                assert one.dialogue.has_image or not CARDS[action.API_name].needs_image


def test_failed_tools_are_disclosed(drawn: list[Drawn]) -> None:
    answers = [one.dialogue.exchanges[1] for one in drawn if one.dialogue.name == "answer"]
    failed = [answer for answer in answers if "failed and gave no output" in answer.said]
    assert failed
    assert all("tool failed, because" in answer.plan.value for answer in failed)


def test_batches_teach_replies_only_and_of_a_history_the_last(tmp_path: Path) -> None:
    pool = write_small_pool(tmp_path, ("ct",))
    processor = small_processor(vocabulary_texts(0)[:400])
    batch = next(DialogueFeed(pool, processor, "train", 1_500, seed=1).batches())
    assert batch["pixel_values"].shape[1:] == (3, IMAGE_SIZE, IMAGE_SIZE)
    end = processor.tokenizer.eos_token_id
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        learnt = labels != IGNORED
        assert torch.equal(ids[learnt], labels[learnt])
        text = processor.tokenizer.decode(ids[learnt])
        assert text.startswith(' "thoughts')
        assert int(ids[learnt][-1]) == end


def test_a_written_folder_is_a_planner(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    processor = small_processor(vocabulary_texts(0)[:400])
    model = small_llava(processor.tokenizer, seed=0)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_base(tmp_path, model, processor, state, "0.1.0")
    planner = LlavaPlanner(checkpoint=tmp_path)
    planner.load("cpu")
    assert planner.card.name == "llava-small"
    assert all(path.stat().st_size <= 16 * 2**20 for path in tmp_path.rglob("*.safetensors"))
