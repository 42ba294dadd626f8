"""What there is: models, tools, workers, and direct calls of a tool."""

import uuid
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from mmedagent.controller.actions import slice_of
from mmedagent.controller.api.services import Services
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import ArtifactRow
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, NotFoundError
from mmedagent.protocol.invocation import ToolCall, ToolResult
from mmedagent.protocol.types import Identifier, JsonObject, ToolName, WireType
from mmedagent.protocol.workers import WorkerInfo
from mmedagent.serving.logs import correlation_id
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.worker import until_disconnect

Row = TypeVar("Row")


class Listing(BaseModel, Generic[Row]):
    object: Literal["list"]
    data: list[Row]


class Model(WireType):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["mmedagent"] = "mmedagent"


class DirectCall(BaseModel):
    """A tool call without the planner."""

    model_config = ConfigDict(extra="forbid")

    parameters: JsonObject = Field(default_factory=dict)
    file_id: Identifier | None = None


def catalogue_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[Depends(services.owner)])

    @router.get("/models")
    async def list_models() -> Listing[Model]:
        """The planners and their adapters, in the shape of the OpenAI models API."""
        models = services.registry.models().items()
        return Listing(
            object="list", data=[Model(id=name, created=int(worker.registered_at)) for name, worker in models]
        )

    @router.get("/tools")
    async def list_tools() -> Listing[ToolCard]:
        """The cards of the tools that can be used now."""
        return Listing(object="list", data=[card for _, card in sorted(services.registry.tools().items())])

    @router.get("/workers")
    async def list_workers() -> Listing[WorkerInfo]:
        """Every registered worker with its load and health."""
        return Listing(object="list", data=[worker.info() for worker in services.registry.workers()])

    @router.post("/tools/{name}/invoke")
    async def invoke(
        name: ToolName, body: DirectCall, request: Request, owner: Annotated[str, Depends(services.owner)]
    ) -> ToolResult:
        """Run one tool, without planning. The parameter `image` of a tool that has one comes before `file_id`."""
        card = _card(services, name)
        CardValidator(card).check_parameters(body.parameters)
        image = None
        if file_id := body.parameters.get("image", body.file_id):
            image = await services.files.image(owner, str(file_id), slice_of(body.parameters))
        if card.needs_image and image is None:
            raise InvalidParametersError(f"{card.title} needs an image: give a file_id.")
        call = ToolCall(
            call_id=f"call_{uuid.uuid4().hex[:20]}",
            tool=name,
            parameters=body.parameters,
            image=image,
            deadline_s=services.settings.tool_deadline_s,
            correlation_id=correlation_id.get(),
        )
        result = await until_disconnect(request, services.router.invoke(call, card.idempotent))
        rows = ArtifactRow.of_result(owner, result)
        await services.database.write(lambda session: repository.keep_artifacts(session, rows))
        return result

    return router


def _card(services: Services, name: str) -> ToolCard:
    try:
        return services.registry.tools()[name]
    except KeyError as error:
        raise NotFoundError(f"There is no tool {name} at present.") from error
