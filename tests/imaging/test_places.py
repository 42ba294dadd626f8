"""Places at the decoders: owners take turns, a series leaves a place for images, and not everybody may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mmedagent.imaging.places import MAX_WAITING, MAX_WAITING_OF_ONE, Places
from mmedagent.protocol.errors import OverloadedError


class Visits:
    """Visitors who stay until they are told to leave. `came` are the names of those who got a place, in order."""

    def __init__(self, size: int) -> None:
        self.places = Places(size)
        self.came: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._may_leave: dict[str, asyncio.Event] = {}

    async def come(self, *names: str, is_long: bool = False) -> None:
        """The letter of a name is its owner."""
        for name in names:
            self._may_leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._visit(name, is_long))
            await self._settled()

    async def leave(self, name: str) -> None:
        self._may_leave[name].set()
        await self.tasks[name]
        await self._settled()

    async def _visit(self, name: str, is_long: bool) -> None:
        async with self.places.place(name[0], is_long=is_long):
            self.came.append(name)
            await self._may_leave[name].wait()

    async def _settled(self) -> None:
        """All that can go on has gone on: nobody here waits for anything but for each other."""
        for _ in range(5):
            await asyncio.sleep(0)


@asynccontextmanager
async def visits(size: int) -> AsyncIterator[Visits]:
    made = Visits(size)
    yield made
    for task in made.tasks.values():
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def test_an_owner_with_a_place_lets_others_go_first() -> None:
    async with visits(2) as clinic:
        await clinic.come("a1", "a2", "a3", "a4", "b1", "c1")
        assert clinic.came == ["a1", "a2"]
        await clinic.leave("a1")
        await clinic.leave("a2")
        assert clinic.came == ["a1", "a2", "b1", "c1"]


async def test_owners_take_turns_however_much_one_brings() -> None:
    async with visits(1) as clinic:
        await clinic.come("a1", "a2", "a3", "b1", "b2")
        for name in ("a1", "b1", "a2", "b2"):
            await clinic.leave(name)
        assert clinic.came == ["a1", "b1", "a2", "b2", "a3"]


async def test_long_work_leaves_a_place_for_short_work() -> None:
    async with visits(2) as clinic:
        await clinic.come("a1", "b1", is_long=True)
        await clinic.come("c1")
        assert clinic.came == ["a1", "c1"]
        await clinic.leave("c1")
        assert clinic.came == ["a1", "c1"]
        await clinic.leave("a1")
        assert clinic.came == ["a1", "c1", "b1"]


async def test_series_that_wait_keep_no_image_from_waiting() -> None:
    async with visits(2) as clinic:
        await clinic.come("a0", *(f"a{number}" for number in range(1, MAX_WAITING_OF_ONE + 1)), is_long=True)
        await clinic.come(*(f"{chr(0x4E00 + number)}1" for number in range(MAX_WAITING_OF_ONE)), is_long=True)
        await clinic.come("b1", "a-image", "c-image")
        assert clinic.came == ["a0", "b1"]
        await clinic.come("late", is_long=True)
        assert isinstance(clinic.tasks["late"].exception(), OverloadedError), "the queue of the series is full"
        await clinic.leave("b1")
        await clinic.leave("c-image")
        assert clinic.came == ["a0", "b1", "c-image", "a-image"]


async def test_who_leaves_the_queue_or_a_place_keeps_none() -> None:
    async with visits(1) as clinic:
        await clinic.come("a1", "b1", "c1")
        for name in ("b1", "a1"):
            clinic.tasks[name].cancel()
            await asyncio.wait([clinic.tasks[name]])
        await clinic.leave("c1")
        await clinic.come("d1")
        assert clinic.came == ["a1", "c1", "d1"]


async def test_one_owner_cannot_fill_the_queue() -> None:
    async with visits(1) as clinic:
        await clinic.come("a0", *(f"a{number}" for number in range(1, MAX_WAITING_OF_ONE + 2)), "b1")
        refused = clinic.tasks[f"a{MAX_WAITING_OF_ONE + 1}"]
        error = refused.exception()
        assert isinstance(error, OverloadedError)
        assert error.retry_after
        await clinic.leave("a0")
        assert clinic.came == ["a0", "b1"]


async def test_the_queue_has_an_end() -> None:
    async with visits(1) as clinic:
        await clinic.come("a", *(f"{chr(0x4E00 + number)}1" for number in range(MAX_WAITING)))
        with pytest.raises(OverloadedError):
            async with clinic.places.place("late"):
                pass
