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

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer
from torch import nn

from mmedagent.networks.checkpoints import save_fp16, sha256_file
from mmedagent.networks.report_classifier import ClassifierConfig
from mmedagent.networks.report_generator import GeneratorConfig
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
    """A classifier of this project: `temperatures` divide the logits of the findings and, last, of the gate."""

    kind: Literal["compact"] = "compact"
    weights: FileName
    sha256: Digest
    size: int = Field(ge=32, le=512)
    widths: tuple[int, int, int, int]
    findings: tuple[Name, ...] = Field(min_length=1, max_length=32)
    temperatures: tuple[Temperature, ...]


class ChatCadFile(_Part):
    """The classifier of ChatCAD in its own archive (`networks.report_densenet`). It has no gate."""

    kind: Literal["chatcad"]
    weights: FileName
    sha256: Digest


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
    """What `config.json` holds. `gate` is a compact classifier that knows chest radiographs, for one that does not."""

    classifier: ClassifierFile | ChatCadFile
    generator: GeneratorFile
    gate: ClassifierFile | None = None


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


def read_report_file(folder: Path) -> ReportFile:
    """The config of a checkpoint folder. Raises `CheckpointError` when it is missing or is none."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{path.name} does not exist in the checkpoint folder")
    try:
        return ReportFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(
            f"{path.name} does not describe report networks: {error.error_count()} mistakes"
        ) from error
