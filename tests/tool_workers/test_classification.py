"""The classification tool on phantoms of unseen seeds and on real images, and its answers to questions of any kind."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import torch
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from safetensors.torch import load_file, save_file
from transformers.models.bert.configuration_bert import BertConfig

from mmedagent.imaging.decode import decode_file
from mmedagent.networks.checkpoints import sha256_file
from mmedagent.networks.clip import CONFIG_FILE, build_network
from mmedagent.networks.minilm import minilm_folder
from mmedagent.protocol.errors import CancelledError, CheckpointError, InvalidParametersError, NotFoundError
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.classification import ClassificationTool
from mmedagent.tool_workers.classification.vectors import LabelVectors
from mmedagent.training.phantoms import KINDS, generate
from mmedagent.training.phantoms.base import Phantom
from support.desk import desk, image_call

MODELS = Path(__file__).parents[2] / "models"
EMBEDDED = MODELS / "classification"
SAMPLES = Path(skimage.__file__).parent / "data"
UNSEEN_SEED = 20_261_122
NAMES = {
    "CT": "CT",
    "MR": "MRI",
    "X-ray": "X-ray",
    "ultrasound": "ultrasound",
    "fundus": "fundus photograph",
    "histology": "histology",
    "photograph": "clinical photograph",
}
Pixels = NDArray[np.uint8]


call = partial(image_call, "classification")


def ask(tool: ClassificationTool, image: Pixels, **parameters: Any) -> JsonObject:
    (outcome,) = tool.run([call(**parameters)], desk(image))
    assert isinstance(outcome, ToolOutput), outcome
    return outcome.data


def best(data: JsonObject) -> str:
    labels = data["labels"]
    assert isinstance(labels, list)
    return str(labels[0]) if labels else "nothing"


def chances(data: JsonObject) -> NDArray[np.float64]:
    return np.array(data["probabilities"], np.float64)


def loaded(folder: Path) -> ClassificationTool:
    tool = ClassificationTool(checkpoint=folder)
    tool.load("cpu")
    return tool


@pytest.fixture(scope="module")
def tool() -> ClassificationTool:
    return loaded(EMBEDDED)


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    rng = np.random.default_rng(UNSEEN_SEED)
    return [generate(kind, rng, 192) for kind in KINDS for _ in range(14)]


def answers(tool: ClassificationTool, phantoms: list[Phantom]) -> list[tuple[str, str]]:
    """What the tool says, "nothing" where it abstains, and what is true."""
    calls = [call(number, task="modality") for number in range(len(phantoms))]
    outcomes = tool.run(calls, desk(*(phantom.image for phantom in phantoms)))
    assert all(isinstance(outcome, ToolOutput) for outcome in outcomes)
    said = [best(outcome.data) for outcome in outcomes if isinstance(outcome, ToolOutput)]
    return list(zip(said, (NAMES[phantom.modality] for phantom in phantoms), strict=True))


def accuracy(tool: ClassificationTool, phantoms: list[Phantom]) -> float:
    return float(np.mean([said == truth for said, truth in answers(tool, phantoms)]))


def test_modality_of_unseen_phantoms(tool: ClassificationTool, phantoms: list[Phantom]) -> None:
    rows = answers(tool, phantoms)
    answered = [(said, truth) for said, truth in rows if said != "nothing"]
    assert len(answered) / len(rows) >= 0.9
    assert np.mean([said == truth for said, truth in answered]) >= 0.95


def test_shuffled_weights_know_nothing(phantoms: list[Phantom], tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED, tmp_path / "shuffled")
    state = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if name.startswith("visual.") and value.ndim > 1:
            mixed = value.flatten()[torch.randperm(value.numel(), generator=generator)]
            state[name] = mixed.reshape(value.shape).contiguous()
    save_file(state, folder / "model.safetensors")
    assert accuracy(loaded(folder), phantoms) < 0.5


@pytest.mark.parametrize(
    ("file", "modality"),
    [
        ("CT_small.dcm", "CT"),
        ("examples_overlay.dcm", "MRI"),
        ("examples_rgb_color.dcm", "ultrasound"),
        ("retina.jpg", "fundus photograph"),
        ("ihc.png", "histology"),
    ],
)
def test_modality_of_real_images(tool: ClassificationTool, file: str, modality: str) -> None:
    path = get_testdata_file(file, download=False) if file.endswith(".dcm") else SAMPLES / file
    assert path is not None
    pixels = decode_file(Path(str(path))).frame.pixels
    assert best(ask(tool, pixels, task="modality")) == modality
    assert best(ask(tool, pixels)) == modality


def test_everyday_pictures_get_no_label_of_a_task(tool: ClassificationTool) -> None:
    rng = np.random.default_rng(UNSEEN_SEED)
    pictures = [generate("other", rng, 192).image for _ in range(30)]
    answers = [ask(tool, picture, task="anatomy") for picture in pictures]
    abstained = [not answer["labels"] for answer in answers]
    assert np.mean(abstained) >= 0.8
    assert all((float(np.array(one["medical_probability"])) < 0.5) == (not one["labels"]) for one in answers)
    assert best(ask(tool, pictures[0], labels=["chart", "landscape"])) != "nothing"


def test_without_a_gate_every_image_gets_labels(tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED, tmp_path / "open")
    words = json.loads((folder / "config.json").read_text("utf-8"))
    del words["gate"]
    (folder / "config.json").write_text(json.dumps(words), "utf-8")
    data = ask(loaded(folder), np.full((64, 64), 128, np.uint8))
    assert data["labels"]
    assert data["medical_probability"] is None


def test_results_follow_the_card(tool: ClassificationTool, phantoms: list[Phantom]) -> None:
    schema = Draft202012Validator(tool.card.result)
    for task in ("modality", "anatomy", "histology", "finding"):
        data = ask(tool, phantoms[0].image, task=task)
        schema.validate(data)
        assert data["task"] == task
        assert chances(data).sum() == pytest.approx(1, abs=1e-9)
        assert (np.diff(chances(data)) <= 0).all()
    assert "no finding" in np.array(data["labels"])


def test_labels_of_the_users_own(tool: ClassificationTool, phantoms: list[Phantom]) -> None:
    pairs = {"CT": "magnetic resonance imaging", "fundus": "histology slide", "ultrasound": "X-ray"}
    right = [
        best(ask(tool, phantom.image, labels=[NAMES[phantom.modality], pairs[phantom.modality]]))
        == NAMES[phantom.modality]
        for phantom in phantoms
        if phantom.modality in pairs
    ]
    assert np.mean(right) >= 0.9
    data = ask(tool, phantoms[0].image, labels=["CT", "MRI", "CT"], task="anatomy")
    assert sorted(np.array(data["labels"])) == ["CT", "MRI"]
    assert data["task"] is None


def test_one_label_twice_is_no_choice(tool: ClassificationTool, phantoms: list[Phantom]) -> None:
    (outcome,) = tool.run([call(labels=["CT", "CT"])], desk(phantoms[0].image))
    assert isinstance(outcome, InvalidParametersError)


def test_each_call_of_a_batch_has_its_own_outcome(tool: ClassificationTool, phantoms: list[Phantom]) -> None:
    first, last = phantoms[0], phantoms[-1]
    calls = [call(0), call(7), call(1), call(0, labels=["CT", "CT"]), call(0, task="anatomy")]
    outcomes = tool.run(calls, desk(first.image, last.image))
    assert [type(outcome) for outcome in outcomes] == [
        ToolOutput,
        NotFoundError,
        ToolOutput,
        InvalidParametersError,
        ToolOutput,
    ]
    for place, phantom in ((0, first), (2, last)):
        outcome = outcomes[place]
        assert isinstance(outcome, ToolOutput)
        alone = ask(tool, phantom.image)
        np.testing.assert_allclose(chances(outcome.data), chances(alone), atol=1e-5)


def test_a_caller_who_left_stops_the_work(tool: ClassificationTool, phantoms: list[Phantom]) -> None:
    with pytest.raises(CancelledError):
        tool.run([call()], desk(phantoms[0].image, gone=True))


def test_card_carries_the_checkpoint(tool: ClassificationTool) -> None:
    assert ClassificationTool(checkpoint=EMBEDDED).card.checkpoint_sha256 is None
    assert tool.card.checkpoint_sha256 == sha256_file(EMBEDDED / "model.safetensors")


def test_a_missing_or_unfit_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="folder"):
        ClassificationTool(checkpoint=None).load("cpu")
    with pytest.raises(CheckpointError, match=CONFIG_FILE):
        ClassificationTool(checkpoint=tmp_path).load("cpu")
    (tmp_path / "config.json").write_text('{"tasks": {}}')
    with pytest.raises(CheckpointError, match="label sets"):
        ClassificationTool(checkpoint=tmp_path).load("cpu")
    with pytest.raises(CheckpointError, match="not loaded"):
        ClassificationTool(checkpoint=EMBEDDED).run([call()], desk())


def test_the_published_folder_brings_no_words_and_gets_the_packaged_ones(tmp_path: Path) -> None:
    """BiomedCLIP's own file layout, with random weights at a small size."""
    text = {"hf_model_name": "bert", "hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler"}
    vision = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
    config = {"model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    for name in ("vocab.txt", "tokenizer.json"):
        shutil.copy(minilm_folder() / name, tmp_path)
    bert = BertConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64)
    weights = tmp_path / "open_clip_pytorch_model.bin"
    torch.save(build_network(config, bert).state_dict(), weights)
    (tmp_path / f"{weights.name}.sha256").write_text(f"{sha256_file(weights)}  {weights.name}\n")

    data = ask(loaded(tmp_path), np.zeros((32, 48), np.uint8))
    assert {"CT", "MRI", "endoscopy"} <= set(np.array(data["labels"]))


def test_label_vectors_are_kept_up_to_their_limit() -> None:
    asked: list[str] = []

    def encode(texts: Any) -> NDArray[np.float32]:
        asked.extend(texts)
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    vectors = LabelVectors(encode, limit=2)
    first = vectors.of([("a",), ("bb", "cc")])
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors.of([("bb", "cc"), ("a",)]), first[::-1])
    assert asked == ["a", "bb", "cc"]
    assert vectors.of([("x",), ("y",), ("x",), ("z",)]).shape == (4, 2)
    assert len(vectors) == 2
