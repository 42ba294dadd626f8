"""Who is served next where there are few places: the owners take turns, and long work leaves a place for short work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mmedagent.protocol.errors import OverloadedError

MAX_WAITING = 64
MAX_WAITING_OF_ONE = 32
RETRY_AFTER_S = 5.0


@dataclass(eq=False)
class _Visitor:
    owner: str
    is_long: bool
    admitted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Places:
    """`size` places. Of those who wait, first goes whose owner has the fewest places, then whose owner waited longest.

    Long work never takes the last of several places, so that short work waits for short work only. At most 32 of one
    owner wait and 64 of all together, short work and long work counted apart.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._most_long = max(1, size - 1)
        self._inside: list[_Visitor] = []
        self._waiting: list[_Visitor] = []
        self._served: list[str] = []

    @asynccontextmanager
    async def place(self, owner: str, *, is_long: bool = False) -> AsyncIterator[None]:
        """A place for as long as the context lasts. Raises `OverloadedError` where too many wait already."""
        visitor = _Visitor(owner, is_long)
        self._waiting.append(visitor)
        try:
            self._admit()
            self._require_room(visitor)
            await visitor.admitted
            yield
        finally:
            (self._inside if visitor in self._inside else self._waiting).remove(visitor)
            self._admit()

    def _admit(self) -> None:
        while fitting := [one for one in self._waiting if self._fits(one)]:
            held = Counter(one.owner for one in self._inside)
            chosen = min(fitting, key=lambda one: (held[one.owner], self._last_served(one.owner)))
            self._waiting.remove(chosen)
            self._inside.append(chosen)
            waiting = {one.owner for one in self._waiting}
            self._served = [*(one for one in self._served if one in waiting - {chosen.owner}), chosen.owner]
            chosen.admitted.set_result(None)

    def _last_served(self, owner: str) -> int:
        """The place of an owner among those that were served before; 0 for one that was not."""
        return self._served.index(owner) + 1 if owner in self._served else 0

    def _fits(self, visitor: _Visitor) -> bool:
        if visitor.admitted.cancelled() or len(self._inside) >= self._size:
            return False
        return not visitor.is_long or sum(one.is_long for one in self._inside) < self._most_long

    def _require_room(self, visitor: _Visitor) -> None:
        alike = [one for one in self._waiting if one.is_long == visitor.is_long]
        own = sum(one.owner == visitor.owner for one in alike)
        if visitor in alike and (own > MAX_WAITING_OF_ONE or len(alike) > MAX_WAITING):
            raise OverloadedError("Too many images are waiting to be decoded.", retry_after=RETRY_AFTER_S)
