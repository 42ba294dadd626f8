"""What every answer to a bad request has in common."""

from __future__ import annotations

import re

import httpx

from support.system import System

ESCAPES = re.compile(r"/(?!v1/)\w+/|site-packages|\.py\b|Traceback|Error\b|object at 0x|mmedagent\.[a-z]+\.", re.ASCII)
"""Paths, class names and traces that have no place in an answer."""


def assert_problem(response: httpx.Response, status: int, code: str) -> str:
    """Check the form of a problem document; returns its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["correlation_id"] == response.headers["x-request-id"]
    assert body["title"]
    detail = str(body["detail"])
    assert " " in detail
    assert len(detail) < 2_500
    assert ESCAPES.search(detail) is None, detail
    return detail


def assert_unharmed(system: System, question: str) -> None:
    """A good request works, no call is left open, and no upload is left lying about."""
    answer = system.respond(question)
    assert answer.status_code == 200, answer.text
    for row in system.http.get("/v1/workers").json()["data"]:
        assert (row["outstanding"], row["state"]) == (0, "ready")
    assert list((system.settings.blob_folder / "incoming").iterdir()) == []
