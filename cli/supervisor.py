"""The `local` engine: starts the processes of a system, and starts the dead ones again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0
STOP_TIMEOUT_S = 35.0


@dataclass(frozen=True)
class ProcessSpec:
    """A process of the system: `mmedagent` with these arguments, and these variables beside the inherited ones.

    No file of the working directory is taken for a library.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Keeps processes running until it is stopped. One that dies again and again is started ever more slowly."""

    def __init__(self, specs: Sequence[ProcessSpec]) -> None:
        self._specs = specs
        self._stopping = asyncio.Event()

    def stop_on_signals(self) -> None:
        """Stop when this process is told to. Only for the main thread."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Start everything and return when it has all been stopped."""
        async with asyncio.TaskGroup() as group:
            for spec in self._specs:
                group.create_task(self._keep(spec))

    async def _keep(self, spec: ProcessSpec) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            started = time.monotonic()
            environment = {**os.environ, "PYTHONSAFEPATH": "1", **spec.environment}
            command = (sys.executable, "-m", "mmedagent.cli", *spec.arguments)
            process = await asyncio.create_subprocess_exec(*command, env=environment)
            log.info("process started", extra={"child": spec.name, "pid": process.pid})
            code = await self._until_end(process)
            if self._stopping.is_set():
                return
            log.error("process died", extra={"child": spec.name, "exit_code": code})
            pause_s = FIRST_PAUSE_S if time.monotonic() - started > STEADY_S else min(2 * pause_s, LONGEST_PAUSE_S)
            await self._sleep(pause_s)

    async def _until_end(self, process: asyncio.subprocess.Process) -> int:
        """Wait until the process ends by itself, or end it when the supervisor is stopped."""
        ended = asyncio.create_task(process.wait())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not ended.done():
            process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await ended
            except TimeoutError:
                process.kill()
        return await process.wait()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


@contextmanager
def running_processes(specs: Sequence[ProcessSpec]) -> Iterator[None]:
    """Processes that are kept running from a thread for as long as the context lasts."""
    supervisor = Supervisor(specs)
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(supervisor.run(),), name="supervisor")
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(supervisor.stop)
            thread.join()
