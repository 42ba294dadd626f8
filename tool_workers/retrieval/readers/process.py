"""Untrusted files are read in a child process with limits on memory, time and file writes, and without our secrets."""

import os
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from mmedagent.protocol.errors import InvalidRequestError, RequestError, TooLargeError
from mmedagent.tool_workers.retrieval.readers import Reading
from mmedagent.tool_workers.retrieval.readers.wire import ANSWER, Failure, Request

_COMMAND = (sys.executable, "-I", "-m", "mmedagent.tool_workers.retrieval.readers.child")
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")
MAX_ANSWER_BYTES = 2**29
_ERRORS: dict[str, type[RequestError]] = {kind.code: kind for kind in (InvalidRequestError, TooLargeError)}


class ReaderProcess:
    """`with ReaderProcess() as reader: reader.read(...)`. A file that ends the process does not hurt the next one."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def read(self, content: bytes, suffix: str, place: str, stem: str) -> Reading:
        """As `read_content`; `InvalidRequestError` also for a file that ended the process."""
        self._child = self._child or self._start()
        request = Request(suffix=suffix, place=place, stem=stem, length=len(content))
        try:
            outcome = ANSWER.validate_json(_answer(self._child, request.model_dump_json().encode() + b"\n" + content))
        except ValidationError as error:
            self._stop()
            raise InvalidRequestError("It is damaged, or needs too much time or memory to read.") from error
        if isinstance(outcome, Failure):
            raise _ERRORS.get(outcome.code, InvalidRequestError)(outcome.detail)
        return outcome

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        return subprocess.Popen(  # noqa: S603 - the command is ours
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )

    def _stop(self) -> None:
        if self._child:
            self._child.kill()
            self._child.communicate()
        self._child = None


def _answer(child: subprocess.Popen[bytes], request: bytes) -> bytes:
    """The line with which a child answers; empty, or a part of one, when it has ended."""
    if child.stdin is None or child.stdout is None:
        return b""
    with suppress(BrokenPipeError):
        child.stdin.write(request)
        child.stdin.flush()
    return child.stdout.readline(MAX_ANSWER_BYTES)
