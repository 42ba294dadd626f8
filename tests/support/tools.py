"""Small real tools: one that echoes boxes, one that finds nothing, one that fails, one that waits, and so on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import CancelledError, CheckpointError, DeadlineError, MMedAgentError, WorkerError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.serving.tool import Batching, CallContext, PixelArray, ToolContext, ToolOutput

PATIENCE_S = 10.0
"""How long a test waits for what must happen; reaching it is a failure."""

POLL_S = 0.01
BOX = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 4, "maxItems": 4}
BOXES = {"type": "array", "items": BOX, "maxItems": 16}
FILE_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
ONE_BOX: list[Any] = [[0.1, 0.2, 0.5, 0.75]]


def make_card(
    name: str,
    parameters: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
    required: Sequence[str] = (),
    **fields: Any,
) -> ToolCard:
    """A card whose parameters and result are the given properties, and nothing else."""
    schema = {"type": "object", "properties": parameters or {}, "required": list(required)}
    return ToolCard(
        name=name,
        title=name.capitalize(),
        description=f"The {name} tool of the tests.",
        parameters={**schema, "additionalProperties": False},
        result={"type": "object", "properties": result or {"boxes": BOXES}, "additionalProperties": False},
        needs_image=fields.pop("needs_image", False),
        typical_seconds=0.1,
        version="1.0.0",
        **fields,
    )


class EchoTool:
    """Gives back the boxes and the text it was called with. Keeps the calls it got in `calls`."""

    def __init__(self, name: str = "echo", boxes: list[Any] | None = None, **fields: Any) -> None:
        properties = {"boxes": BOXES, "text": {"type": "string", "maxLength": 1_000}, "image": FILE_ID}
        result = {"boxes": BOXES, "text": {"type": "string"}}
        self.card = make_card(name, properties, result, **fields)
        self.calls: list[ToolCall] = []
        self.loaded_on = ""
        self._boxes = boxes

    def load(self, device: str) -> None:
        self.loaded_on = device

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        self.calls.extend(calls)
        return [self._one(call) for call in calls]

    def _one(self, call: ToolCall) -> ToolOutput:
        boxes = self._boxes if self._boxes is not None else call.parameters.get("boxes", ONE_BOX)
        return ToolOutput({"boxes": boxes, "text": str(call.parameters.get("text", ""))})


class NothingTool(EchoTool):
    """Finds nothing, which is a result."""

    def __init__(self) -> None:
        super().__init__("nothing", boxes=[])


class MaskTool(EchoTool):
    """Reads the frame and stores a mask of it."""

    def __init__(self, name: str = "mask") -> None:
        super().__init__(name, needs_image=True, aliases=(f"outline by {name}",))

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        outputs: list[ToolOutput | MMedAgentError] = []
        for call in calls:
            assert call.image is not None
            frame = context.frame(call.image)
            assert frame.shape[:2] == (call.image.height, call.image.width)
            mask = context.store(b"mask of " + call.image.sha256.encode(), "mask", "image/png", "all of it")
            outputs.append(ToolOutput({"boxes": ONE_BOX, "text": f"{frame.shape}"}, (mask,), "none at all"))
        return outputs


class BrokenTool:
    """Fails in the way that the parameter `how` names."""

    def __init__(self, name: str = "broken", **fields: Any) -> None:
        ways = {"enum": ["error", "raise", "crash", "lie", "none", "deadline"]}
        self.card = make_card(name, {"how": ways}, **fields)
        self.calls: list[ToolCall] = []

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        self.calls.extend(calls)
        match calls[0].parameters.get("how", "error"):
            case "raise":
                raise WorkerError("The scanner is on fire.")
            case "crash":
                raise ValueError("secret-of-the-tool")
            case "lie":
                return [ToolOutput({"boxes": "everywhere"})]
            case "none":
                return []
            case "deadline":
                return [DeadlineError("It took too long.")]
            case _:
                return [WorkerError("The scanner is on fire.")]


class CallingTool:
    """Has the tool that `tool` names answer `parameters`, about the same image, and gives what that found."""

    def __init__(self, name: str = "calling") -> None:
        fields = {"tool": {"type": "string"}, "parameters": {"type": "object"}}
        self.card = make_card(name, fields, {"found": {"type": "object"}}, required=["tool"])

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput:
        if call.image:
            context.frame(call.image)
        parameters: Any = call.parameters.get("parameters", {})
        result = context.of(call).call(str(call.parameters["tool"]), parameters, call.image)
        return ToolOutput({"found": result.data})


class UnloadableTool(EchoTool):
    """Its checkpoint is broken, in a way that is foreseen or in one that is not."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("unloadable")
        self._error = error or CheckpointError("The checkpoint is altered.")

    def load(self, device: str) -> None:
        raise self._error


