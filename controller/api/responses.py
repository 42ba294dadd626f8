"""Questions with their steps, in the shape of the OpenAI responses API."""

import time
from functools import partial
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
from mmedagent.controller.api.response_stream import PLACES, ResponseStream, StreamEvent
from mmedagent.controller.api.services import Services
from mmedagent.controller.api.shapes import ResponseObject
from mmedagent.controller.api.streaming import begun_turn, compact_json, event_stream, finished_turn, replayed
from mmedagent.controller.live import LiveTurn
from mmedagent.controller.naming import turn_id_of
from mmedagent.controller.record import LAST_SEQUENCE, RecordedTurn
from mmedagent.protocol.errors import UnauthorizedError
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
        return await _told(services, live, body, request)

    @router.get("/responses/{response_id}", response_model=None, responses=TOLD)
    async def read_response(
        response_id: Identifier,
        request: Request,
        owner: Annotated[str, Depends(services.owner)],
        stream: bool = False,
        starting_after: Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE_NUMBER)] = None,
        last_event_id: Annotated[int | None, Header(ge=0, le=MAX_SEQUENCE_NUMBER)] = None,
    ) -> Response:
        """A stored response. With `stream` its events, after the one with that number, up to its end."""
        if not stream:
            return JSONResponse(_response_of(await recorded(services, owner, response_id)))
        check = partial(services.keys.check, request)
        after = starting_after if starting_after is not None else last_event_id
        if live := services.turns.live(owner, turn_id_of(response_id)):
            shown = ResponseStream(live.started, live.created_at)
            return event_stream(live.events(), _Writer(shown, after), check)
        turn = await recorded(services, owner, response_id)
        shown = ResponseStream(turn.started, turn.events[0].at)
        return event_stream(replayed(turn.events), _Writer(shown, after), check)

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
        return await _told(services, live, body, request)

    return router


async def _told(services: Services, live: LiveTurn, body: ResponseRequest | RerunRequest, request: Request) -> Response:
    """The answer to a request that began a turn."""
    if body.stream:
        writer = _Writer(ResponseStream(live.started, live.created_at))
        return event_stream(live.events(), writer, partial(services.keys.check, request))
    if body.background:
        await begun_turn(live)
        return JSONResponse(response_object(live.started, live.created_at))
    events = await finished_turn(live, request)
    output = items_of(live.started.turn_id, [stored.event for stored in events])
    return JSONResponse(response_object(live.started, live.created_at, "completed", output))


def _response_of(turn: RecordedTurn) -> ResponseObject:
    events = turn.told()
    output = items_of(turn.row.id, events)
    return response_object(turn.started, turn.events[0].at, STATUSES[turn.row.status], output, error_of(events))


class _Writer:
    """Writes the stream events that come after a number, with the number of each as its id."""

    def __init__(self, stream: ResponseStream, after: int | None = None) -> None:
        self._stream = stream
        self._last = -1 if after is None else after

    def encode(self, stored: StoredEvent) -> bytes:
        return b"".join(self._written(one) for one in self._stream.translate(stored) if self._is_new(one))

    def refuse(self, error: UnauthorizedError) -> bytes:
        """An event that is none of the turn: its number is that of the last one, so that nothing is missed after it."""
        told = {"type": "error", "code": error.code, "message": error.detail, "param": None}
        return self._written({**told, "sequence_number": max(self._last, 0), "at": time.time()})

    def _is_new(self, event: StreamEvent) -> bool:
        return bool(event["sequence_number"] > self._last)

    def _written(self, event: StreamEvent) -> bytes:
        self._last = event["sequence_number"]
        return sse.encode_event(compact_json(event), event["type"], self._last)
