"""The decoder process that `sandbox` starts: requests on standard input, answers on standard output.

It imports the codecs once and decodes each file in a fork of itself, so that no file is decoded by a process that has
seen another one, and a file that is refused costs milliseconds and not a new start.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from mmedagent.imaging.decode import decode_files, decode_frame_of
from mmedagent.imaging.wire import (
    READY,
    Answer,
    DecodeFailure,
    DecodeRequest,
    encode_decoded,
    encode_failure,
    encode_frame,
)
from mmedagent.protocol.errors import MMedAgentError

_OPEN_FILES = 32


def main() -> None:
    """Serve requests until standard input closes or a fork dies. The one argument limits the address space in bytes."""
    answers = _private_stdout()
    answers.write(READY)
    answers.flush()
    _limit_process(int(sys.argv[1]))
    # A stop is sent to the whole group: the fork dies of it, and this process stays to reap it and then ends.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if not _served_in_fork(line, answers):
            sys.exit("A fork died before it had answered.")


def _served_in_fork(line: bytes, answers: BinaryIO) -> bool:
    worker = os.fork()
    if worker == 0:
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _serve(line, answers)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(worker, 0)[1] == 0


def _serve(line: bytes, answers: BinaryIO) -> None:
    request = DecodeRequest.model_validate_json(line)
    cpu_seconds = math.ceil(request.cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    answers.writelines(_answer(request).parts)
    answers.flush()


def _answer(request: DecodeRequest) -> Answer:
    paths = [Path(path) for path in request.paths]
    try:
        if request.frame is not None:
            return encode_frame(decode_frame_of(paths[0], request.frame))
        return encode_decoded(decode_files(paths))
    except MMedAgentError as error:
        return encode_failure(DecodeFailure(code=error.code, detail=error.detail))


def _private_stdout() -> BinaryIO:
    """The pipe to the parent, out of reach of codecs that print to the standard streams."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return answers


def _limit_process(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


if __name__ == "__main__":
    main()
