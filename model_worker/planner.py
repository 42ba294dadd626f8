"""The contract between a planner backend and the process that serves it.

Backends are found by the entry-point group `mmedagent.planners` and made with one keyword argument, `checkpoint`. What
only some can do (`Remote`, `Completing`) they offer by having the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from mmedagent.protocol.completion import CompletionDone, CompletionRequest, ReasoningDelta, TextDelta
from mmedagent.protocol.plan import ActionsReady, PlannerRequest, StepDone, ThoughtsDelta, ValueDelta
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.tool import PixelArray

StepEvent = ThoughtsDelta | ActionsReady | ValueDelta | StepDone
CompletedEvent = TextDelta | ReasoningDelta | CompletionDone


class Planner(Protocol):
    """Turns a conversation, an image and the outcomes so far into the next plan, or the answer."""

    @property
    def card(self) -> PlannerCard:
        """Who this is; after `load` it carries the sha256 of the checkpoint."""

    def load(self, device: str) -> None:
        """Load the checkpoint and plan once as a self-test. Raises `CheckpointError`."""

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        """Stream one step: thoughts, then the actions, then the value, then `StepDone`, which is always last.

        `frame` is the display frame of `request.image`; `request.adapter` is None or on the card.
        Call `raise_if_cancelled` between tokens. Raises `MalformedPlanError` when the model's text is no plan.
        """


@runtime_checkable
class Remote(Protocol):
    """A planner whose model runs behind an endpoint."""

    def connect(self, endpoint: Endpoint) -> None:
        """Which endpoint `load`, which comes next, shall use."""


@runtime_checkable
class Completing(Protocol):
    """A planner whose model also writes free text, for tools that ask for it."""

    def complete(
        self, request: CompletionRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[CompletedEvent]:
        """Stream a text, then `CompletionDone`, which is always last. The arguments are as those of `step`."""


class PlannerFactory(Protocol):
    """What an entry point of the group `mmedagent.planners` loads: usually the backend's class."""

    def __call__(self, *, checkpoint: Path | None) -> Planner:
        """Make the backend without loading anything."""