class SlowTool:
    """Works until `release` is set, and stops when it is cancelled, unless it is `deaf`."""

    def __init__(self, name: str = "slow", deaf: bool = False, **fields: Any) -> None:
        self.card = make_card(name, {"text": {"type": "string"}}, **fields)
        self.started = threading.Semaphore(0)
        self.release = threading.Event()
        self.ended: list[str] = []
        self.was_cancelled = threading.Event()
        self._deaf = deaf

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        self.started.release()
        try:
            while not self.release.wait(POLL_S):
                if not self._deaf:
                    context.raise_if_cancelled()
        except (CancelledError, DeadlineError) as error:
            self.ended.append(error.code)
            self.was_cancelled.set()
            raise
        self.ended.append("released")
        return [ToolOutput({"boxes": ONE_BOX})]


class StagesTool(EchoTool):
    """Tells how far it is, goes on when it is released, and tells so more often than anybody wants to know."""

    def __init__(self) -> None:
        super().__init__("stages")
        self.told = threading.Event()
        self.release = threading.Event()

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        for call in calls:
            mine = context.of(call)
            mine.progress(0.25, "Looking")
            self.told.set()
            assert self.release.wait(PATIENCE_S)
            for number in range(1_000):
                mine.progress(0.5 + number / 2_000, f"Step {number}")
        return super().run(calls, context)


class PreparingTool(EchoTool):
    """Prepares an image, which it keeps, as soon as it is there; says whether that was done when it was asked."""

    def __init__(self) -> None:
        super().__init__("preparing", needs_image=True)
        self.made = 0
        self.preparing = threading.Event()
        self.may_prepare = threading.Event()
        self.may_prepare.set()

    def prefetch(self, image: ImageRef, context: ToolContext) -> None:
        self.preparing.set()
        assert self.may_prepare.wait(PATIENCE_S)
        self._prepared(image, context)

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        before = self.made
        for call in calls:
            assert call.image is not None
            self._prepared(call.image, context)
        text = "prepared" if self.made == before else "not prepared"
        return [ToolOutput({"boxes": ONE_BOX, "text": text}) for _ in calls]

    def _prepared(self, image: ImageRef, context: ToolContext) -> PixelArray:
        def make() -> PixelArray:
            frame = context.frame(image) // 2
            self.made += 1
            return frame

        return context.cached((image.sha256,), make)


class GatherTool:
    """Answers batches, the first only when it is released, and keeps the texts of each. What a text says is done:

    `fail` is an error in place of a result, `crash` an error of the whole run, and `linger` waits until the caller has
    left, which ends the run, or until the tool is released a second time.
    """

    def __init__(self, batching: Batching | None = None) -> None:
        self.card = make_card("gather", {"text": {"type": "string"}}, {"text": {"type": "string"}})
        self.batching = batching or Batching()
        self.runs: list[list[str]] = []
        self.lingering = threading.Event()
        self.release = threading.Event()
        self.release_again = threading.Event()

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        texts = [str(call.parameters.get("text")) for call in calls]
        self.runs.append(texts)
        assert self.release.wait(PATIENCE_S)
        if "crash" in texts:
            raise ValueError("secret-of-the-tool")
        for call in calls:
            if call.parameters.get("text") == "linger":
                self._linger(context.of(call))
        return [WorkerError("It failed.") if text == "fail" else ToolOutput({"text": text}) for text in texts]

    def _linger(self, context: CallContext) -> None:
        self.lingering.set()
        while not self.release_again.wait(POLL_S):
            context.raise_if_cancelled()


class MeetingTool:
    """Ends only when `parties` calls run at the same time."""

    def __init__(self, parties: int = 2) -> None:
        self.card = make_card("meeting", {"text": {"type": "string"}})
        self._barrier = threading.Barrier(parties)

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        try:
            self._barrier.wait(PATIENCE_S)
        except threading.BrokenBarrierError:
            return [WorkerError("Nobody came.")]
        return [ToolOutput({"boxes": ONE_BOX})]


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds. Fails the test when it does not in time."""
    tick = threading.Event()
    for _ in range(int(patience_s / POLL_S)):
        if condition():
            return
        tick.wait(POLL_S)
    raise AssertionError(f"It did not happen in {patience_s} s: {what}")
