"""Untrusted images are decoded in child processes with limits on memory, processor time, wall time and file writes.

A child stays warm between files (starting one costs 0.7 s of imports) and decodes each in a fork of itself. A child
whose fork crashed, hung or answered nonsense is killed with it; the next file gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter, ValidationError

from mmedagent.imaging import wire
from mmedagent.imaging.frame import Decoded, DecodedFrame
from mmedagent.imaging.places import Places
from mmedagent.imaging.sniff import ZIP_MAGIC
from mmedagent.protocol.errors import (
    DeadlineError,
    TooLargeError,
    UnavailableError,
    UnreadableImageError,
    UnsupportedImageError,
)

DEFAULT_TIMEOUT_S = 20.0
SERIES_TIMEOUT_S = 120.0
DEFAULT_MEMORY_BYTES = 2 * 2**30
DECODER_COMMAND = (sys.executable, "-I", "-m", "mmedagent.imaging.decode_child")

_STOPPED = "The image stopped its decoder."
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 2.0
_PIPE_BUFFER_BYTES = 2**20
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")
_HEADER: TypeAdapter[wire.DecodeSuccess | wire.FrameSuccess | wire.DecodeFailure] = TypeAdapter(
    wire.DecodeSuccess | wire.FrameSuccess | wire.DecodeFailure
)
_ERRORS = {kind.code: kind for kind in (UnreadableImageError, UnsupportedImageError, TooLargeError)}


async def decode_untrusted(
    path: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S, memory_bytes: int = DEFAULT_MEMORY_BYTES
) -> Decoded:
    """Decode one file in a child process of its own. For more than one file use a `DecoderPool`; errors as there."""
    async with DecoderPool(size=1, timeout_s=timeout_s, memory_bytes=memory_bytes) as pool:
        return await pool.decode(path)


class DecoderPool:
    """A few warm decoder processes. `async with DecoderPool() as pool: decoded = await pool.decode(path)`.

    Owners take turns, and a series or an archive, which may take long, leaves a place for single images.

    `timeout_s` is for one image, `series_timeout_s` for one in several files or in an archive.
    `memory_bytes` limits the address space of a child. `command` is the child program; that limit is appended to it.
    """

    def __init__(
        self,
        *,
        size: int = 2,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        series_timeout_s: float = SERIES_TIMEOUT_S,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        command: Sequence[str] = DECODER_COMMAND,
    ) -> None:
        self._size = size
        self._timeout_s = timeout_s
        self._series_timeout_s = series_timeout_s
        self._command = (*command, str(memory_bytes))
        self._places = Places(size)
        self._idle: list[_Child] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        starts = (_Child.start(self._command) for _ in range(self._size))
        started = await asyncio.gather(*starts, return_exceptions=True)
        self._idle.extend(child for child in started if isinstance(child, _Child))
        for outcome in started:
            if isinstance(outcome, BaseException):
                await self._close()
                raise outcome
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        self._closed = True
        await asyncio.gather(*(child.stop() for child in self._idle))
        self._idle.clear()

    async def decode(self, *paths: Path, owner: str = "") -> Decoded:
        """Decode one file, or the files of one DICOM series.

        Raises the errors of `decode_files`; `UnreadableImageError` too where the image stopped its decoder;
        `DeadlineError` where it took longer than allowed; `UnavailableError` where no decoder can be started;
        `OverloadedError` where too many wait.
        """
        is_series = _is_series(paths)
        async with self._places.place(owner, is_long=is_series):
            decoded = await self._ask(paths, None, self._series_timeout_s if is_series else self._timeout_s)
        if not isinstance(decoded, Decoded):
            raise UnreadableImageError(_STOPPED)
        return decoded

    async def decode_frame(self, path: Path, frame: int, owner: str = "") -> DecodedFrame:
        """Decode one frame of a stored file that is no study. Errors as of `decode`."""
        async with self._places.place(owner):
            decoded = await self._ask((path,), frame, self._timeout_s)
        if not isinstance(decoded, DecodedFrame):
            raise UnreadableImageError(_STOPPED)
        return decoded

    async def _ask(self, paths: Sequence[Path], frame: int | None, timeout_s: float) -> Decoded | DecodedFrame:
        names = tuple(str(path) for path in paths)
        request = wire.DecodeRequest(paths=names, frame=frame, cpu_seconds=timeout_s + 1)
        child = self._idle.pop() if self._idle else await _Child.start(self._command)
        try:
            async with asyncio.timeout(timeout_s):
                return await child.decode(request)
        except TimeoutError as error:
            raise DeadlineError(f"Decoding the image took longer than {timeout_s:g} s.") from error
        finally:
            if child.has_answered and not self._closed:
                self._idle.append(child)
            else:
                await child.stop()


class _Child:
    """One decoder process. `has_answered` is true while no answer is outstanding."""

    def __init__(self, process: Process, requests: asyncio.StreamWriter, answers: asyncio.StreamReader) -> None:
        self.has_answered = True
        self._process = process
        self._requests = requests
        self._answers = answers

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Start a process and wait until it is ready. Raises `UnavailableError`."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(),
                limit=_PIPE_BUFFER_BYTES,
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError("The image decoder cannot be started.") from error
        if process.stdin is None or process.stdout is None:
            raise UnavailableError("The image decoder has no pipes.")
        child = cls(process, process.stdin, process.stdout)
        ready = False
        try:
            with contextlib.suppress(TimeoutError, ValueError):
                async with asyncio.timeout(_START_TIMEOUT_S):
                    ready = await child._answers.readline() == wire.READY
        finally:
            if not ready:
                await child.stop()
        if not ready:
            raise UnavailableError("The image decoder did not start.")
        return child

    async def decode(self, request: wire.DecodeRequest) -> Decoded | DecodedFrame:
        self.has_answered = False
        try:
            self._requests.write(request.model_dump_json().encode() + b"\n")
            await self._requests.drain()
            return await self._receive()
        except (asyncio.IncompleteReadError, ConnectionError, ValidationError) as error:
            raise UnreadableImageError(_STOPPED) from error

    async def _receive(self) -> Decoded | DecodedFrame:
        (length,) = wire.HEADER_LENGTH.unpack(await self._answers.readexactly(wire.HEADER_LENGTH.size))
        if length > wire.MAX_HEADER_BYTES:
            raise UnreadableImageError(_STOPPED)
        header = _HEADER.validate_json(await self._answers.readexactly(length))
        if isinstance(header, wire.DecodeFailure):
            self.has_answered = True
            raise _ERRORS.get(header.code, UnreadableImageError)(header.detail)
        if not header.is_within_limits:
            raise TooLargeError("The image has more pixels than are accepted.")
        pixels = await self._answers.readexactly(header.pixel_bytes)
        body = await self._answers.readexactly(header.body_bytes)
        self.has_answered = True
        if isinstance(header, wire.FrameSuccess):
            return wire.assemble_frame(header, pixels, body)
        return wire.assemble(header, pixels, body)

    async def stop(self) -> None:
        """End the process and its fork, and wait until they are gone."""
        self._requests.close()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._gone()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._gone()

    async def _gone(self) -> None:
        """Wait for the end. An unread answer is thrown away first: asyncio counts a full pipe as a living process."""
        while await self._answers.read(_PIPE_BUFFER_BYTES):
            pass
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group: the child leads a session of its own, so the group's id is its pid."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def _is_series(paths: Sequence[Path]) -> bool:
    """Whether there is time for many images: in several files, or in what begins like an archive."""
    if len(paths) > 1:
        return True
    with contextlib.suppress(OSError), paths[0].open("rb") as file:
        return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    return False


def _environment() -> dict[str, str]:
    """What starting Python needs and no keys or tokens of the parent; one thread, since stacks count as memory."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
