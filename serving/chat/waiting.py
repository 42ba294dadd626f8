"""Waiting in a thread for what comes asynchronously, without becoming deaf to who cancels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.05


def iterate(items: AsyncIterator[T], raise_if_over: Callable[[], None]) -> Iterator[T]:
    """The items, waited for in an event loop of its own; `raise_if_over` is asked before each and while none comes.

    When it raises, or when nobody wants more items, what was waited for is cancelled and closed.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        while True:
            raise_if_over()
            coming = runner.get_loop().create_task(_next(items))
            while not runner.run(_is_done(coming)):
                raise_if_over()
            try:
                item = coming.result()
            except StopAsyncIteration:
                return
            yield item


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _is_done(task: asyncio.Task[T]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=POLL_S)
    return bool(done)
