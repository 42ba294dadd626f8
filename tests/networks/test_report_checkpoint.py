"""Report checkpoints: written and read again, and refused when anything in them is not what the config pins."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from mmedagent.networks.checkpoints import sha256_file
from mmedagent.networks.report_checkpoint import load_report_networks
from mmedagent.networks.report_classifier import FINDINGS, prepare
from mmedagent.networks.report_densenet import FINDINGS as FIVE
from mmedagent.networks.report_densenet import ChatCadClassifier
from mmedagent.networks.report_merge import RuleMerger
from mmedagent.protocol.errors import CheckpointError
from support.report_checkpoint import tiny_checkpoint

Document = dict[str, Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("report"))


def frame(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def test_a_saved_checkpoint_reads_and_writes(saved: Path) -> None:
    networks = load_report_networks(saved)
    frames = [frame(80, 60), frame(50, 90, 1)]
    readings, drafts = networks.read(frames), networks.write(frames)
    assert len(drafts) == 2
    assert all(tuple(reading.findings) == FINDINGS for reading in readings)
    assert all(0 < chance < 1 for reading in readings for chance in reading.findings.values())
    assert all((reading.frontal or 0) > 0.99 for reading in readings)
    assert networks.checkpoint_sha256 == sha256_file(saved / "config.json")
    assert networks.read([]) == []
    assert networks.write([]) == []


def test_an_image_reads_the_same_alone_and_in_company(saved: Path) -> None:
    networks = load_report_networks(saved)
    frames = [frame(80, 60, seed) for seed in range(3)]
    for one, reading, draft in zip(frames, networks.read(frames), networks.write(frames), strict=True):
        assert networks.read([one])[0].findings == pytest.approx(reading.findings, abs=1e-5)
        assert networks.write([one]) == [draft]


def test_beam_search_also_writes(tmp_path: Path) -> None:
    assert len(load_report_networks(tiny_checkpoint(tmp_path, beams=3)).write([frame(64, 64)])) == 1


@pytest.mark.parametrize("gated", [True, False])
def test_the_classifier_of_chatcad_takes_the_place_of_ours(saved: Path, tmp_path: Path, gated: bool) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "chatcad"))
    torch.manual_seed(0)
    archive = folder / "JFchexpert.pth"
    torch.save(ChatCadClassifier().state_dict(), archive)
    document = json.loads((folder / "config.json").read_text())
    gate = document["classifier"] if gated else None
    document["classifier"] = {"kind": "chatcad", "weights": archive.name, "sha256": sha256_file(archive)}
    (folder / "config.json").write_text(json.dumps({**document, "gate": gate}))
    networks = load_report_networks(folder)
    reading = networks.read([frame(80, 60)])[0]
    assert list(reading.findings) == [name.lower() for name in FIVE]
    assert all(0 < chance < 1 for chance in reading.findings.values())
    assert (reading.frontal is not None) == gated
    sentences = RuleMerger().merge(networks.write([frame(80, 60)])[0], reading.findings)
    assert {sentence.finding for sentence in sentences} >= reading.findings.keys()


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (64, 64), (30, 40, 3)])
def test_any_frame_is_fitted_in_whole(shape: tuple[int, ...]) -> None:
    fitted = prepare(np.full(shape, 200, np.uint8), 64)
    assert fitted.shape == (64, 64)
    assert fitted.dtype == np.uint8
    assert set(np.unique(fitted)) <= {0, 200}
    height, width = (max(1, round(64 * side / max(shape[:2]))) for side in shape[:2])
    assert (fitted == 200).sum() == height * width


def _edit(change: Callable[[Document], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "config.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return apply


def _altered(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)

    return apply


def _without_a_key(folder: Path) -> None:
    path = folder / "classifier.safetensors"
    state = load_file(path)
    state.pop("head.bias")
    save_file(state, path)
    _edit(lambda document: document["classifier"].update(sha256=sha256_file(path)))(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "does not exist"),
        (lambda folder: (folder / "config.json").write_text("{}"), "does not describe"),
        (lambda folder: (folder / "generator.safetensors").unlink(), "does not exist"),
        (_altered("classifier.safetensors"), "not the pinned file"),
        (_altered("generator.safetensors"), "not the pinned file"),
        (_altered("tokenizer.json"), "not the pinned file"),
        (_without_a_key, "1 missing"),
        (_edit(lambda document: document["classifier"].update(widths=[4, 4, 8, 16])), "misshapen"),
        (_edit(lambda document: document["classifier"].update(temperatures=[1.0])), "temperature"),
        (_edit(lambda document: document["classifier"].update(weights="../classifier.safetensors")), "describe"),
        (
            _edit(lambda document: document["generator"]["architecture"]["encoder"].update(hidden_size=32)),
            "does not fit",
        ),
        (_edit(lambda document: document["generator"].update(architecture={})), "architecture"),
        (_edit(lambda document: document["generator"].update(max_tokens=4000)), "out of range"),
        (_edit(lambda document: document.update(extra=1)), "describe"),
    ],
)
def test_what_is_not_pinned_is_refused(
    saved: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "copy"))
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load_report_networks(folder)
