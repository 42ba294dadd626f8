"""What workers use: registration with leases, and blobs for those without a shared disk. Not for users."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from mmedagent.controller.api.services import Services
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.types import Identifier, Sha256
from mmedagent.protocol.workers import Lease, ToolOffer, WorkerHealth, WorkerRegistration
from mmedagent.serving.schemas import check_schemas
from mmedagent.serving.web import require_token

OCTETS = "application/octet-stream"


def internal_routes(services: Services) -> APIRouter:
    only_workers = require_token(services.settings.worker_token.get_secret_value())
    router = APIRouter(prefix="/internal", dependencies=[Depends(only_workers)], include_in_schema=False)

    @router.post("/workers")
    async def register(registration: WorkerRegistration) -> Lease:
        if isinstance(registration.offer, ToolOffer):
            check_schemas(registration.offer.card)
        return services.registry.register(registration)

    @router.put("/workers/{worker_id}")
    async def renew(worker_id: Identifier, health: WorkerHealth) -> Lease:
        return services.registry.renew(worker_id)

    @router.delete("/workers/{worker_id}", status_code=204)
    async def leave(worker_id: Identifier) -> None:
        services.registry.remove(worker_id)

    @router.get("/blobs/{sha256}")
    async def read_blob(sha256: Annotated[Sha256, Path()]) -> Response:
        return Response(await asyncio.to_thread(services.blobs.get, sha256), media_type=OCTETS)

    @router.put("/blobs/{sha256}", status_code=204)
    async def keep_blob(sha256: Annotated[Sha256, Path()], request: Request) -> None:
        if await asyncio.to_thread(services.blobs.put, await request.body()) != sha256:
            raise InvalidRequestError("The bytes do not have that sha256.")

    return router
