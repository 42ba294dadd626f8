"""The child process that reads files: `python -m mmedagent.tool_workers.retrieval.readers.child`, driven by `process`.

It gets bytes and never opens a file. A file that needs too much time or memory ends the process.
"""

import resource
import signal
import sys

from mmedagent.protocol.errors import RequestError
from mmedagent.tool_workers.retrieval.readers import read_content
from mmedagent.tool_workers.retrieval.readers.wire import ANSWER, Failure, Request

TIMEOUT_S = 120
MEMORY_BYTES = 2 * 2**30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := requests.readline():
        request = Request.model_validate_json(line)
        content = requests.read(request.length)
        signal.alarm(TIMEOUT_S)
        try:
            answer = ANSWER.dump_json(read_content(content, request.suffix, request.place, request.stem))
        except RequestError as error:
            answer = ANSWER.dump_json(Failure(error.code, error.detail))
        signal.alarm(0)
        answers.write(answer + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
