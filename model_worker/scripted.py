"""A deterministic planner for tests, benchmarks and demonstrations of the loop. It follows a script and is no model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from mmedagent.model_worker.planner import CompletedEvent, StepEvent
from mmedagent.protocol.completion import CompletionDone, CompletionRequest, TextDelta
from mmedagent.protocol.errors import CheckpointError, MalformedPlanError, WorkerError
from mmedagent.protocol.invocation import Outcome, ToolFailure, ToolResult
from mmedagent.protocol.plan import ActionsReady, Plan, PlannerRequest, StepDone, ThoughtsDelta, ValueDelta
from mmedagent.protocol.types import ShortText, Text, WireType
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray

SCRIPT = "script.json"
MAX_SCRIPT_BYTES = 1 << 20
_PLACEHOLDER = re.compile(r"\{(\d{1,3})\}")
_WORD = re.compile(r"\S+\s*|\s+")


class ScriptRule(WireType):
    """What to do when the user's message contains a text, whatever its case; the empty text is in every message.

    The k-th step of a turn gives `plans[k]`. In the value of a plan without actions, `{1}` stands for the JSON of the
    data of the turn's first action, `{2}` for the second's, and so on; for an action without a result it says why.
    A rule with a `completion` is for free texts instead: it is the text when one of the messages contains the text.
    """

    contains: ShortText = ""
    plans: tuple[Plan, ...] = Field(default=(), max_length=16)
    completion: Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.plans) == (self.completion is not None):
            raise ValueError("a rule has either plans or a completion")
        return self


_Script = TypeAdapter(tuple[ScriptRule, ...])


class ScriptedPlanner:
    """Plans from `script.json`, a list of rules of which the first that fits the user's message is followed."""

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._card = PlannerCard(name="scripted", backend="scripted", version="1.0.0", label="Scripted, not a model")
        self._rules: tuple[ScriptRule, ...] = ()

    @property
    def card(self) -> PlannerCard:
        """After `load` the checkpoint's sha256 is that of the script."""
        return self._card

    def load(self, device: str) -> None:
        """Read and check the script: the file that was named, or `script.json` in the folder that was named."""
        if self._checkpoint is None:
            raise CheckpointError("The scripted planner needs a script.")
        path = self._checkpoint / SCRIPT if self._checkpoint.is_dir() else self._checkpoint
        if not path.is_file() or path.stat().st_size > MAX_SCRIPT_BYTES:
            raise CheckpointError("The scripted planner's script is missing or too long.")
        content = path.read_bytes()
        try:
            self._rules = _Script.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise CheckpointError(f"The script is not valid: {place}: {first['msg']}.") from error
        self._card = self._card.model_copy(update={"checkpoint_sha256": hashlib.sha256(content).hexdigest()})

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        """Stream the scripted plan word by word. Raises `MalformedPlanError` when the script has none for the step."""
        plan = self._plan(request)
        for piece in _WORD.findall(plan.thoughts):
            raise_if_cancelled()
            yield ThoughtsDelta(text=piece)
        raise_if_cancelled()
        yield ActionsReady(actions=plan.actions)
        for piece in _WORD.findall(plan.value):
            raise_if_cancelled()
            yield ValueDelta(text=piece)
        yield StepDone(planner=self._card.name, checkpoint_sha256=self._card.checkpoint_sha256)

    def complete(
        self, request: CompletionRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[CompletedEvent]:
        """Stream the scripted text word by word. Raises `WorkerError` when the script has none for the messages."""
        said = "\n".join(message.text for message in request.messages).casefold()
        fitting = (rule.completion for rule in self._rules if rule.contains.casefold() in said)
        text = next((text for text in fitting if text is not None), None)
        if text is None:
            raise WorkerError("The script has no text for these messages.")
        for piece in _WORD.findall(text):
            raise_if_cancelled()
            yield TextDelta(text=piece)
        yield CompletionDone(model=self._card.name, checkpoint_sha256=self._card.checkpoint_sha256)

    def _plan(self, request: PlannerRequest) -> Plan:
        message = request.messages[-1].text.casefold()
        rule = next((rule for rule in self._rules if rule.plans and rule.contains.casefold() in message), None)
        number = len(request.steps)
        if rule is None or number >= len(rule.plans):
            raise MalformedPlanError(f"The script has no plan for step {number + 1} of this message.")
        plan = rule.plans[number]
        return plan if plan.actions else _filled_in(plan, request)


def _filled_in(plan: Plan, request: PlannerRequest) -> Plan:
    outcomes = [outcome for step in request.steps for outcome in step.outcomes]

    def text_of(match: re.Match[str]) -> str:
        number = int(match[1])
        if not 1 <= number <= len(outcomes):
            raise MalformedPlanError(f"The script refers to action {number}, which this turn did not have.")
        return _told(outcomes[number - 1])

    try:
        return Plan(thoughts=plan.thoughts, value=_PLACEHOLDER.sub(text_of, plan.value))
    except ValidationError as error:
        raise MalformedPlanError("The scripted answer with its results is too long.") from error


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, ToolResult):
        return json.dumps(outcome.data, ensure_ascii=False)
    if isinstance(outcome, ToolFailure):
        return f"no result, because {outcome.tool} failed: {outcome.message}"
    return f"no result, because {outcome.tool} was not run: {outcome.reason}"
