"""Who asks, so that a page can tell whether it must ask for a key."""

from typing import Annotated

from fastapi import APIRouter, Depends

from mmedagent.controller.api.services import Services
from mmedagent.controller.keys import Caller
from mmedagent.protocol.types import WireType


class Me(WireType):
    """`owner` is whose files and conversations the caller sees, `name` the name of the key."""

    owner: str
    name: str
    keys_required: bool


def me_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/me", tags=["keys"])

    @router.get("")
    async def read(caller: Annotated[Caller, Depends(services.caller)]) -> Me:
        """Whose key was sent. 401 where a key is wanted and none that is valid was sent."""
        return Me(owner=caller.owner, name=caller.name, keys_required=await services.keys.required())

    return router
