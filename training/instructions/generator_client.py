"""Asks one OpenAI-compatible endpoint for whole chat completions, and no other address."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from http import HTTPStatus

import httpx
from pydantic import BaseModel, SecretStr, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from mmedagent.protocol.errors import (
    DeadlineError,
    MMedAgentError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    WorkerError,
)
from mmedagent.protocol.types import JsonObject
from mmedagent.training.instructions.generator_prompt import AskRequest

CONNECT_TIMEOUT_S = 10.0
REPLY_TIMEOUT_S = 300.0
MAX_REPLY_BYTES = 2 * 2**20
MAX_WAIT_S = 60.0
_NO_SCHEMA = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED}
"""What servers answer that do not know `response_format`."""


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and the wait after the first try in seconds; it doubles, up to `MAX_WAIT_S`."""

    tries: int = 4
    first_wait_s: float = 1.0


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: tuple[_Choice, ...]


class _UnknownFormatError(Exception):
    """The endpoint may not take the request because of its `response_format`."""


class AskClient:
    """A model behind an endpoint. Proxies of the environment and redirects are not followed.

    Args:
        url: base address; requests go to `chat/completions` below it.
        key: sent as a bearer token, and shown nowhere.
    """

    def __init__(self, url: str, model: str, key: SecretStr | None, patience: Patience) -> None:
        self._url = f"{url}/chat/completions"
        self._model = model
        self._key = key
        self._patience = patience
        self._takes_schema = True
        self._tls = httpx.create_ssl_context(trust_env=False)

    def write(self, request: AskRequest) -> str:
        """The text of the reply, empty where there is none. What may pass is tried again.

        Raises:
            UnavailableError: the endpoint cannot be reached or is not ready, also after the last try.
            OverloadedError, DeadlineError: it has too much to do, or takes too long, also after the last try.
            TooLargeError: the request or the reply is too large.
            WorkerError: it refuses, for example the key or the model, or does not speak the protocol.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self._patience.tries),
            wait=self._wait,
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return retrying(self._write, request)

    def _wait(self, state: RetryCallState) -> float:
        """Twice as long each time, or as long as the endpoint asks for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, MMedAgentError) else None
        return min(MAX_WAIT_S, max(self._patience.first_wait_s * 2.0 ** (state.attempt_number - 1), asked or 0.0))

    def _write(self, request: AskRequest) -> str:
        if self._takes_schema:
            try:
                return self._send(request, with_schema=True)
            except _UnknownFormatError:
                self._takes_schema = False
        return self._send(request, with_schema=False)

    def _send(self, request: AskRequest, *, with_schema: bool) -> str:
        body: JsonObject = {
            "model": self._model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
        }
        if with_schema:
            named: JsonObject = {"name": "asks", "schema": request.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        timeout = httpx.Timeout(REPLY_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with (
                httpx.Client(verify=self._tls, trust_env=False, timeout=timeout) as http,
                http.stream("POST", self._url, json=body, headers=self._headers()) as response,
            ):
                if with_schema and response.status_code in _NO_SCHEMA:
                    raise _UnknownFormatError
                if response.status_code != HTTPStatus.OK:
                    raise _refusal(response)
                return _text(_read(response))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnavailableError("The endpoint cannot be reached. Is it running there?", retry_after=0.0) from error
        except httpx.TimeoutException as error:
            raise _too_slow() from error
        except httpx.HTTPError as error:
            raise UnavailableError("The connection to the endpoint broke.", retry_after=0.0) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, MMedAgentError) and error.retry_after is not None


def _too_slow() -> DeadlineError:
    return DeadlineError(f"The endpoint took longer than {REPLY_TIMEOUT_S:g} s to reply.", retry_after=0.0)


def _read(response: httpx.Response) -> bytes:
    """The body, bounded in size and time. It is not unpacked: it was asked for as it is."""
    end = time.monotonic() + REPLY_TIMEOUT_S
    body = b""
    for piece in response.iter_raw():
        body += piece
        if len(body) > MAX_REPLY_BYTES:
            raise TooLargeError(f"The endpoint's reply is larger than {MAX_REPLY_BYTES // 2**20} MiB.")
        if time.monotonic() > end:
            raise _too_slow()
    return body


def _text(body: bytes) -> str:
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        raise WorkerError("The endpoint's reply is no chat completion.") from error
    return (completion.choices[0].message.content or "") if completion.choices else ""


def _refusal(response: httpx.Response) -> MMedAgentError:
    """The error that a status stands for. The body is not read: it is the endpoint's text."""
    status = response.status_code
    match status:
        case 401 | 403:
            return WorkerError("The endpoint does not accept the key. Name its variable with --key-from.")
        case 404:
            return WorkerError("The endpoint has no such address, or no such model. Check --endpoint and --model.")
        case 413:
            return TooLargeError("The request is too large for the endpoint.")
        case 429:
            return OverloadedError("The endpoint has too much to do at present.", retry_after=_retry_after(response))
        case _ if status >= 500:
            return UnavailableError(f"The endpoint failed with status {status}.", retry_after=_retry_after(response))
        case _:
            return WorkerError(f"The endpoint refused the request with status {status}.")


def _retry_after(response: httpx.Response) -> float:
    """Seconds; a date, or nonsense, counts as not said."""
    try:
        seconds = float(response.headers.get("retry-after", 0))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds >= 0 else 0.0
