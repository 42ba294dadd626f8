"""Whether the controller lives, and whether the system can answer questions."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query

from mmedagent.controller.api.services import Services
from mmedagent.protocol.errors import UnavailableError

CHECK_S = 0.1


def health_routes(services: Services) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @router.get("/readyz")
    async def ready(wait_s: Annotated[float, Query(ge=0, le=300)] = 0.0) -> dict[str, str]:
        """A planner and every tool that this installation expects are registered; 503 until then.

        With `wait_s` the answer comes when the system is ready, or after that many seconds.
        """
        ends_at = time.monotonic() + wait_s
        while missing := _missing(services):
            if time.monotonic() >= ends_at:
                raise UnavailableError(f"Still waiting for: {', '.join(missing)}.", retry_after=1.0)
            await asyncio.sleep(CHECK_S)
        return {"status": "ready"}

    return router


def _missing(services: Services) -> list[str]:
    tools = sorted(set(services.settings.expected_tools) - services.registry.tools().keys())
    return tools if services.registry.planners() else ["planner", *tools]
