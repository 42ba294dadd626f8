"""A small client of the public API, for the commands that ask questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import ValidationError

from mmedagent.protocol.errors import Problem, ServiceError, UnavailableError, error_from_problem

TIMEOUT_S = 150.0


class ApiClient:
    """Talks to a controller. Errors come as the exceptions that the problem documents stand for."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def upload(self, image: Path) -> dict[str, Any]:
        with image.open("rb") as file:
            return self._json("POST", "/v1/files", files={"file": ("image", file)})

    def plan(self, text: str, file_id: str | None) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if file_id:
            content.append({"type": "file", "file": {"file_id": file_id}})
        return self._json("POST", "/v1/plans", json={"messages": [{"role": "user", "content": content}]})

    def new_conversation(self) -> str:
        return str(self._json("POST", "/v1/conversations", json={})["id"])

    def ask(self, text: str, file_id: str | None, conversation: str | None = None) -> Iterator[dict[str, Any]]:
        """The streaming events of one question, alone or as the next of a conversation."""
        content: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
        if file_id:
            content.append({"type": "input_image", "file_id": file_id})
        body: dict[str, Any] = {"input": [{"role": "user", "content": content}], "stream": True}
        if conversation:
            body["conversation"] = conversation
        with _reachable(), self._http.stream("POST", "/v1/responses", json=body) as response:
            if response.is_error:
                response.read()
                raise _problem(response)
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def artifact(self, sha256: str) -> bytes:
        with _reachable():
            response = self._http.get(f"/v1/artifacts/{sha256}")
        if response.is_error:
            raise _problem(response)
        return response.content

    def _json(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        with _reachable():
            response = self._http.request(method, path, **content)
        if response.is_error:
            raise _problem(response)
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise UnavailableError("The server cannot be reached, or the connection broke.") from error


def _problem(response: httpx.Response) -> Exception:
    try:
        return error_from_problem(Problem.model_validate_json(response.content))
    except ValidationError:
        return ServiceError(f"The server answered with status {response.status_code}.")
