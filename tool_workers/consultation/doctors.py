"""The contract between the panel and its doctors."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mmedagent.protocol.errors import DeadlineError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.tool import CallContext, PixelArray, ToolContext


@dataclass(frozen=True)
class Case:
    """What the panel is asked. `options` carry no letters of their own and are empty for an open question."""

    question: str
    options: tuple[str, ...] = ()
    image: ImageRef | None = None


@dataclass(frozen=True)
class Opinion:
    """What a specialist answered. `choice` is the index of the option that the answer names, if it names one."""

    specialist: str
    specialty: str
    answer: str
    rationale: str
    choice: int | None
    model: str
    checkpoint_sha256: str | None
    seconds: float
    cached: bool


@dataclass(frozen=True)
class Task:
    """What one doctor is to do. `specialty` is that of an opinion; `opinions` are what the attending has to weigh."""

    role: Literal["triage", "opinion", "attending"]
    case: Case
    specialty: str = ""
    opinions: tuple[Opinion, ...] = ()


@dataclass(frozen=True)
class Said:
    """A doctor's reply as it was written, in the form of `protocol.consultation` if all is well, and who wrote it."""

    text: str
    model: str
    reasoning: str = ""
    checkpoint_sha256: str | None = None

    @property
    def nbytes(self) -> int:
        """Of its texts, for the cache."""
        return len(self.text.encode()) + len(self.reasoning.encode())


@dataclass(frozen=True)
class Manner:
    """How a reply is to be written; `temperature` 0 to 2, None for the model's own. Equal seeds sample equally."""

    max_tokens: int = 512
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Visit:
    """What a doctor has for one task: the image, models through the controller, and `deadline_s` seconds from now."""

    context: ToolContext
    call: CallContext
    deadline_s: float
    manner: Manner
    since: float = field(default_factory=time.monotonic)

    def frame(self, image: ImageRef | None) -> PixelArray | None:
        return self.context.frame(image) if image is not None else None

    @property
    def remaining_s(self) -> float:
        return self.deadline_s - (time.monotonic() - self.since)

    def raise_if_over(self) -> None:
        """Raise `CancelledError` when nobody waits, `DeadlineError` when the time is over. Call it between steps."""
        self.call.raise_if_cancelled()
        if self.remaining_s <= 0:
            raise DeadlineError("There was no answer in time.")


class Doctor(Protocol):
    """A model that can take any role of the panel. Several threads may ask it at once."""

    @property
    def name(self) -> str:
        """Which model this is, for people."""

    @property
    def identity(self) -> str:
        """Everything about the backend that its replies depend on; once loaded."""

    def load(self, device: str) -> None:
        """Make ready. Raises `CheckpointError`. A model that runs elsewhere need not be there yet."""

    def answer(self, task: Task, visit: Visit) -> Said:
        """Raises `MMedAgentError` with a sentence for people when there is no reply."""
