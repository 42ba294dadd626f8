"""What workers use: registration with leases, calls of other tools, free text, and blobs without a shared disk. Not for
users."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy.orm import Session

from mmedagent.controller.api.services import Services
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import ArtifactRow
from mmedagent.protocol.completion import Completion, CompletionRequest
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.invocation import ToolCall, ToolResult
from mmedagent.protocol.types import Identifier, Sha256, ToolName
from mmedagent.protocol.workers import Lease, ToolOffer, WorkerHealth, WorkerRegistration
from mmedagent.serving.schemas import check_schemas
from mmedagent.serving.web import require_token
from mmedagent.serving.worker import until_disconnect

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
        return services.registry.renew(worker_id, health)

    @router.delete("/workers/{worker_id}", status_code=204)
    async def leave(worker_id: Identifier) -> None:
        services.registry.remove(worker_id)

    @router.post("/tools/{name}/invoke")
    async def invoke(name: ToolName, call: ToolCall, request: Request) -> ToolResult:
        """A call of one tool by another. What it makes belongs to whoever has the image."""
        if call.tool != name or not call.callers:
            raise InvalidRequestError("The call names another tool than the address, or nobody who calls.")
        card = services.registry.tools().get(name)
        result = await until_disconnect(request, services.router.invoke(call, bool(card and card.idempotent)))
        services.database.post(lambda session: _keep_for_owners(session, result))
        return result

    @router.post("/completions")
    async def complete(completion: CompletionRequest, request: Request) -> Completion:
        """Free text that a tool wants from a planner's model. Nothing of it is stored."""
        return await until_disconnect(request, services.router.complete(completion))

    router.include_router(_blob_routes(services))
    return router


def _blob_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/blobs")

    @router.get("/{sha256}")
    async def read_blob(sha256: Annotated[Sha256, Path()]) -> Response:
        return Response(await asyncio.to_thread(services.blobs.get, sha256), media_type=OCTETS)

    @router.put("/{sha256}", status_code=204)
    async def keep_blob(sha256: Annotated[Sha256, Path()], request: Request) -> None:
        if await asyncio.to_thread(services.blobs.put, await request.body()) != sha256:
            raise InvalidRequestError("The bytes do not have that sha256.")

    return router


def _keep_for_owners(session: Session, result: ToolResult) -> None:
    for source in result.provenance.input_sha256[:1]:
        for owner in repository.owners_of(session, source):
            repository.keep_artifacts(session, ArtifactRow.of_result(owner, result))
