"""The networks of the report tool, loaded from a checkpoint folder (`networks.report_file`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from mmedagent.networks import report_densenet
from mmedagent.networks.checkpoints import load_state, load_strict, sha256_file
from mmedagent.networks.report_classifier import ChestClassifier, ClassifierConfig, normalised, prepare
from mmedagent.networks.report_densenet import ChatCadClassifier
from mmedagent.networks.report_file import CONFIG_FILE, ClassifierFile, GeneratorFile, ReportFile, read_report_file
from mmedagent.networks.report_generator import Draft, GeneratorConfig, Writer, build_generator
from mmedagent.protocol.errors import CheckpointError


@dataclass(frozen=True)
class Reading:
    """Probabilities in [0, 1] of each finding, and of the image being a frontal chest radiograph at all; None when no
    network was asked."""

    findings: dict[str, float]
    frontal: float | None


class Reader(Protocol):
    """A classifier with its preparation of images."""

    @property
    def network(self) -> nn.Module:
        """The classifier itself."""

    @property
    def preparation(self) -> str:
        """How frames are prepared, in words."""

    def read(self, frames: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Readings of frames (H, W) or (H, W, 3) of any size, at least one."""


class CompactReader:
    """Reads with a classifier of this project."""

    def __init__(self, network: ChestClassifier, file: ClassifierFile) -> None:
        self.network, self._file = network.eval(), file
        self.preparation = f"grey, fitted into {file.size} x {file.size} on black, (value / 255 - 0.5) / 0.25"

    def read(self, frames: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        seen = self.network(batch_of(frames, self._file.size, self.network))
        logits = torch.cat([seen.findings, seen.frontal[:, None]], dim=1).float().cpu()
        chances = (logits / torch.tensor(self._file.temperatures)).sigmoid().tolist()
        names = self._file.findings
        return [Reading(findings=dict(zip(names, row, strict=False)), frontal=row[len(names)]) for row in chances]


class ChatCadReader:
    """Reads with the classifier of ChatCAD, and asks another one whether the image is a chest radiograph at all."""

    preparation = "grey, histogram equalised, 3 x 3 Gaussian, longer side 512, (value - 128) / 64"

    def __init__(self, network: ChatCadClassifier, gate: CompactReader | None) -> None:
        self.network, self._gate = network.eval(), gate

    def read(self, frames: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        device = next(self.network.parameters()).device
        images = torch.from_numpy(np.stack([report_densenet.prepare(frame) for frame in frames])).to(device)
        chances = self.network(images).float().sigmoid().cpu().tolist()
        names = [name.casefold() for name in report_densenet.FINDINGS]
        gates = [reading.frontal for reading in self._gate.read(frames)] if self._gate else [None] * len(frames)
        return [
            Reading(findings=dict(zip(names, row, strict=True)), frontal=gate)
            for row, gate in zip(chances, gates, strict=True)
        ]


def batch_of(frames: Sequence[NDArray[np.uint8]], size: int, network: nn.Module) -> Tensor:
    """Frames as prepared and normalised images (n, 1, size, size) on the network's device."""
    prepared = torch.from_numpy(np.stack([prepare(frame, size) for frame in frames]))
    device = next(network.parameters()).device
    return normalised(prepared[:, None].to(device).float() / 255)


class ReportNetworks:
    """The networks of the report tool, loaded.

    Attributes:
        checkpoint_sha256: of `config.json`, which pins the other files.
        preprocessing: how frames are prepared, in words.
    """

    def __init__(self, reader: Reader, writer: Writer, file: GeneratorFile, sha256: str) -> None:
        self._reader, self._writer, self._file = reader, writer, file
        self.checkpoint_sha256 = sha256
        self.preprocessing = reader.preparation

    @property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Classifier and generator."""
        return self._reader.network, self._writer.model

    @torch.inference_mode()
    def read(self, frames: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Readings of frames (H, W) or (H, W, 3) of any size."""
        return self._reader.read(frames) if frames else []

    def write(self, frames: Sequence[NDArray[np.uint8]]) -> list[Draft]:
        """The generator's drafts for frames (H, W) or (H, W, 3)."""
        return self._writer.write(batch_of(frames, self._file.size, self._writer.model)) if frames else []


def load_report_networks(folder: Path, device: str = "cpu") -> ReportNetworks:
    """Load a checkpoint folder.

    Raises:
        CheckpointError: a file is missing, altered or damaged, or does not fit the architecture of the config.
    """
    config = read_report_file(folder)
    file = config.generator
    shape = GeneratorConfig(file.size, file.channels, file.architecture, file.max_tokens, file.beams)
    model = build_generator(shape)
    load_strict(model, load_state(folder / file.weights, file.sha256))
    tokenizer = _read_tokenizer(folder / file.tokenizer, file.tokenizer_sha256)
    reader = _load_reader(folder, config, device)
    writer = Writer(model.to(device), tokenizer, shape)
    return ReportNetworks(reader, writer, file, sha256_file(folder / CONFIG_FILE))


def _load_reader(folder: Path, config: ReportFile, device: str) -> Reader:
    file = config.classifier
    if isinstance(file, ClassifierFile):
        return _load_compact(folder, file, device)
    gate = _load_compact(folder, config.gate, device) if config.gate else None
    network = report_densenet.load_chatcad_classifier(folder / file.weights, file.sha256)
    return ChatCadReader(network.to(device), gate)


def _load_compact(folder: Path, file: ClassifierFile, device: str) -> CompactReader:
    if len(file.temperatures) != len(file.findings) + 1:
        raise CheckpointError("the classifier needs one temperature for each finding and one for the gate")
    network = ChestClassifier(ClassifierConfig(file.size, file.widths, file.findings))
    load_strict(network, load_state(folder / file.weights, file.sha256))
    return CompactReader(network.to(device), file)


def _read_tokenizer(path: Path, sha256: str) -> Tokenizer:
    if sha256_file(path) != sha256:
        raise CheckpointError(f"{path.name} is not the pinned file")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise CheckpointError(f"{path.name} is not a tokenizer") from error
