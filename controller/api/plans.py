"""Planning without acting: what the planner would do."""

import time
import uuid
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from mmedagent.controller.api.inputs import Messages, ModelName, understand
from mmedagent.controller.api.services import Services
from mmedagent.controller.turn import TurnInput
from mmedagent.protocol.plan import Plan


class PlanRequest(BaseModel):
    model: ModelName | None = None
    messages: Messages


def plan_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["plans"])

    @router.post("/plans")
    async def make_plan(body: PlanRequest, owner: Annotated[str, Depends(services.owner)]) -> Plan:
        """The first plan for these messages. Nothing is run and nothing is stored."""
        asked = await understand(services, owner, body.messages)
        turn = TurnInput(
            turn_id=uuid.uuid4().hex,
            conversation_id="none",
            messages=asked.messages,
            image=asked.image,
            planner=services.registry.planner_name(body.model),
            find_image=partial(services.files.image, owner),
        )
        ends_at = time.monotonic() + services.settings.turn_deadline_s
        tools = services.agent.available_tools(turn)
        return await services.agent.plan(turn, tools, [], ends_at, emit=lambda _: None)

    return router
