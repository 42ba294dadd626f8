"""Continuous batching: replies that are written at the same time share the passes through the model, token by token.

A turn may join and leave between any two tokens (Orca, Yu et al., OSDI 2022), whatever its adapter. Prompts are read
one block at a time in between, so that a long prompt does not hold up the replies that are being written.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from mmedagent.model_worker.llava.network import LlavaNetwork, Prompt, Reading
from mmedagent.model_worker.llava.rows import Rows
from mmedagent.protocol.errors import OverloadedError
from mmedagent.serving.work import QUEUE_FACTOR, RETRY_AFTER_S

_logger = logging.getLogger(__name__)
LISTEN_S = 0.05
"""How often a turn that waits for a token looks whether its caller has left, in seconds."""


class Chooser(Protocol):
    """Decides what is written."""

    def choose(self, scores: Tensor) -> int:
        """The next token, given scores of shape (vocabulary,). What it raises ends this turn, and no other."""


class _Turn:
    """One reply. The engine puts its tokens, then None or what went wrong; the caller says when it has left."""

    def __init__(self, prompt: Prompt, chooser: Chooser) -> None:
        self.prompt = prompt
        self.chooser = chooser
        self.reading: Reading | None = None
        self.last = -1
        self.out: queue.SimpleQueue[int | Exception | None] = queue.SimpleQueue()
        self.left = False


class Engine:
    """Writes up to `max_batch` replies at once; four times as many may wait, and one more is refused.

    The model runs in a thread of its own, which lives for as long as there is something to write.
    """

    def __init__(self, network: LlavaNetwork, stop: frozenset[int], max_batch: int) -> None:
        self._network = network
        self._stop = stop
        self._max_batch = max_batch
        self._lock = threading.Lock()
        self._waiting: deque[_Turn] = deque()
        self._reading: deque[_Turn] = deque()
        self._writing: list[_Turn] = []
        self._rows = Rows(network.device)
        self._running = False

    @property
    def waiting(self) -> int:
        """How many turns wait for a place."""
        with self._lock:
            return sum(not turn.left for turn in self._waiting)

    def write(self, prompt: Prompt, chooser: Chooser, raise_if_cancelled: Callable[[], None]) -> Iterator[int]:
        """Yield the tokens of a reply until a stop token, which is not yielded.

        `raise_if_cancelled` is called between tokens and while waiting. Raises `OverloadedError`, and what the chooser
        raises. Leaving the iterator ends the turn.
        """
        raise_if_cancelled()
        turn = _Turn(prompt, chooser)
        self._admit(turn)
        try:
            while True:
                try:
                    token = turn.out.get(timeout=LISTEN_S)
                except queue.Empty:
                    raise_if_cancelled()
                    continue
                if isinstance(token, Exception):
                    raise token
                if token is None:
                    return
                yield token
                raise_if_cancelled()
        finally:
            turn.left = True

    def _admit(self, turn: _Turn) -> None:
        with self._lock:
            self._waiting = deque(one for one in self._waiting if not one.left)
            at_work = len(self._reading) + len(self._writing)
            if at_work >= self._max_batch and len(self._waiting) >= QUEUE_FACTOR * self._max_batch:
                raise OverloadedError("The queue is full.", retry_after=RETRY_AFTER_S)
            self._waiting.append(turn)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="llava").start()

    @torch.inference_mode()
    def _run(self) -> None:
        while self._take_in():
            try:
                self._read()
                self._write()
            except Exception as error:
                _logger.exception("the model failed")
                self._fail(error)

    def _take_in(self) -> bool:
        """Let go of those who have left and let in those who wait. Whether there is anything to do."""
        for row in reversed(range(len(self._writing))):
            if self._writing[row].left:
                self._leave(row)
        with self._lock:
            self._reading = deque(turn for turn in self._reading if not turn.left)
            while self._waiting and len(self._reading) + len(self._writing) < self._max_batch:
                turn = self._waiting.popleft()
                if not turn.left:
                    self._reading.append(turn)
            self._running = bool(self._reading or self._writing)
            return self._running

    def _read(self) -> None:
        """Read one block of the prompt whose turn came first."""
        if not self._reading:
            return
        turn = self._reading[0]
        try:
            turn.reading = turn.reading or self._network.begin(turn.prompt)
            self._network.read_on(turn.reading)
        except Exception as error:  # noqa: BLE001 - raised again where the turn is waited for
            self._reading.popleft()
            turn.out.put(error)
            return
        if turn.reading.scores is not None:
            if self._choose(turn, turn.reading.scores):
                self._rows.join(turn.reading.cache, turn.reading.next_position)
                self._writing.append(turn)
            self._reading.popleft()
            turn.reading = None

    def _write(self) -> None:
        """One more token of every reply."""
        if not self._writing:
            return
        adapters = [turn.prompt.adapter for turn in self._writing]
        scores = self._network.write_on([turn.last for turn in self._writing], adapters, self._rows)
        for row in reversed(range(len(self._writing))):
            if not self._choose(self._writing[row], scores[row]):
                self._leave(row)

    def _choose(self, turn: _Turn, scores: Tensor) -> bool:
        """Choose and hand out the next token of a turn. Whether the turn goes on."""
        try:
            turn.last = turn.chooser.choose(scores)
        except Exception as error:  # noqa: BLE001 - raised again where the turn is waited for
            turn.out.put(error)
            return False
        ended = turn.last in self._stop
        turn.out.put(None if ended else turn.last)
        return not ended

    def _leave(self, row: int) -> None:
        self._rows.leave(row)
        self._writing[row] = self._writing[-1]
        self._writing.pop()

    def _fail(self, error: Exception) -> None:
        for turn in (*self._reading, *self._writing):
            turn.out.put(error)
        self._reading.clear()
        self._writing.clear()
        self._rows = Rows(self._network.device)
