"""Constrained decoding: whatever a model would like to write, what it writes is a plan that can be carried out."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import JsonValue
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from mmedagent.model_worker.llava.constraint import CUT_VALUE, PlanConstraint
from mmedagent.model_worker.llava.grammar import PlanGrammar
from mmedagent.model_worker.llava.vocabulary import Vocabulary
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import built_in_cards, load_card
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.plan import MAX_ACTIONS, Action, Plan, Step
from mmedagent.protocol.planner_format import parse_plan
from mmedagent.protocol.prompts import render_reply
from mmedagent.protocol.references import references_of, resolve
from mmedagent.protocol.types import JsonObject, JsonSchema
from mmedagent.serving.schemas import CardValidator
from support.results import provenance
from tiny_llava import tiny_processor

SEEDS = 200
BOXES: JsonValue = [[0.1, 0.2, 0.5, 0.6]]
TRAINED_ON = (
    "Where is the liver? I will look for it.",
    '[{"API_name": "grounding", "API_params": {"prompts": ["a"]}}]',
)
ODD_CARD = ToolCard(
    name="odd",
    title="Odd",
    description="A tool with every kind of parameter.",
    parameters={
        "type": "object",
        "properties": {
            "mode": {"enum": ["fast", 'very "slow"', 3, None]},
            "sizes": {
                "type": "array",
                "items": {"type": "integer", "minimum": -3, "exclusiveMaximum": 12},
                "minItems": 2,
            },
            "ratio": {"type": "number"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]$"},
            "note": {"type": ["string", "null"], "minLength": 2, "maxLength": 5},
            "pair": {"type": "array", "prefixItems": [{"type": "boolean"}, {"$ref": "#/$defs/name"}], "items": False},
            "extra": {"type": "object", "additionalProperties": {"type": "number"}},
            "formula": {"type": "string", "pattern": "^[$0-9.a-z]+$", "maxLength": 6},
            "day": {"type": "string", "format": "date"},
            "anything": {},
            "untyped": {"properties": {"share": {"minimum": 0, "maximum": 1}}, "required": ["share"]},
            "tags": {"type": "object", "patternProperties": {"^[a-c]$": {"type": "boolean"}}, "maxProperties": 3},
        },
        "required": ["mode", "sizes"],
        "$defs": {"name": {"type": "string", "maxLength": 8}},
    },
    result={"type": "object", "properties": {"boxes": load_card("grounding").result["properties"]["boxes"]}},
    needs_image=False,
    typical_seconds=0.1,
    version="1.0.0",
)
CARDS = (*built_in_cards(), ODD_CARD)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_processor(list(TRAINED_ON)).tokenizer


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer, len(tokenizer) + 7, {tokenizer.eos_token_id})


def grammar(vocabulary: Vocabulary, cards: Sequence[ToolCard] = CARDS, steps: Sequence[Step] = ()) -> PlanGrammar:
    return PlanGrammar(cards, steps, vocabulary.refusal)


def written(tokenizer: Any, constraint: PlanConstraint, limit: int, scores: Callable[[int], torch.Tensor]) -> str:
    """The reply of a model that gives those scores for its n-th token."""
    ids: list[int] = []
    while (token := constraint.choose(scores(len(ids)))) != tokenizer.eos_token_id:
        ids.append(token)
        assert len(ids) < limit
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def noise(tokenizer: Any, size: int, seed: int) -> Callable[[int], torch.Tensor]:
    """Random scores; the signs of JSON are likelier, and the end of a part comes sooner or later."""
    generator = torch.Generator().manual_seed(seed)
    likelier = torch.zeros(size)
    likelier[[tokenizer.convert_tokens_to_ids(sign) for sign in '[{"}],:$.0']] = 2.0 + seed % 4
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"][0]

    def scores(place: int) -> torch.Tensor:
        likelier[line_break] = likelier[tokenizer.eos_token_id] = place / 12
        return 2 * torch.randn(size, generator=generator) + likelier

    return scores


def wish(tokenizer: Any, size: int, text: str) -> Callable[[int], torch.Tensor]:
    """The scores of a model that is sure of a text, and then of its end."""
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return lambda place: one_hot(ids[min(place, len(ids) - 1)], size)


def one_hot(token: int, size: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(token), size).float()


def sentencepiece_like() -> Any:
    """Pieces with a sign in place of the space, and a token for each byte, as the tokenizer of LLaMA has them."""
    control, unbroken = ["<unk>", "<s>", "</s>"], [f"<0x{byte:02X}>" for byte in range(256)]
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token=control[0]))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=control + unbroken, show_progress=False)
    backend.train_from_iterator([*TRAINED_ON, string.printable], trainer)
    settings = json.loads(backend.to_str())
    settings["added_tokens"] = settings["added_tokens"][: len(control)]
    backend = Tokenizer.from_str(json.dumps(settings))
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(parts)
    names = dict(zip(("unk_token", "bos_token", "eos_token"), control, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def found_boxes() -> Step:
    plan = Plan(thoughts="", actions=(Action(API_name="grounding"),), value="")
    data: JsonObject = {"boxes": BOXES, "scores": [0.9], "phrases": []}
    result = ToolResult(call_id="c1", tool="grounding", data=data, provenance=provenance("grounding"))
    return Step(plan=plan, outcomes=(result,))


def carried_out(plan: Plan, before: dict[int, JsonObject]) -> set[int]:
    """Check the actions as the controller does, with results of every tool. Gives the actions that were referred to."""
    results = dict(before)
    used: set[int] = set()
    for number, action in enumerate(plan.actions, len(before) + 1):
        card = next(card for card in CARDS if card.answers_to(action.API_name))
        wanted = references_of(action.API_params)
        assert all(one < number for one in wanted)
        parameters = {name: resolve(value, results) for name, value in action.API_params.items()}
        CardValidator(card).check_parameters(parameters)
        words: JsonValue = ["a", "b"]
        results[number] = {name: BOXES if name == "boxes" else words for name in card.result["properties"]}
        used |= wanted
    return used


@pytest.mark.parametrize("limit", [120, 700])
def test_random_scores_write_only_plans_that_can_be_carried_out(
    tokenizer: Any, vocabulary: Vocabulary, limit: int
) -> None:
    steps = (found_boxes(),)
    size = len(tokenizer) + 7
    called: Counter[str] = Counter()
    referred: set[int] = set()
    for seed in range(SEEDS):
        constraint = PlanConstraint(grammar(vocabulary, steps=steps), vocabulary, limit)
        text = written(tokenizer, constraint, limit, noise(tokenizer, size, seed))
        plan = parse_plan(text)
        referred |= carried_out(plan, {1: {"boxes": BOXES, "scores": [0.9], "phrases": []}})
        assert plan.actions or plan.value
        called.update(action.API_name for action in plan.actions)
    if limit == 700:
        assert {card.name for name in called for card in CARDS if card.answers_to(name)} == {
            card.name for card in CARDS
        }
        assert 1 in referred
        assert max(referred) > 1


def test_a_tokenizer_of_pieces_and_bytes_as_llama_has_it_is_kept_to_the_grammar_too() -> None:
    tokenizer = sentencepiece_like()
    vocabulary = Vocabulary(tokenizer, len(tokenizer), {tokenizer.eos_token_id})
    plan = Plan(
        thoughts="Ünlike 🩻 others.",
        actions=(Action(API_name="grounding dino", API_params={"prompts": ["left kidney"], "threshold": 0.25}),),
        value="Let me look.",
    )
    prompt = "ASSISTANT:"
    before = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    ids = tokenizer(f"{prompt} {render_reply(plan)}", add_special_tokens=False)["input_ids"][before:]
    wanted = [*ids, tokenizer.eos_token_id]
    constraint = PlanConstraint(grammar(vocabulary), vocabulary, 1_000)
    assert [constraint.choose(one_hot(token, len(tokenizer))) for token in wanted] == wanted
    for seed in range(20):
        constraint = PlanConstraint(grammar(vocabulary), vocabulary, 300)
        text = written(tokenizer, constraint, 300, noise(tokenizer, len(tokenizer), seed))
        carried_out(parse_plan(text), {})


@pytest.mark.parametrize(
    "plan",
    [
        Plan(thoughts="", value="No tool is needed: 5 µm, “ä” 🩺.\nSecond line."),
        Plan(
            thoughts='I will look for "it" first.',
            actions=(
                Action(
                    API_name="grounding dino", API_params={"prompts": ["left kidney", 'a "b" \\ c'], "threshold": 0.25}
                ),
                Action(API_name="MedSAM", API_params={"boxes": "$1.boxes"}),
                Action(API_name="segmentation", API_params={"boxes": [[0.1, 0, 1, 0.75]], "slice": 12}),
                Action(API_name="ChatCAD-G", API_params={}),
            ),
            value="Let me look.",
        ),
    ],
    ids=["answer", "actions"],
)
def test_a_right_plan_is_written_as_the_model_wants_it(tokenizer: Any, vocabulary: Vocabulary, plan: Plan) -> None:
    text = render_reply(plan)
    constraint = PlanConstraint(grammar(vocabulary), vocabulary, 1_500)
    assert written(tokenizer, constraint, 1_500, wish(tokenizer, len(tokenizer) + 7, f" {text}")) == f" {text}"


@pytest.mark.parametrize(
    "actions",
    [
        '[{"API_name": "surgery", "API_params": {}}]',
        '[{"API_name": "grounding", "API_params": {"prompts": [], "threshold": 1.5}}]',
        '[{"API_name": "MedSAM", "API_params": {"boxes": "$1.boxes"}}]',
        '[{"API_name": "ChatCAD-R", "API_params": {"query": "$1.impression", "top_k": 0.5}}]',
        '[{"API_name": "MedSAM", "API_params": {}}, 1]',
    ],
)
def test_a_wrong_call_cannot_be_written(tokenizer: Any, vocabulary: Vocabulary, actions: str) -> None:
    text = render_reply(Plan(thoughts="Now.", value="Done.")).replace("[]", actions)
    constraint = PlanConstraint(grammar(vocabulary), vocabulary, 500)
    plan = parse_plan(written(tokenizer, constraint, 500, wish(tokenizer, len(tokenizer) + 7, text)))
    carried_out(plan, {})
    assert all(any(card.answers_to(action.API_name) for card in CARDS) for action in plan.actions)


def test_without_tools_there_is_only_an_answer(tokenizer: Any, vocabulary: Vocabulary) -> None:
    for seed in range(10):
        constraint = PlanConstraint(grammar(vocabulary, ()), vocabulary, 200)
        plan = parse_plan(written(tokenizer, constraint, 200, noise(tokenizer, len(tokenizer) + 7, seed)))
        assert not plan.actions
        assert plan.value


def test_no_more_actions_than_a_plan_may_have(tokenizer: Any, vocabulary: Vocabulary) -> None:
    report = Action(API_name="ChatCAD-G", API_params={})
    text = render_reply(Plan(thoughts="", actions=(report,) * MAX_ACTIONS, value="Done."))
    longer = text.replace("}}]", "}}, {")
    constraint = PlanConstraint(grammar(vocabulary), vocabulary, 2_000)
    plan = parse_plan(written(tokenizer, constraint, 2_000, wish(tokenizer, len(tokenizer) + 7, longer)))
    assert plan.actions == (report,) * MAX_ACTIONS


def test_an_endless_text_is_cut_off_and_says_so(tokenizer: Any, vocabulary: Vocabulary) -> None:
    constraint = PlanConstraint(grammar(vocabulary), vocabulary, 150)
    size = len(tokenizer) + 7
    endless = one_hot(tokenizer.convert_tokens_to_ids("a"), size)
    plan = parse_plan(written(tokenizer, constraint, 150, lambda _: endless))
    assert plan.thoughts.endswith("aaa…")
    assert plan.value.endswith(f"aaa{CUT_VALUE}")


def test_a_limit_without_room_for_a_plan_is_an_error(tokenizer: Any, vocabulary: Vocabulary) -> None:
    constraint = PlanConstraint(grammar(vocabulary), vocabulary, 12)
    with pytest.raises(MalformedPlanError, match="within 12 tokens"):
        written(tokenizer, constraint, 12, noise(tokenizer, len(tokenizer) + 7, 0))


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {"names": {"type": "array", "uniqueItems": True}}},
        {"type": "object", "properties": {"names": {}}, "patternProperties": {"^x": {}}},
        {"type": "object", "properties": {"names": {"not": {"type": "string"}}}},
    ],
)
def test_a_tool_whose_parameters_cannot_be_expressed_is_left_out(
    tokenizer: Any, vocabulary: Vocabulary, parameters: JsonSchema
) -> None:
    made = grammar(vocabulary, (ODD_CARD.model_copy(update={"parameters": parameters}),))
    assert made.left_out.keys() == {"odd"}
    action = Action(API_name="odd", API_params={"names": ["a"]})
    text = render_reply(Plan(thoughts="", actions=(action,), value="Done."))
    constraint = PlanConstraint(made, vocabulary, 200)
    assert not parse_plan(written(tokenizer, constraint, 200, wish(tokenizer, len(tokenizer) + 7, text))).actions
