"""What the small consultation network can be asked, as its training wrote it into `questions.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mmedagent.networks.checkpoints import CheckpointError

QUESTIONS = "questions.json"

Words = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\r\n]+$")]
Several = Annotated[tuple[Words, ...], Field(max_length=64)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Family(_Form):
    """Questions that are worded alike.

    Attributes:
        question: its first line.
        options: what may be answered, by the modality of the image; no question is known about any other.
        structures: what it may be asked about, by modality, on a second line; none where it is about the whole image.
    """

    question: Words
    options: Annotated[dict[Words, Several], Field(max_length=16)]
    structures: Annotated[dict[Words, Several], Field(max_length=16)]

    def worded(self, structure: str | None) -> str:
        """The question as the network was taught it."""
        return self.question if structure is None else f"{self.question}\n{structure}"


class Questions(_Form):
    """All families by name.

    Attributes:
        tower_sha256: of the image tower that the network was trained on.
        certain_from: the probability of a reply, 0 to 1, from which on it is called certain.
    """

    tower_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    certain_from: Annotated[float, Field(gt=0, lt=1)]
    families: Annotated[dict[Words, Family], Field(min_length=1, max_length=16)]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of the images that it can be asked about."""
        return tuple(dict.fromkeys(name for family in self.families.values() for name in family.options))


def read_questions(folder: Path) -> Questions:
    """Raises `CheckpointError` when the file is missing or malformed."""
    try:
        return Questions.model_validate_json((folder / QUESTIONS).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise CheckpointError(f"{QUESTIONS} of the consultation is missing or malformed") from error
