"""The checkpoint folder of the report tool: two networks, their tokenizer, and a config that pins all three.

config.json             what the networks look like, the sha256 of each file, the temperatures
classifier.safetensors  findings and the gate (or a pinned torch archive, see `networks.report_densenet`)
generator.safetensors   image to text
tokenizer.json          words of the generator
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer
from torch import Tensor, nn

from mmedagent.networks.checkpoints import load_state, load_strict, save_fp16, sha256_file
from mmedagent.networks.report_classifier import ChestClassifier, ClassifierConfig, normalised, prepare
from mmedagent.networks.report_generator import Draft, GeneratorConfig, Writer, build_generator
from mmedagent.protocol.errors import CheckpointError

CONFIG_FILE = "config.json"
CLASSIFIER_FILE, GENERATOR_FILE, TOKENIZER_FILE = "classifier.safetensors", "generator.safetensors", "tokenizer.json"

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Temperature = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=60)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassifierFile(_Part):
    """The classifier: `temperatures` divide the logits of the findings and, last, of the gate."""

    weights: FileName
    sha256: Digest
    size: int = Field(ge=32, le=512)
    widths: tuple[int, int, int, int]
    findings: tuple[Name, ...] = Field(min_length=1, max_length=32)
    temperatures: tuple[Temperature, ...]


class GeneratorFile(_Part):
    """The generator with its tokenizer; `architecture` is a transformers `VisionEncoderDecoderConfig`."""

    weights: FileName
    sha256: Digest
    tokenizer: FileName
    tokenizer_sha256: Digest
    size: int = Field(ge=32, le=512)
    channels: Literal[1, 3]
    architecture: dict[str, Any]
    max_tokens: int
    beams: int


class ReportFile(_Part):
    """What `config.json` holds."""

    classifier: ClassifierFile
    generator: GeneratorFile


class Reading(_Part):
    """Probabilities in [0, 1] of each finding, and of the image being a frontal chest radiograph at all."""

    findings: dict[str, float]
    frontal: float


class ReportNetworks:
    """The networks of the report tool, loaded.

    Attributes:
        checkpoint_sha256: of `config.json`, which pins the other files.
        preprocessing: how frames are prepared, in words.
    """

    def __init__(self, classifier: ChestClassifier, writer: Writer, config: ReportFile, sha256: str) -> None:
        self._classifier, self._writer, self._config = classifier.eval(), writer, config
        self.checkpoint_sha256 = sha256
        size = config.classifier.size
        self.preprocessing = f"grey, fitted into {size} x {size} on black, (value / 255 - 0.5) / 0.25"

    @property
    def findings(self) -> tuple[str, ...]:
        return self._config.classifier.findings

    @property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Classifier and generator."""
        return self._classifier, self._writer.model

    @torch.inference_mode()
    def read(self, frames: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Readings of frames (H, W) or (H, W, 3) of any size."""
        if not frames:
            return []
        seen = self._classifier(self._batch(frames, self._config.classifier.size))
        logits = torch.cat([seen.findings, seen.frontal[:, None]], dim=1).float().cpu()
        chances = (logits / torch.tensor(self._config.classifier.temperatures)).sigmoid().tolist()
        return [
            Reading(findings=dict(zip(self.findings, row, strict=False)), frontal=row[len(self.findings)])
            for row in chances
        ]

    def write(self, frames: Sequence[NDArray[np.uint8]]) -> list[Draft]:
        """The generator's drafts for frames (H, W) or (H, W, 3)."""
        return self._writer.write(self._batch(frames, self._config.generator.size)) if frames else []

    def _batch(self, frames: Sequence[NDArray[np.uint8]], size: int) -> Tensor:
        prepared = torch.from_numpy(np.stack([prepare(frame, size) for frame in frames]))
        device = next(self._classifier.parameters()).device
        return normalised(prepared[:, None].to(device).float() / 255)


def load_report_networks(folder: Path, device: str = "cpu") -> ReportNetworks:
    """Load a checkpoint folder.

    Raises:
        CheckpointError: a file is missing, altered or damaged, or does not fit the architecture of the config.
    """
    config = _read_config(folder / CONFIG_FILE)
    seen, written = config.classifier, config.generator
    if len(seen.temperatures) != len(seen.findings) + 1:
        raise CheckpointError("the classifier needs one temperature for each finding and one for the gate")
    classifier = ChestClassifier(ClassifierConfig(seen.size, seen.widths, seen.findings))
    load_strict(classifier, load_state(folder / seen.weights, seen.sha256))
    shape = GeneratorConfig(
        written.size, written.channels, written.architecture, written.max_tokens, written.beams
    )  # fmt: skip
    model = build_generator(shape)
    load_strict(model, load_state(folder / written.weights, written.sha256))
    tokenizer = _read_tokenizer(folder / written.tokenizer, written.tokenizer_sha256)
    writer = Writer(model.to(device), tokenizer, shape)
    return ReportNetworks(classifier.to(device), writer, config, sha256_file(folder / CONFIG_FILE))


def save_report_networks(
    folder: Path, classifier: tuple[nn.Module, ClassifierConfig], temperatures: Sequence[float],
    generator: tuple[nn.Module, GeneratorConfig], tokenizer: Tokenizer,
) -> None:  # fmt: skip
    """Write a checkpoint folder in fp16; the config, which pins the others, last."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    seen, written = classifier[1], generator[1]
    document = ReportFile(
        classifier=ClassifierFile(
            weights=CLASSIFIER_FILE, sha256=save_fp16(classifier[0], folder / CLASSIFIER_FILE), size=seen.size,
            widths=seen.widths, findings=seen.findings, temperatures=tuple(round(value, 4) for value in temperatures),
        ),
        generator=GeneratorFile(
            weights=GENERATOR_FILE, sha256=save_fp16(generator[0], folder / GENERATOR_FILE), tokenizer=TOKENIZER_FILE,
            tokenizer_sha256=sha256_file(folder / TOKENIZER_FILE), size=written.size,
            channels=1 if written.channels == 1 else 3,
            architecture=written.architecture, max_tokens=written.max_tokens, beams=written.beams,
        ),
    )  # fmt: skip
    partial = folder / f"{CONFIG_FILE}.partial"
    partial.write_text(json.dumps(document.model_dump(), indent=2) + "\n", "utf-8")
    partial.replace(folder / CONFIG_FILE)


def _read_config(path: Path) -> ReportFile:
    if not path.is_file():
        raise CheckpointError(f"{path.name} does not exist in the checkpoint folder")
    try:
        return ReportFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(
            f"{path.name} does not describe report networks: {error.error_count()} mistakes"
        ) from error


def _read_tokenizer(path: Path, sha256: str) -> Tokenizer:
    if sha256_file(path) != sha256:
        raise CheckpointError(f"{path.name} is not the pinned file")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise CheckpointError(f"{path.name} is not a tokenizer") from error
