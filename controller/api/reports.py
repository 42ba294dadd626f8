"""Reports on responses. The revision travels as an ETag, so that nobody overwrites what they have not seen."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel

from mmedagent.controller.api.services import Services
from mmedagent.controller.keys import Caller
from mmedagent.controller.naming import turn_id_of
from mmedagent.controller.reports.desk import ReportDesk
from mmedagent.controller.reports.report import Report, ReportEdit, State
from mmedagent.protocol.errors import InvalidRequestError, PreconditionFailedError
from mmedagent.protocol.types import Identifier

IfMatch = Annotated[str | None, Header(max_length=64)]
_ETAG = re.compile(r'"(\d{1,9})"')


class NewState(BaseModel):
    state: State


def report_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/responses/{response_id}/report", tags=["reports"])
    desk = ReportDesk(services.database)
    caller_of = Annotated[Caller, Depends(services.caller)]

    @router.get("")
    async def read(response_id: Identifier, caller: caller_of, response: Response) -> Report:
        """The report on a response; a draft made from its answer while nobody has changed it."""
        return _tagged(response, await desk.read(caller.owner, turn_id_of(response_id)))

    @router.put("")
    async def edit(
        response_id: Identifier, body: ReportEdit, caller: caller_of, response: Response, if_match: IfMatch = None
    ) -> Report:
        """Replace the text. `If-Match` names the revision that was read; a reviewed report becomes a draft again."""
        revision = _revision(if_match)
        if revision is None:
            raise InvalidRequestError("Send the ETag of the report that you read as If-Match.")
        return _tagged(response, await desk.edit(caller.owner, turn_id_of(response_id), revision, body))

    @router.post("/state")
    async def move(
        response_id: Identifier, body: NewState, caller: caller_of, response: Response, if_match: IfMatch = None
    ) -> Report:
        """Review a draft, or sign what is reviewed, in the name of the key. A signed report never changes."""
        return _tagged(response, await desk.move(caller, turn_id_of(response_id), body.state, _revision(if_match)))

    return router


def _revision(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise PreconditionFailedError("If-Match is not the ETag of a report.")
    return int(found.group(1))


def _tagged(response: Response, report: Report) -> Report:
    response.headers["ETag"] = f'"{report.revision}"'
    response.headers["Cache-Control"] = "no-cache"
    return report
