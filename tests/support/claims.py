"""Claims put into a stored turn, in the form in which `turn.completed` carries them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.store.models import EventRow
from support.system import System


def claim(answer: str, text: str, kind: str, supported: bool = True, **fields: Any) -> dict[str, Any]:
    """A claim about the first place where the answer has the text."""
    start = answer.index(text)
    origin = dict.fromkeys(("call_id", "field", "tool", "version", "checkpoint_sha256", "score"))
    return {
        "start": start,
        "end": start + len(text),
        "text": text,
        "kind": kind,
        "supported": supported,
        "input_sha256": [],
        **origin,
        **fields,
    }


def set_claims(system: System, response_id: str, claims: list[dict[str, Any]] | None) -> None:
    """Have a stored turn claim this; None takes the claims out, as in a turn from before there were any."""
    engine = sa.create_engine(system.settings.database)
    turn_id = response_id.removeprefix("resp_")
    with Session(engine) as session, session.begin():
        for row in session.scalars(sa.select(EventRow).where(EventRow.turn_id == turn_id)):
            if row.body["type"] == "turn.completed":
                kept = {name: value for name, value in row.body.items() if name != "claims"}
                row.body = kept if claims is None else {**kept, "claims": claims}
    engine.dispose()
