"""Carrying out the actions of a plan: independent ones at once, dependent ones after what they depend on."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

from pydantic import JsonValue

from mmedagent.controller.routing import Router
from mmedagent.controller.turn import Emit, PastCall, TurnInput
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, MalformedPlanError, MMedAgentError, NotFoundError
from mmedagent.protocol.events import CallEnded, CallProgressed, CallStarted
from mmedagent.protocol.invocation import Outcome, ToolCall, ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.plan import Action
from mmedagent.protocol.references import referenced_fields, references_of, resolve
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.logs import correlation_id
from mmedagent.serving.schemas import CardValidator

UNKNOWN_TOOL = "unknown"


class SkippedActionError(Exception):
    """An action has nothing to work on."""


class Actions:
    """The actions of one turn, counted from 1 over all its plans."""

    def __init__(
        self, turn: TurnInput, router: Router, tools: dict[str, ToolCard], tool_deadline_s: float, emit: Emit
    ) -> None:
        self._turn = turn
        self._router = router
        self._tools = tools
        self._tool_deadline_s = tool_deadline_s
        self._emit = emit
        self._outcomes: dict[int, asyncio.Future[Outcome]] = {}

    async def run(self, actions: Sequence[Action], ends_at: float) -> tuple[Outcome, ...]:
        """One outcome an action, in their order. `ends_at` is the turn's end on the event loop's clock."""
        first = len(self._outcomes) + 1
        async with asyncio.TaskGroup() as group:
            for number, action in enumerate(actions, first):
                if past := self._turn.reused.get(number):
                    self._outcomes[number] = self._taken_over(number, past)
                else:
                    self._outcomes[number] = group.create_task(self._one(number, action, ends_at))
        return tuple(self._outcomes[number].result() for number in range(first, first + len(actions)))

    def _taken_over(self, number: int, past: PastCall) -> asyncio.Future[Outcome]:
        """The outcome that a call had before, told as if it ended now."""
        call_id, tool = past.outcome.call_id, past.outcome.tool
        if past.parameters is not None:
            self._emit(CallStarted(number=number, call_id=call_id, tool=tool, parameters=past.parameters, reused=True))
        self._emit(CallEnded(number=number, outcome=past.outcome, reused=True))
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        outcome.set_result(past.outcome)
        return outcome

    async def _one(self, number: int, action: Action, ends_at: float) -> Outcome:
        call_id = f"call_{uuid.uuid4().hex[:20]}"
        card = next((card for card in self._tools.values() if card.answers_to(action.API_name)), None)
        tool = card.name if card else UNKNOWN_TOOL
        outcome: Outcome
        try:
            call = await self._prepare(number, call_id, card, action)
            deadline_s = min(self._tool_deadline_s, ends_at - time.monotonic())
            outcome = await self._router.invoke(
                call.model_copy(update={"deadline_s": max(deadline_s, 0.01)}),
                idempotent=bool(card and card.idempotent),
                on_progress=lambda news: self._emit(CallProgressed(number=number, call_id=call_id, progress=news)),
            )
        except SkippedActionError as skip:
            outcome = ToolSkipped(call_id=call_id, tool=tool, reason=str(skip))
        except MMedAgentError as error:
            retryable = error.retry_after is not None
            outcome = ToolFailure(
                call_id=call_id, tool=tool, code=error.code, message=error.detail, retryable=retryable
            )
        self._emit(CallEnded(number=number, outcome=outcome))
        return outcome

    async def _prepare(self, number: int, call_id: str, card: ToolCard | None, action: Action) -> ToolCall:
        if card is None:
            raise NotFoundError("The plan names a tool that is not available here.")
        parameters = await self._resolved(number, action.API_params)
        CardValidator(card).check_parameters(parameters)
        image = self._turn.image
        if "image" in parameters:
            image = await self._turn.find_image(str(parameters["image"]))
        if card.needs_image and image is None:
            raise InvalidParametersError(f"{card.title} needs an image.")
        self._emit(CallStarted(number=number, call_id=call_id, tool=card.name, parameters=parameters))
        return ToolCall(
            call_id=call_id,
            tool=card.name,
            parameters=parameters,
            image=image,
            deadline_s=self._tool_deadline_s,
            correlation_id=correlation_id.get(),
        )

    async def _resolved(self, number: int, parameters: JsonObject) -> JsonObject:
        """The parameters with the results they refer to, waiting for those first."""
        results: dict[int, JsonObject] = {}
        for wanted in sorted(references_of(parameters)):
            if not 1 <= wanted < number:
                raise MalformedPlanError(f"Action {number} refers to action {wanted}, which does not come before it.")
            await asyncio.wait([self._outcomes[wanted]])
            outcome = self._outcomes[wanted].result()
            if not isinstance(outcome, ToolResult):
                raise SkippedActionError(f"Action {wanted}, which it depends on, gave no result.")
            results[wanted] = outcome.data
        resolved = {name: resolve(value, results) for name, value in parameters.items()}
        for wanted, field in sorted(referenced_fields(parameters)):
            if _is_empty(results[wanted][field]):
                raise SkippedActionError(f"Action {wanted}, which it depends on, found nothing.")
        return resolved


def _is_empty(value: JsonValue) -> bool:
    return value is None or value == [] or value == "" or value == {}
