"""The words of a classifier: its label sets, the prompts that stand for each label, and its temperatures."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mmedagent.protocol.errors import CheckpointError

WORDS_FILE = "config.json"
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=300)]
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Prompts = Annotated[tuple[Prompt, ...], Field(min_length=1, max_length=64)]
Temperature = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskWords(_Words):
    """The labels of a task, each with its prompts, and the temperature that logits are divided by."""

    temperature: Temperature
    labels: dict[LabelName, Prompts] = Field(min_length=2, max_length=64)


class Gate(TaskWords):
    """Whether an image is one that the tasks are about: the first label says yes.

    `threshold` is the least probability of yes with which a task answers.
    """

    labels: dict[LabelName, Prompts] = Field(min_length=2, max_length=2)
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5


class Words(_Words):
    """Everything that turns a question into prompts.

    Attributes:
        version: of this vocabulary.
        templates: what a user's own label is put into, in place of `{}`.
        temperature: for a user's own labels.
        tasks: the label sets by name.
        gate: two labels, a medical image and anything else, by which a task abstains; None never abstains.
    """

    version: str
    templates: Prompts
    temperature: Temperature
    tasks: dict[str, TaskWords]
    gate: Gate | None = None

    def prompts_of(self, label: str) -> tuple[str, ...]:
        """The prompts of a user's own label."""
        return tuple(template.replace("{}", label) for template in self.templates)


def load_words(folder: Path) -> Words:
    """The words in a checkpoint folder; for the published BiomedCLIP folder, which has none, the packaged ones.

    Raises `CheckpointError` when the file is not a vocabulary.
    """
    own = folder / WORDS_FILE
    text = own.read_text("utf-8") if own.is_file() else _packaged()
    try:
        return Words.model_validate_json(text)
    except ValidationError as error:
        raise CheckpointError(f"{WORDS_FILE} does not hold label sets: {error.error_count()} mistakes.") from error


def _packaged() -> str:
    return resources.files("mmedagent.tool_workers.classification").joinpath("biomedclip.json").read_text("utf-8")
