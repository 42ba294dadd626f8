"""Content-addressed blobs: the name of a blob is the sha256 of its encoded bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import httpx

from mmedagent.protocol.errors import NotFoundError, TooLargeError, UnavailableError, WorkerError

HTTP_TIMEOUT_S = 30.0
RETRY_AFTER_S = 1.0


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class BlobStore(Protocol):
    """Where bytes are kept. The methods block, so call them from a thread."""

    def put(self, content: bytes) -> str:
        """Keep the bytes and return their sha256."""

    def get(self, sha256: str) -> bytes:
        """The bytes of that name. Raises `NotFoundError`."""


class FolderBlobStore:
    """Blobs as files `<root>/ab/cd/<sha256>`, written beside their place and moved there whole."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        sha256 = sha256_of(content)
        if not self.path(sha256).exists():
            handle, name = tempfile.mkstemp(dir=self._incoming)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._keep(Path(name), sha256)
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError("That file is not in the blob store any more.") from error

    def path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256[2:4] / sha256

    async def receive(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> Path:
        """Write an upload to a new file under `incoming` without holding it in memory.

        The caller deletes the file, or gives it to `adopt`. Raises `TooLargeError` as soon as the limit is passed.
        """
        handle, name = tempfile.mkstemp(dir=self._incoming)
        path, size = Path(name), 0
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit_bytes:
                        raise TooLargeError(f"A file is at most {limit_bytes // 2**20} MiB.")
                    await asyncio.to_thread(file.write, chunk)
        except BaseException:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise
        return path

    def _keep(self, file: Path, sha256: str) -> None:
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)


class HttpBlobStore:
    """The controller's blobs over HTTP, for workers that do not share its disk."""

    def __init__(self, controller_url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=f"{controller_url}/internal/blobs",
            headers={"Authorization": f"Bearer {token}"},
            timeout=HTTP_TIMEOUT_S,
            trust_env=False,
        )

    def put(self, content: bytes) -> str:
        sha256 = sha256_of(content)
        self._send("PUT", sha256, content)
        return sha256

    def get(self, sha256: str) -> bytes:
        content = self._send("GET", sha256).content
        if sha256_of(content) != sha256:
            raise WorkerError("The blob store sent other bytes than were asked for.")
        return content

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, sha256: str, content: bytes | None = None) -> httpx.Response:
        try:
            response = self._client.request(method, f"/{sha256}", content=content)
        except httpx.HTTPError as error:
            raise UnavailableError("The blob store cannot be reached.", retry_after=RETRY_AFTER_S) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError("That file is not in the blob store any more.")
        if response.is_error:
            raise WorkerError("The blob store did not answer as it should.")
        return response
