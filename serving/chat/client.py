"""Streaming a chat completion from the endpoint. Whatever goes wrong is an error of the one tree, without internals."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
from pydantic import SecretStr, ValidationError

from mmedagent.protocol.errors import MMedAgentError, OverloadedError, TooLargeError, UnavailableError, WorkerError
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.chat.waiting import iterate
from mmedagent.serving.chat.wire import ChatRequest, Choice, Chunk
from mmedagent.serving.sse import MEDIA_TYPE, read_data

_logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
RETRY_AFTER_S = 2.0
MAX_RETRY_AFTER_S = 600.0
MAX_STREAM_BYTES = 32 * 2**20
MAX_LINE_BYTES = 2**20
_DONE = "[DONE]"


class EndpointClient:
    """Asks one endpoint, and no other address: proxies of the environment and redirects are not followed."""

    def __init__(self, url: str, key: SecretStr | None, parameters: JsonObject) -> None:
        self._url = f"{url}/chat/completions"
        self._key = key
        self._parameters = parameters
        self._tls = httpx.create_ssl_context(trust_env=False)

    def stream(self, request: ChatRequest, raise_if_over: Callable[[], None]) -> Iterator[Choice]:
        """The choices of the reply as they come. `raise_if_over` is asked all the while, also when nothing comes.

        Raises:
            UnavailableError: the endpoint cannot be reached, or says that it is not ready.
            OverloadedError: it refuses because there is too much to do.
            TooLargeError: the request is too large for it.
            WorkerError: it refuses for another reason, such as the key, breaks off, or does not speak the protocol.
        """
        body = {**self._parameters, **request.model_dump(mode="json", exclude_none=True)}
        for chunk in iterate(self._chunks(body), raise_if_over):
            yield from chunk.choices or ()

    async def _chunks(self, body: JsonObject) -> AsyncIterator[Chunk]:
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        try:
            async with (
                httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as http,
                http.stream("POST", self._url, json=body, headers=self._headers()) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise _refusal(response)
                async for data in read_data(_lines(response)):
                    if data == _DONE:
                        return
                    yield _chunk(data)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnavailableError("The endpoint cannot be reached.", retry_after=RETRY_AFTER_S) from error
        except httpx.HTTPError as error:
            raise WorkerError("The connection to the endpoint broke.") from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers


def _chunk(data: str) -> Chunk:
    try:
        chunk = Chunk.model_validate_json(data)
    except ValidationError as error:
        raise WorkerError("The endpoint answered in a way that makes no sense.") from error
    if chunk.error is not None:
        raise WorkerError("The endpoint failed while it was answering.")
    return chunk


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """The lines of a stream whose length, and whose longest line, are bounded."""
    pending, received = b"", 0
    async for piece in response.aiter_bytes():
        received += len(piece)
        *lines, pending = (pending + piece).split(b"\n")
        if received > MAX_STREAM_BYTES or len(pending) > MAX_LINE_BYTES:
            raise WorkerError("The endpoint sent more than an answer can be.")
        for line in lines:
            yield line.decode("utf-8", errors="replace")
    yield pending.decode("utf-8", errors="replace")


def _refusal(response: httpx.Response) -> MMedAgentError:
    """The error that a status stands for. The body is not read: it may quote what somebody asked."""
    status = response.status_code
    _logger.warning("the endpoint refused a request", extra={"status": status})
    match status:
        case 401 | 403:
            return WorkerError("The endpoint does not accept the key of this server.")
        case 413:
            return TooLargeError("The question and its results are too large for the endpoint.")
        case 429:
            retry_after = _retry_after(response)
            return OverloadedError("The endpoint has too much to do at present.", retry_after=retry_after)
        case 503:
            retry_after = _retry_after(response)
            return UnavailableError("The endpoint is not ready at present.", retry_after=retry_after)
        case _ if status >= 500:
            return WorkerError(f"The endpoint failed with status {status}.")
        case _:
            return WorkerError(f"The endpoint refused the request with status {status}.")


def _retry_after(response: httpx.Response) -> float:
    """Seconds after which to ask again; a date, or nonsense, counts as not said."""
    try:
        seconds = float(response.headers.get("retry-after", RETRY_AFTER_S))
    except ValueError:
        return RETRY_AFTER_S
    return min(seconds, MAX_RETRY_AFTER_S) if math.isfinite(seconds) and seconds >= 0 else RETRY_AFTER_S
