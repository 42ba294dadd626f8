"""The agent loop: plan, carry out the actions, plan again or answer."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mmedagent.controller.actions import Actions
from mmedagent.controller.registry import Registry
from mmedagent.controller.routing import Router
from mmedagent.controller.turn import Emit, TurnInput
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import DeadlineError, MalformedPlanError
from mmedagent.protocol.events import AnswerWritten, PlanMade, ThoughtsWritten, TurnCompleted
from mmedagent.protocol.plan import (
    ActionsReady,
    Plan,
    PlannerEvent,
    PlannerRequest,
    Step,
    ThoughtsDelta,
    ValueDelta,
    assemble,
)
from mmedagent.serving.logs import correlation_id


@dataclass(frozen=True)
class Agent:
    """Runs turns with the workers that are registered."""

    registry: Registry
    router: Router
    max_steps: int
    turn_deadline_s: float
    tool_deadline_s: float

    async def run(self, turn: TurnInput, emit: Emit) -> Plan:
        """Carry a turn through and return its last plan, whose value is the answer.

        Raises `UnavailableError` without a planner, `MalformedPlanError`, `DeadlineError`, `WorkerError`.
        """
        ends_at = time.monotonic() + self.turn_deadline_s
        tools = self.available_tools(turn)
        actions = Actions(turn, self.router, tools, self.tool_deadline_s, emit)
        steps: list[Step] = []
        while True:
            if len(steps) < len(turn.plans):
                plan = turn.plans[len(steps)]
            else:
                plan = await self.plan(turn, tools if len(steps) < self.max_steps else {}, steps, ends_at, emit)
            if not plan.actions:
                emit(TurnCompleted(thoughts=plan.thoughts, answer=plan.value))
                return plan
            if len(steps) >= self.max_steps:
                raise MalformedPlanError(f"The planner wanted more than {self.max_steps} rounds of actions.")
            emit(PlanMade(step=len(steps) + 1, plan=plan))
            steps.append(Step(plan=plan, outcomes=await actions.run(plan.actions, ends_at)))

    def available_tools(self, turn: TurnInput) -> dict[str, ToolCard]:
        cards = self.registry.tools()
        return {name: card for name, card in cards.items() if turn.tools is None or name in turn.tools}

    async def plan(
        self, turn: TurnInput, tools: dict[str, ToolCard], steps: list[Step], ends_at: float, emit: Emit
    ) -> Plan:
        """One planner step, with its thoughts and its answer emitted as they come."""
        remaining_s = ends_at - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineError(f"The turn took longer than {self.turn_deadline_s:g} s.")
        request = PlannerRequest(
            messages=turn.messages,
            image=turn.image,
            tools=tuple(tools.values()),
            steps=tuple(steps),
            deadline_s=remaining_s,
            correlation_id=correlation_id.get(),
        )
        events: list[PlannerEvent] = []
        answering = False
        async for event in self.router.step(turn.planner, request):
            events.append(event)
            match event:
                case ThoughtsDelta():
                    emit(ThoughtsWritten(step=len(steps) + 1, text=event.text))
                case ActionsReady():
                    answering = not event.actions
                case ValueDelta() if answering:
                    emit(AnswerWritten(text=event.text))
                case _:
                    continue
        return assemble(events)
