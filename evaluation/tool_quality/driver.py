"""Asks a tool through the Tool Protocol, in this process and without a server."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from mmedagent.evaluation.tool_quality.cases import Mask, Pixels
from mmedagent.imaging.masks import decode_mask
from mmedagent.protocol.completion import Completion
from mmedagent.protocol.errors import MMedAgentError, NotFoundError, WorkerError
from mmedagent.protocol.invocation import (
    Artifact,
    ArtifactKind,
    ArtifactType,
    ImageRef,
    Provenance,
    ToolCall,
    ToolResult,
)
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import Sized, Tool, ToolOutput, Writing

S = TypeVar("S", bound=Sized)
FindTool = Callable[[str], Tool]
"""Finds another tool, loaded, by its name. Raises `MMedAgentError` when there is none."""

_DEADLINE_S = 600.0
_ID = "evaluation"


@dataclass(frozen=True)
class Answer:
    """What a tool answered, the files it made, and how long it took."""

    data: JsonObject
    artifacts: tuple[Artifact, ...]
    seconds: float


@dataclass
class Memory:
    """`ToolContext` that keeps everything in memory, and the `CallContext` of its one call as well.

    What a tool caches is kept until `forget`, so that a first and a later call on an image can be told apart.
    """

    find: FindTool
    frames: dict[str, Pixels] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    kept: dict[tuple[str, ...], Sized] = field(default_factory=dict)

    def forget(self) -> None:
        for store in (self.frames, self.files, self.kept):
            store.clear()

    def keep_frame(self, pixels: Pixels) -> ImageRef:
        """Name a frame by the hash of its pixels."""
        name = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
        self.frames[name] = pixels
        height, width = pixels.shape[:2]
        return ImageRef(sha256=name, source_sha256=name, width=width, height=height)

    def frame(self, image: ImageRef) -> Pixels:
        if image.sha256 not in self.frames:
            raise NotFoundError("That frame is not kept any more.")
        return self.frames[image.sha256]

    def store(self, content: bytes, kind: ArtifactKind, media_type: ArtifactType, label: str) -> Artifact:
        name = hashlib.sha256(content).hexdigest()
        self.files[name] = content
        return Artifact(sha256=name, kind=kind, media_type=media_type, label=label)

    def read(self, artifact: Artifact) -> bytes:
        if artifact.sha256 not in self.files:
            raise NotFoundError("That file is not kept any more.")
        return self.files[artifact.sha256]

    def cached(self, key: tuple[str, ...], make: Callable[[], S]) -> S:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]  # type: ignore[return-value] # a key belongs to one type of value

    def of(self, call: ToolCall) -> Memory:
        return self

    def call(self, tool: str, parameters: JsonObject, image: ImageRef | None = None) -> ToolResult:
        other = self.find(tool)
        started = time.perf_counter()
        output = one_outcome(other, _call(tool, parameters, image), self)
        provenance = Provenance(
            tool=tool,
            version=other.card.version,
            checkpoint_sha256=other.card.checkpoint_sha256,
            preprocessing=output.preprocessing,
            input_sha256=(image.sha256,) if image else (),
            output_sha256=hashlib.sha256(json.dumps(output.data, sort_keys=True).encode()).hexdigest(),
            seconds=time.perf_counter() - started,
        )
        return ToolResult(call_id=_ID, tool=tool, data=output.data, artifacts=output.artifacts, provenance=provenance)

    def complete(self, messages: Sequence[ChatMessage], image: ImageRef | None, writing: Writing) -> Completion:
        raise WorkerError("There is no model to ask here.")

    def progress(self, fraction: float, text: str) -> None:
        """Nobody watches."""

    @property
    def remaining_s(self) -> float:
        return _DEADLINE_S

    def raise_if_cancelled(self) -> None:
        """Nobody leaves."""


class Driver:
    """One tool and what stands around it.

    `find` finds the tools that it may call; `frames` changes every image before the tool sees it; `on_image` hears of
    every image that is shown.
    """

    def __init__(
        self,
        tool: Tool,
        find: FindTool | None = None,
        frames: Callable[[Pixels], Pixels] | None = None,
        on_image: Callable[[], None] | None = None,
    ) -> None:
        self.tool = tool
        self._frames = frames
        self._on_image = on_image
        self._memory = Memory(find or nobody)

    def show(self, pixels: Pixels) -> ImageRef:
        """Forget what was before, and make an image known for the next calls."""
        self._memory.forget()
        if self._on_image:
            self._on_image()
        return self._memory.keep_frame(self._frames(pixels) if self._frames else pixels)

    def ask(self, parameters: JsonObject, image: ImageRef | None = None) -> Answer:
        """Raises what the tool answers with when that is an error."""
        started = time.perf_counter()
        output = one_outcome(self.tool, _call(self.tool.card.name, parameters, image), self._memory)
        return Answer(output.data, output.artifacts, time.perf_counter() - started)

    def masks(self, answer: Answer) -> list[Mask]:
        """The masks among the files of an answer, in order."""
        return [decode_mask(self._memory.read(one)) for one in answer.artifacts if one.kind == "mask"]


def nobody(name: str) -> Tool:
    """For a tool that stands alone. Raises `WorkerError`."""
    raise WorkerError(f"There is no {name} to call.")


def blank(pixels: Pixels) -> Pixels:
    """An image of the same shape that shows nothing."""
    return np.full_like(pixels, 128)


def one_outcome(tool: Tool, call: ToolCall, context: Memory) -> ToolOutput:
    """What a tool makes of one call. Raises its error, or `WorkerError` when it does not give one outcome."""
    outcomes: Sequence[ToolOutput | MMedAgentError] = tool.run([call], context)
    if len(outcomes) != 1:
        raise WorkerError(f"{call.tool} gave {len(outcomes)} outcomes for one call.")
    if isinstance(outcomes[0], MMedAgentError):
        raise outcomes[0]
    return outcomes[0]


def _call(tool: str, parameters: JsonObject, image: ImageRef | None) -> ToolCall:
    return ToolCall(
        call_id=_ID, tool=tool, parameters=parameters, image=image, deadline_s=_DEADLINE_S, correlation_id=_ID
    )
