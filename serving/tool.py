"""The contract between a tool and the worker that serves it.

A tool is a class with a card, a `load` and a `run`. It is found by the entry-point group `mmedagent.tools` and made
with one keyword argument, `checkpoint`: the folder that the profile names for it, or None. What only some tools can do
(`Batched`, `Placeable`, `Prefetching`) they offer by having the attribute or the method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.completion import Completion
from mmedagent.protocol.errors import InvalidRequestError, MMedAgentError
from mmedagent.protocol.invocation import Artifact, ArtifactKind, ArtifactType, ImageRef, ToolCall, ToolResult
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import JsonObject

PixelArray = NDArray[np.uint8]
"""A display frame: (height, width) gray or (height, width, 3) RGB, 0 to 255."""

Precision = Literal["fp32", "bf16", "fp16"]
CPU = "cpu"


class Sized(Protocol):
    """Something that says how many bytes of memory it takes, as arrays and tensors do."""

    @property
    def nbytes(self) -> int:
        """Bytes."""


S = TypeVar("S", bound=Sized)


@dataclass(frozen=True)
class Writing:
    """How a free text is to be written.

    `model` is a name of GET /v1/models; None for the first that writes free text. `temperature`, 0 to 2, samples, and
    with the same `seed` samples the same; None leaves it to the model. `deadline_s` is at most what the call has left.
    """

    model: str | None = None
    max_tokens: int = 512
    temperature: float | None = None
    seed: int | None = None
    deadline_s: float = math.inf


class CallContext(Protocol):
    """What a tool may do for one call. All methods may be called from the tool's thread, and from threads it starts."""

    def call(self, tool: str, parameters: JsonObject, image: ImageRef | None = None) -> ToolResult:
        """The result of another tool, asked through the controller with the time that this call has left.

        The result's provenance becomes a part of this call's. Raises what the other tool reports;
        `InvalidRequestError` for a tool that is already among the callers, or too deep a chain of them; `WorkerError`
        when the other tool cannot be reached or did not understand the call; `CancelledError`; `DeadlineError`.
        """

    def complete(self, messages: Sequence[ChatMessage], image: ImageRef | None, writing: Writing) -> Completion:
        """A free text that continues the messages, from a planner's model, asked through the controller.

        Raises what the planner reports; `WorkerError` when no model is there, or this one writes only plans;
        `InvalidRequestError` for messages over their bounds; `CancelledError`; `DeadlineError`.
        """

    def progress(self, fraction: float, text: str) -> None:
        """Tell whoever watches how much is done, 0 to 1, and what is being done, in words for people."""

    @property
    def remaining_s(self) -> float:
        """Seconds that this call has left, 0 when its time is over."""

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledError` when this call's caller has left, `DeadlineError` when its time is over."""


class Pictures(Protocol):
    """Images and files by the hash of their bytes."""

    def frame(self, image: ImageRef) -> PixelArray:
        """The decoded display frame. Raises `NotFoundError` when the blob is gone."""

    def store(self, content: bytes, kind: ArtifactKind, media_type: ArtifactType, label: str) -> Artifact:
        """Keep a file that the tool made, and get the artifact that names it."""

    def read(self, artifact: Artifact) -> bytes:
        """The bytes of an artifact, such as another tool's. Raises `NotFoundError` when the blob is gone."""


class ToolContext(Pictures, Protocol):
    """What a tool may use of its surroundings while it runs a batch, from its own thread."""

    def cached(self, key: tuple[str, ...], make: Callable[[], S]) -> S:
        """What the worker keeps for this tool under `key`, or what `make` returns, which it then keeps.

        The key names everything that the value depends on, such as image, preparation and checkpoint. The memory of
        all caches of a process is bounded; what was not used for longest goes first.
        """

    def of(self, call: ToolCall) -> CallContext:
        """What can be done for one call of the batch alone."""

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledError` or `DeadlineError` when nobody waits for any call of the batch any more.

        Call it between long steps.
        """


@dataclass(frozen=True)
class ToolOutput:
    """What a tool found: `data` follows the card's result schema, `preprocessing` says how pixels were prepared."""

    data: JsonObject
    artifacts: tuple[Artifact, ...] = ()
    preprocessing: str = "none"


class Tool(Protocol):
    """A tool worker. `run` gets a batch and gives one outcome a call, in order; it may raise for the whole batch."""

    @property
    def card(self) -> ToolCard:
        """The tool's card; after `load` it carries the sha256 of the checkpoint."""

    def load(self, device: str) -> None:
        """Load the checkpoint and run it once as a self-test. Raises `CheckpointError`."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        """Answer each call. Parameters have been checked against the card, and an image is there if it needs one."""


class ToolFactory(Protocol):
    """What an entry point of the group `mmedagent.tools` loads: usually the tool's class."""

    def __call__(self, *, checkpoint: Path | None) -> Tool:
        """Make the tool without loading anything."""


@dataclass(frozen=True)
class Batching:
    """How many calls go into one run, and how many seconds a run waits for calls that are likely to come.

    Calls that arrive while the tool is busy are gathered in any case. A run waits only for as many calls as the run
    before it had, so a caller who is alone never waits.
    """

    max_size: int = 1
    max_wait_s: float = 0.0


@runtime_checkable
class Batched(Protocol):
    """A tool whose `run` is faster for several calls at once than for one after the other."""

    @property
    def batching(self) -> Batching:
        """What suits the tool, unless the profile says something else."""


@dataclass(frozen=True)
class Placement:
    """Where a network runs and how it computes. Raises `InvalidRequestError` for what a CPU is not given to do."""

    device: str = CPU
    precision: Precision = "fp32"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.device == CPU and (self.compile or self.precision != "fp32"):
            raise InvalidRequestError(
                "Half precision and compilation need a GPU: set precision to fp32 and compile to false, or the device."
            )


@runtime_checkable
class Placeable(Protocol):
    """A tool that can compute in half precision or compile its network."""

    def place(self, placement: Placement) -> None:
        """How `load`, which comes next with the same device, shall place the network."""


@runtime_checkable
class Prefetching(Protocol):
    """A tool that can prepare an image before it is asked about it."""

    def prefetch(self, image: ImageRef, context: ToolContext) -> None:
        """Do what every call on this image begins with, and leave it in `context.cached`. Only run when idle."""
