"""Questions with their steps, in the shape of the OpenAI responses API."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from mmedagent.controller.api.document import STREAM_EVENT
from mmedagent.controller.api.items import STATUSES, error_of, items_of, response_object
from mmedagent.controller.api.questions import (
    RerunRequest,
    ResponseRequest,
    question_of,
    recorded,
    rerun_question,
)
from mmedagent.controller.api.response_stream import PLACES, ResponseStream
from mmedagent.controller.api.services import Services
from mmedagent.controller.api.shapes import ResponseObject
from mmedagent.controller.api.streaming import begun_turn, compact_json, event_stream, finished_turn, replayed
from mmedagent.controller.live import LiveTurn
from mmedagent.controller.naming import turn_id_of
from mmedagent.controller.record import LAST_SEQUENCE, RecordedTurn
from mmedagent.protocol.events import StoredEvent
from mmedagent.protocol.types import Identifier
from mmedagent.serving import sse

MAX_SEQUENCE_NUMBER = LAST_SEQUENCE * PLACES
TOLD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The response or, with `stream`, its events",
        "model": ResponseObject,
        "content": {sse.MEDIA_TYPE: STREAM_EVENT},
    }
}
"""What the routes answer that begin a turn or tell of one."""


def response_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["responses"])

    @router.post("/responses", response_model=None, responses=TOLD)
    async def create_response(
        body: ResponseRequest, request: Request, owner: Annotated[str, Depends(services.owner)]
    ) -> Response:
        """Ask. With `stream` the steps arrive as server-sent events; otherwise the whole response at the end.

        With `background` the turn goes on when the caller leaves, and without `stream` the answer is there at once.
        """
        live = await services.turns.start(await question_of(services, owner, body))
        return await _told(live, body.stream, body.background, request)

    @router.get("/responses/{response_id}", response_model=None, responses=TOLD)
    async def read_response(
        response_id: Identifier,
        owner: Annotated[str, Depends(services.owner)],
        stream: bool = False,
        starting_after: Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE_NUMBER)] = None,
        last_event_id: Annotated[int | None, Header(ge=0, le=MAX_SEQUENCE_NUMBER)] = None,
    ) -> Response:
        """A stored response. With `stream` its events, after the one with that number, up to its end."""
        if not stream:
            return JSONResponse(_response_of(await recorded(services, owner, response_id)))
        after = starting_after if starting_after is not None else last_event_id
        if live := services.turns.live(owner, turn_id_of(response_id)):
            shown = ResponseStream(live.started, live.created_at)
            return event_stream(live.events(), _encoder(shown, after))
        turn = await recorded(services, owner, response_id)
        shown = ResponseStream(turn.started, turn.events[0].at)
        return event_stream(replayed(turn.events), _encoder(shown, after))

    @router.post("/responses/{response_id}/cancel", response_model=ResponseObject)
    async def cancel_response(response_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Response:
        """Stop a response, down to the tools at work. One that has ended stays as it is."""
        if live := services.turns.live(owner, turn_id_of(response_id)):
            live.cancel()
            await live.ended()
        return JSONResponse(_response_of(await recorded(services, owner, response_id)))

    @router.post("/responses/{response_id}/rerun", response_model=None, responses=TOLD)
    async def rerun_response(
        response_id: Identifier,
        body: RerunRequest,
        request: Request,
        owner: Annotated[str, Depends(services.owner)],
    ) -> Response:
        """Run one call again with other parameters, what depends on it, and the answer. The rest is taken over."""
        live = await services.turns.start(await rerun_question(services, owner, response_id, body))
        return await _told(live, body.stream, body.background, request)

    return router


async def _told(live: LiveTurn, stream: bool, background: bool, request: Request) -> Response:
    """The answer to a request that began a turn."""
    if stream:
        return event_stream(live.events(), _encoder(ResponseStream(live.started, live.created_at)))
    if background:
        await begun_turn(live)
        return JSONResponse(response_object(live.started, live.created_at))
    events = await finished_turn(live, request)
    output = items_of(live.started.turn_id, [stored.event for stored in events])
    return JSONResponse(response_object(live.started, live.created_at, "completed", output))


def _response_of(turn: RecordedTurn) -> ResponseObject:
    events = turn.told()
    output = items_of(turn.row.id, events)
    return response_object(turn.started, turn.events[0].at, STATUSES[turn.row.status], output, error_of(events))


def _encoder(stream: ResponseStream, after: int | None = None) -> Callable[[StoredEvent], bytes]:
    """Writes the stream events that come after that number, with the number as their id."""
    first = 0 if after is None else after + 1

    def encode(stored: StoredEvent) -> bytes:
        return b"".join(
            sse.encode_event(compact_json(one), one["type"], one["sequence_number"])
            for one in stream.translate(stored)
            if one["sequence_number"] >= first
        )

    return encode
