"""The grounding tool: boxes for names, from the shipped checkpoint and through the tool's contract."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.torch import load_file, save_file

from mmedagent.networks.checkpoints import sha256_file
from mmedagent.networks.grounding import Caption, caption_of, load_grounding, read_out
from mmedagent.networks.minilm import load_minilm, load_tokenizer
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, NotFoundError
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.grounding import GroundingTool
from mmedagent.training.phantoms import generate
from support.desk import desk, image_call

EMBEDDED = Path(__file__).parents[2] / "models" / "grounding"
UNSEEN_SEED = 901_777


call = partial(image_call, "grounding")


@pytest.fixture(scope="module")
def tool() -> GroundingTool:
    torch.set_num_threads(1)
    made = GroundingTool(checkpoint=EMBEDDED)
    made.load("cpu")
    return made


def centre_hits(tool: GroundingTool, kind: str, name: str, images: int) -> float:
    """Share of images with the structure in which the best box's centre lies inside the structure's box."""
    rng = np.random.default_rng(UNSEEN_SEED)
    hits: list[bool] = []
    while len(hits) < images:
        phantom = generate(kind, rng, 256)
        mask = phantom.masks.get(name)
        if mask is None or mask.sum() < 400:
            continue
        (outcome,) = tool.run([call(prompts=[name], threshold=0.05)], desk(phantom.image))
        assert isinstance(outcome, ToolOutput)
        boxes = np.array(outcome.data["boxes"], np.float64).reshape(-1, 4)
        rows, columns = np.nonzero(mask)
        if not len(boxes):
            hits.append(False)
            continue
        x, y = (boxes[0, 0] + boxes[0, 2]) * 128, (boxes[0, 1] + boxes[0, 3]) * 128
        hits.append(bool(columns.min() <= x <= columns.max() and rows.min() <= y <= rows.max()))
    return float(np.mean(hits))


def test_the_shipped_network_finds_structures_and_shuffled_weights_do_not(tool: GroundingTool, tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED, tmp_path / "shuffled")
    state = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if value.ndim > 1:
            mixed = value.flatten()[torch.randperm(value.numel(), generator=generator)]
            state[name] = mixed.reshape(value.shape).contiguous()
    save_file(state, folder / "model.safetensors")
    config = (folder / "config.json").read_text("utf-8")
    old = sha256_file(EMBEDDED / "model.safetensors")
    (folder / "config.json").write_text(config.replace(old, sha256_file(folder / "model.safetensors")), "utf-8")
    shuffled = GroundingTool(checkpoint=folder)
    shuffled.load("cpu")

    pairs = (("fundus", "optic disc"), ("xray", "left lung"), ("xray", "heart"), ("mr", "brain"))
    mine, chance = (np.mean([centre_hits(one, *pair, 6) for pair in pairs]) for one in (tool, shuffled))

    assert mine >= 0.75
    assert chance <= mine - 0.3


def test_results_follow_the_card(tool: GroundingTool) -> None:
    image = generate("fundus", np.random.default_rng(UNSEEN_SEED), 192).image
    (outcome,) = tool.run([call(prompts=["optic disc", "macula"], threshold=0.1)], desk(image))
    assert isinstance(outcome, ToolOutput)
    Draft202012Validator(tool.card.result).validate(outcome.data)
    scores = np.array(outcome.data["scores"], np.float64)
    assert (np.diff(scores) <= 0).all()
    assert set(np.array(outcome.data["phrases"])) <= {"optic disc", "macula"}
    assert [artifact.kind for artifact in outcome.artifacts] == ["overlay"]


def test_nothing_found_is_a_result_without_an_overlay(tool: GroundingTool) -> None:
    (outcome,) = tool.run([call(prompts=["liver"], threshold=1.0)], desk(np.zeros((40, 60), np.uint8)))
    assert isinstance(outcome, ToolOutput)
    assert outcome.data == {"boxes": [], "scores": [], "phrases": []}
    assert outcome.artifacts == ()


def test_calls_of_a_batch_do_not_mix(tool: GroundingTool) -> None:
    first, second = (generate("ct", np.random.default_rng(seed), 192).image for seed in (1, 2))
    asked = [
        call(0, prompts=["liver"], threshold=0.1),
        call(5, prompts=["liver"]),
        call(1, prompts=["spleen", "aorta"]),
    ]
    together = tool.run(asked, desk(first, second))
    alone = [tool.run([one], desk(first, second))[0] for one in asked]
    assert [type(outcome) for outcome in together] == [ToolOutput, NotFoundError, ToolOutput]
    for one, other in zip(together, alone, strict=True):
        if isinstance(one, ToolOutput):
            assert isinstance(other, ToolOutput)
            assert one.data["phrases"] == other.data["phrases"]
            np.testing.assert_allclose(np.array(one.data["scores"]), np.array(other.data["scores"]), atol=1e-5)


def test_an_image_is_needed(tool: GroundingTool) -> None:
    (outcome,) = tool.run([call(prompts=["liver"]).model_copy(update={"image": None})], desk())
    assert isinstance(outcome, InvalidParametersError)


def test_a_folder_is_needed() -> None:
    with pytest.raises(CheckpointError, match="folder"):
        GroundingTool(checkpoint=None).load("cpu")


def test_a_full_stop_does_not_split_a_prompt() -> None:
    caption = caption_of(load_tokenizer(), ["st. elmo", "Liver"])
    assert caption.phrase.tolist().count(0) >= 2
    assert int((caption.ids == 1012).sum()) == 2


def test_names_after_a_lead_do_not_collapse() -> None:
    tokenizer, encoder = load_tokenizer(), load_minilm()

    def states(lead: str) -> list[torch.Tensor]:
        captions = [caption_of(tokenizer, [name], lead) for name in ("heart", "lung", "liver")]
        # Without [CLS] and [SEP]: the parts of a caption see only themselves.
        return [encoder(input_ids=one.ids[:, 1:-1]).last_hidden_state[0][one.phrase[1:-1] == 0][0] for one in captions]

    bare, led = states(""), states("the")
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert torch.cosine_similarity(bare[one], bare[other], dim=0) > 0.99
        assert torch.cosine_similarity(led[one], led[other], dim=0) < 0.7


def test_a_lead_is_given_once_and_answers_to_nothing() -> None:
    tokenizer = load_tokenizer()
    once, typed = (caption_of(tokenizer, [name], "the") for name in ("heart", "The heart"))
    assert once.ids.tolist() == typed.ids.tolist()
    assert once.phrase.tolist() == [-1, -1, 0, -1, -1]


def test_boxes_above_the_threshold_are_read_out_best_first_and_once() -> None:
    caption = Caption(torch.tensor([[101, 7, 1012, 8, 1012, 102]]), torch.tensor([-1, 0, -1, 1, -1, -1]))
    logits = torch.full((4, 6), -9.0)
    logits[0, 1], logits[1, 3], logits[2, 3], logits[3, 1] = 1.0, 3.0, 2.9, -2.0
    boxes = torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.6, 0.6, 0.4, 0.4], [0.61, 0.6, 0.4, 0.4], [0.5, 0.5, 0.1, 0.1]])

    found = read_out(logits, boxes, caption, ["a", "b"], 0.3)

    assert found.phrases == ("b", "a")
    np.testing.assert_allclose(found.boxes[1], [0.1, 0.1, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.9526, 0.7311], atol=1e-4)


def test_a_box_may_answer_to_several_prompts() -> None:
    caption = Caption(torch.tensor([[101, 7, 1012, 8, 1012, 102]]), torch.tensor([-1, 0, -1, 1, -1, -1]))
    logits = torch.full((1, 6), -9.0)
    logits[0, 1], logits[0, 3] = 1.0, 0.5
    found = read_out(logits, torch.tensor([[0.5, 0.5, 0.4, 0.4]]), caption, ["a", "b"], 0.3)
    assert found.phrases == ("a", "b")


def test_a_folder_with_another_file_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED, tmp_path / "changed")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="pinned"):
        load_grounding(folder)
