"""Conversations as files, and the results of a response as a picture."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import StreamingResponse

from mmedagent.controller.api.services import Services
from mmedagent.controller.exports.bundle import bundle_of
from mmedagent.controller.exports.drawing import Drawing, drawings_of
from mmedagent.controller.exports.formats import export_formats
from mmedagent.controller.naming import turn_id_of
from mmedagent.controller.store import repository
from mmedagent.controller.stored_turn import StoredTurn
from mmedagent.protocol.errors import NotFoundError
from mmedagent.protocol.types import Identifier

FormatName = Annotated[str, Path(alias="format", pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def export_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["exports"])
    formats = export_formats()

    @router.get("/conversations/{conversation_id}/export/{format}", response_class=StreamingResponse)
    async def export(
        conversation_id: Identifier, name: FormatName, owner: Annotated[str, Depends(services.owner)]
    ) -> StreamingResponse:
        """The whole conversation: `json`, `zip` with the pictures, or `html` to print."""
        if name not in formats:
            raise NotFoundError(f"There is no format {name}; there is: {', '.join(sorted(formats))}.")
        bundle = await services.database.read(
            lambda session: bundle_of(session, services.blobs, owner, conversation_id)
        )
        chosen = formats[name]
        pieces = await asyncio.to_thread(chosen.write, bundle)
        headers = {"Content-Disposition": f'attachment; filename="{conversation_id}.{name}"', **HEADERS}
        return StreamingResponse(pieces, media_type=chosen.media_type, headers={**headers, **chosen.headers})

    @router.get("/responses/{response_id}/overlay.png", response_class=Response)
    async def overlay(response_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Response:
        """Boxes and outlines over the image of a response; the image alone when nothing was found on it."""
        drawing = await _drawing(services, owner, turn_id_of(response_id))
        picture = await asyncio.to_thread(drawing.render, services.blobs.get)
        return Response(picture, media_type="image/png", headers=HEADERS)

    return router


async def _drawing(services: Services, owner: str, turn_id: str) -> Drawing:
    """What to draw on the frame that the turn was asked about or, if nothing is there, on the first one that has it.

    Raises `NotFoundError`, also when the image was deleted or there never was one.
    """
    turn = await services.database.read(lambda session: StoredTurn.read(session, owner, turn_id))
    drawings = {one.frame_sha256: one for one in drawings_of(turn.results())}
    if turn.row.file_id is not None:
        asked = (await services.files.image(owner, turn.row.file_id)).sha256
        drawing = drawings.get(asked) or next(iter(drawings.values()), Drawing(asked))
    elif drawings:
        drawing = next(iter(drawings.values()))
    else:
        raise NotFoundError("The response is about no image.")
    await services.database.read(lambda session: repository.artifact_of(session, owner, drawing.frame_sha256))
    return drawing
